"""slurmrestd down, hung, closing, answering garbage: what is repeated, what is not, and what the client is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"
SUBMIT = "/slurm/v0.0.38/job/submit"
JOB = b'{"job":{"name":"j"},"script":"#!/bin/sh"}'


async def get(house: House) -> fakes.Answer:
    return await house.ask("GET", PING, fakes.bearer(await house.token()))


async def post(house: House) -> fakes.Answer:
    return await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), ("Content-Type", "application/json")], JOB)


ASK = {"GET": get, "POST": post}
both = pytest.mark.parametrize("method", ["GET", "POST"])


@both
async def test_a_slurmrestd_that_is_down_is_told_apart_as_not_sent(house: House, method: str) -> None:
    await house.slurm.stop()
    answer = await ASK[method](house)
    assert (answer.status, answer.reason) == (502, "upstream_unreachable")
    assert "was not sent" in str(answer.json["detail"])


@both
async def test_a_slurmrestd_that_hangs_is_given_up_with_the_outcome_unknown(build: Build, method: str) -> None:
    house = await build(clusters__main={"answer_timeout": "50ms"})
    house.slurm.behaviour = fakes.hangs()
    answer = await ASK[method](house)
    assert (answer.status, answer.reason, len(house.slurm.seen)) == (504, "upstream_timeout", 1)
    assert "not known" in str(answer.json["detail"])


BROKEN = {
    "closes without a word": fakes.hangs_up(),
    "closes in the status line": fakes.replies(b"HTTP/1.1 2", close=True),
    "closes in the head": fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
    "closes in the body": fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", close=True),
    "answers garbage": fakes.replies(b"\x16\x03\x01\x02\x00garbage\r\n\r\n"),
    "answers in HTTP/0.9": fakes.replies(b"<html></html>", close=True),
    "answers with two lengths": fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
    "answers with a length and chunks": fakes.replies(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "answers with a length of letters": fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}"),
    "answers with too many headers": fakes.replies(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100 + b"Content-Length: 0\r\n\r\n"),
    "answers with headers too large": fakes.replies(b"HTTP/1.1 200 OK\r\n" + b"X-A: %s\r\n" % (b"b" * 4000) * 10 + b"Content-Length: 0\r\n\r\n"),
    "switches protocols": fakes.replies(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "says continue and closes": fakes.replies(b"HTTP/1.1 100 Continue\r\n\r\n", close=True),
}


@both
async def test_a_slurmrestd_that_breaks_off_is_asked_once_and_the_outcome_called_unknown(house: House, method: str) -> None:
    house.slurm.script = list(BROKEN.values())
    answers = {case: await ASK[method](house) for case in BROKEN}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == dict.fromkeys(BROKEN, (502, "upstream_broken"))
    assert [case for case, answer in answers.items() if "not known" not in str(answer.json["detail"])] == []
    assert len(house.slurm.seen) == len(BROKEN)


@both
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 "])
async def test_a_head_without_end_is_broken_and_its_connection_closed(house: House, method: str, head: bytes) -> None:
    poured = 0

    async def pours(request: fakes.Request) -> bool:
        nonlocal poured
        await request.read_body()
        await request.say(head)
        while not request.writer.transport.is_closing():
            await request.say(b"1" * 65536)
            poured += 65536
        return False

    house.slurm.behaviour = pours
    answer = await ASK[method](house)
    await fakes.until(lambda: house.slurm.open == 0)
    assert (answer.status, answer.reason) == (502, "upstream_broken")
    assert poured < 4 * 2**20


BARE = ["HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 413 X\r\n", "HTTP/1.1 411 Length Required\r\nConnection: Close\r\n", "HTTP/1.1 404 "]
NOT_BARE = [
    "HTTP/1.1 500 X\r\n",
    "HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n{",
    "HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\n{",
    "HTTP/1.1 2",
    "HTTP/1.1 4",
    "HTTP/1.1 200 OK\r\n",
]


@pytest.mark.parametrize(("said", "acted"), [*((said, "did not act on it") for said in BARE), *((said, "not known") for said in NOT_BARE)])
async def test_only_a_bare_4xx_tells_that_slurmrestd_did_not_act(house: House, said: str, acted: str) -> None:
    house.slurm.behaviour = fakes.replies(said.encode(), close=True)
    answer = await post(house)
    assert (answer.status, answer.reason, len(house.slurm.seen)) == (502, "upstream_broken", 1)
    assert acted in str(answer.json["detail"])


async def test_after_whatever_slurmrestd_did_the_next_request_is_answered_on_a_new_connection(house: House) -> None:
    bodies = {}
    for case, behaviour in BROKEN.items():
        house.slurm.script = [behaviour, fakes.replies(fakes.http(200, fakes.OK), close=True)]
        await post(house)
        bodies[case] = (await get(house)).body
        await fakes.until(lambda: house.slurm.open == 0)
    assert bodies == dict.fromkeys(BROKEN, fakes.OK)
    assert [seen.connection for seen in house.slurm.seen] == list(range(1, 2 * len(BROKEN) + 1))


async def test_a_get_on_a_kept_connection_that_was_closed_just_then_is_sent_once_more(house: House) -> None:
    house.slurm.script = [fakes.FINE, fakes.hangs_up(), fakes.FINE]
    assert (await get(house)).status == 200
    assert (await get(house)).status == 200
    assert [seen.connection for seen in house.slurm.seen] == [1, 1, 2]


async def test_a_get_is_sent_a_second_time_but_no_third(house: House) -> None:
    house.slurm.script = [fakes.FINE, fakes.hangs_up(), fakes.hangs_up()]
    await get(house)
    assert ((await get(house)).reason, len(house.slurm.seen)) == ("upstream_broken", 3)


async def test_a_get_is_not_sent_again_once_a_byte_of_an_answer_came(house: House) -> None:
    house.slurm.script = [fakes.FINE, fakes.replies(b"H", close=True)]
    await get(house)
    assert ((await get(house)).reason, len(house.slurm.seen)) == ("upstream_broken", 2)


async def test_a_get_is_not_sent_again_after_a_timeout(build: Build) -> None:
    house = await build(clusters__main={"answer_timeout": "50ms"})
    house.slurm.script = [fakes.FINE, fakes.hangs()]
    await get(house)
    assert ((await get(house)).reason, len(house.slurm.seen)) == ("upstream_timeout", 2)


CHANGING = [
    ("POST", SUBMIT, JOB),
    ("POST", SUBMIT, None),
    ("DELETE", "/slurm/v0.0.38/job/7", None),
    ("GET", "/slurm/v0.0.39/reconfigure", None),
    ("GET", "/slurm/v0.0.45/job/7/requeue", None),
]


async def test_what_changes_something_goes_out_on_a_kept_connection_that_is_open(house: House) -> None:
    token = await house.token()
    for method, target, body in CHANGING:
        await get(house)
        kept = house.slurm.seen[-1].connection
        await house.ask(method, target, fakes.bearer(token), body)
        assert (method, house.slurm.seen[-1].connection == kept) == (method, True)


async def test_what_changes_something_does_not_go_out_on_a_connection_that_slurmrestd_has_closed(house: House) -> None:
    token = await house.token()
    house.slurm.behaviour = fakes.replies(fakes.http(200, fakes.OK), close=True)
    for method, target, body in CHANGING:
        await get(house)
        kept = house.slurm.seen[-1].connection
        answer = await house.ask(method, target, fakes.bearer(token), body)
        assert (method, answer.status, house.slurm.seen[-1].connection == kept) == (method, 200, False)


async def test_what_changes_something_is_never_sent_twice(build: Build) -> None:
    house = await build(clusters__main={"breaker_failures": 100})
    token = await house.token()
    await get(house)
    house.slurm.behaviour = fakes.hangs_up()
    answers = [await house.ask(method, target, fakes.bearer(token), body) for method, target, body in CHANGING]
    assert [answer.reason for answer in answers] == ["upstream_broken"] * len(CHANGING)
    assert len(house.slurm.seen) == 1 + len(CHANGING)


async def test_reads_share_a_connection(house: House) -> None:
    for _ in range(5):
        await get(house)
    assert house.slurm.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        fakes.http(200, fakes.OK) + b"s" * 19,
        fakes.http(200, fakes.OK) + fakes.http(200, b'{"for":"somebody else"}'),
        fakes.http(200, fakes.OK) + b"HTTP/1.1 200 OK\r\nX-A: ",
        fakes.http(200, fakes.OK) + b"HTTP/1.1 2",
        fakes.http(200, fakes.OK, "Connection: close"),
        fakes.http(404, fakes.OK),
        fakes.http(500, fakes.OK),
        b"HTTP/1.0 200 OK\r\nContent-Length: 23\r\n\r\n" + fakes.OK,
    ],
)
async def test_a_connection_is_not_kept_after_an_error_stray_bytes_or_a_word_of_closing(house: House, reply: bytes) -> None:
    house.slurm.script = [fakes.replies(reply)]
    assert (await get(house)).body.endswith(fakes.OK[1:])
    assert ((await get(house)).body, house.slurm.seen[-1].connection) == (fakes.OK, 2)


async def test_bytes_that_arrive_while_a_connection_idles_are_no_answer_to_the_next_request(house: House) -> None:
    idle = asyncio.Event()

    async def speaks_later(request: fakes.Request) -> bool:
        await request.say(fakes.http(200, fakes.OK))
        await idle.wait()
        await request.say(fakes.http(200, b'{"for":"nobody"}'))
        await request.reader.read()
        return False

    house.slurm.script = [speaks_later]
    await get(house)
    idle.set()
    await fakes.until(lambda: house.slurm.open == 0)
    assert (await get(house)).body == fakes.OK


async def test_a_reply_without_a_length_ends_with_the_connection(house: House) -> None:
    house.slurm.behaviour = fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nwhole", close=True)
    answer = await get(house)
    assert (answer.status, answer.body, answer.whole) == (200, b"whole", True)


async def test_a_chunked_reply_is_understood(house: House) -> None:
    house.slurm.behaviour = fakes.replies(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fakes.chunked(b"wh", b"ole"))
    assert (await get(house)).body == b"whole"


@both
async def test_interim_replies_are_skipped(house: House, method: str) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    house.slurm.behaviour = fakes.replies(interim, fakes.http(200, fakes.OK))
    answer = await ASK[method](house)
    assert (answer.status, answer.body[-22:], answer.interim) == (200, fakes.OK[1:], ())


async def test_replies_are_not_mixed_up_among_many_at_once(build: Build) -> None:
    house = await build(clusters__main={"pool": 3})

    async def echoes(request: fakes.Request) -> bool:
        await request.say(fakes.http(200, request.line.encode()))
        return True

    house.slurm.behaviour = echoes
    token = await house.token()
    answers = await asyncio.gather(*(house.ask("GET", f"/slurm/v0.0.38/job/{number}", fakes.bearer(token)) for number in range(40)))
    assert [answer.body.decode() for answer in answers] == [f"GET /slurm/v0.0.38/job/{number} HTTP/1.1" for number in range(40)]
    assert house.slurm.connections <= 3


async def test_more_requests_than_places_wait_and_then_get_503(build: Build) -> None:
    house = await build(clusters__main={"pool": 1, "pool_wait": "50ms", "answer_timeout": "2s"})
    house.slurm.behaviour = fakes.hangs()
    first = asyncio.create_task(get(house))
    await fakes.until(lambda: house.slurm.seen)
    answer = await get(house)
    await house.slurm.stop()
    assert (answer.status, answer.reason, (await first).reason) == (503, "upstream_busy", "upstream_broken")


async def test_a_request_that_waited_for_a_place_gets_it(build: Build) -> None:
    house = await build(clusters__main={"pool": 1})
    gate = asyncio.Event()

    async def waits(request: fakes.Request) -> bool:
        await gate.wait()
        return await fakes.FINE(request)

    house.slurm.script = [waits]
    first = asyncio.create_task(get(house))
    await fakes.until(lambda: house.slurm.seen)
    second = asyncio.create_task(get(house))
    gate.set()
    assert [(await first).status, (await second).status] == [200, 200]


# The client goes away.


async def leave(house: House, method: str, target: str, body: bytes | None = None) -> None:
    """Send a request, and go away once slurmrestd has it."""
    _, writer = await house.connect()
    writer.write(fakes.encode(method, target, fakes.bearer(await house.token()), body))
    await fakes.until(lambda: house.slurm.seen)
    writer.transport.abort()


async def test_a_read_whose_client_went_away_frees_its_place_at_once(build: Build) -> None:
    house = await build(clusters__main={"pool": 1, "pool_wait": "5s", "answer_timeout": "60s"})
    house.slurm.script = [fakes.hangs()]
    await leave(house, "GET", PING)
    assert ((await get(house)).status, house.slurm.connections) == (200, 2)


async def test_a_change_whose_client_went_away_goes_on(build: Build) -> None:
    house = await build(clusters__main={"pool": 1, "pool_wait": "50ms"})
    gate = fakes.Gate(fakes.replies(fakes.http(200, b'{"job_id":4711}')))
    house.slurm.script = [gate]
    await leave(house, "POST", SUBMIT, JOB)
    await fakes.until(lambda: "client_gone" in house.log)
    meanwhile = await get(house)
    gate.open.set()
    await house.application.front.close()  # which waits for it
    assert (meanwhile.reason, house.slurm.connections) == ("upstream_busy", 1)
    assert [(line["user"], line["status"], line["job_id"]) for line in await house.audit("request")] == [("alice", 200, 4711)]

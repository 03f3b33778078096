"""Bodies on their way in: with a length, in chunks, too large, stalled, broken off, expected."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import Callable

import pytest
from backports import zstd

from tests.web import fakes
from tests.web.conftest import Build, House

SUBMIT = "/slurm/v0.0.38/job/submit"
PING = "/slurm/v0.0.38/ping"
DIAG = "/slurm/v0.0.38/diag"  # a call that is no submission
LARGE = ("Content-Length", "5000000")  # more than is taken whole before a connection is
JSON = ("Content-Type", "application/json")
CHUNKED = ("Transfer-Encoding", "chunked")
BOMB = gzip.compress(bytes(400_000))


async def fields(house: House, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [*fakes.bearer(await house.token()), JSON, *more]


async def test_a_body_with_a_length_arrives_byte_for_byte(house: House) -> None:
    body = bytes(range(256)) * 2000
    answer = await house.ask("POST", SUBMIT, await fields(house), body)
    assert (answer.status, house.slurm.seen[0].field("content-length"), house.slurm.seen[0].body) == (200, str(len(body)), body)


async def test_a_chunked_body_arrives_with_a_length(house: House) -> None:
    data = fakes.encode("POST", DIAG, await fields(house, CHUNKED)) + fakes.chunked(b'{"job":', b'{"a":1}', b"}")
    answer = await house.raw(data)
    seen = house.slurm.seen[0]
    assert (answer.status, seen.field("transfer-encoding"), seen.field("content-length"), seen.body) == (200, None, "15", b'{"job":{"a":1}}')


@pytest.mark.parametrize("more", [[], [CHUNKED]])
async def test_a_post_without_content_has_a_length_of_nought(house: House, more: list[tuple[str, str]]) -> None:
    await house.raw(fakes.encode("POST", SUBMIT, await fields(house, *more)) + (fakes.chunked() if more else b""))
    assert house.slurm.seen[0].field("content-length") == "0"


async def test_the_type_of_the_content_is_passed_on(house: House) -> None:
    await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), ("content-type", "application/x-yaml")], b"job: {}")
    assert house.slurm.seen[0].field("content-type") == "application/x-yaml"


async def test_a_delete_may_have_a_body(house: House) -> None:
    await house.ask("DELETE", "/slurm/v0.0.38/job/7", await fields(house), b"{}")
    assert (house.slurm.seen[0].line, house.slurm.seen[0].body) == ("DELETE /slurm/v0.0.38/job/7 HTTP/1.1", b"{}")


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize("size", [1, 3_000_000])
async def test_a_compressed_body_arrives_as_it_is_meant(house: House, coding: str, size: int) -> None:
    content = b'{"job": {}, "script": "' + b"x" * size + b'"}'
    sent = COMPRESS[coding](content)
    for framed, body in (([], sent), ([CHUNKED], fakes.chunked(sent[:9], sent[9:]))):
        more = framed or [("Content-Length", str(len(sent)))]
        answer = await house.raw(fakes.encode("POST", DIAG, await fields(house, ("Content-Encoding", coding), *more)) + body)
        seen = house.slurm.seen[-1]
        assert (answer.status, seen.field("content-encoding"), seen.field("content-length")) == (200, None, str(len(content)))
        assert seen.body == content


async def test_a_coding_of_nothing_means_nothing(house: House) -> None:
    answers = [await house.raw(fakes.encode(method, DIAG, await fields(house, ("Content-Encoding", "gzip")))) for method in ("GET", "POST", "DELETE")]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert {seen.field("content-encoding") for seen in house.slurm.seen} == {None}


TYPES: list[tuple[str | None, bytes, str | None, str | None]] = [
    ("application/json", b'{"a": 1}', "application/json", None),
    ("application/json; charset=utf-8", b'{"a": 1}', "application/json", "content-type"),
    ("application/x-www-form-urlencoded", b'{"a": 1}', "application/json", "content-type"),
    (None, b'{"a": 1}', "application/json", "content-type"),
    ("text/plain", b'[{"a": 1}]', "application/json", "content-type"),
    ("application/x-www-form-urlencoded", b"a=1", "application/x-www-form-urlencoded", None),
    ("application/yaml", b"a: 1", "application/yaml", None),
    ("application/json", b"{broken", "application/json", None),
    ("text/plain", b"{broken", "text/plain", None),
]


@pytest.mark.parametrize(("given", "body", "sent", "repaired"), TYPES)
async def test_what_is_json_is_called_so(house: House, given: str | None, body: bytes, sent: str | None, repaired: str | None) -> None:
    typed = [("Content-Type", given)] if given is not None else []
    answer = await house.ask("POST", DIAG, [*fakes.bearer(await house.token()), *typed], body)
    seen = house.slurm.seen[0]
    assert (answer.status, seen.field("content-type"), seen.body, answer.field("x-gateway-repaired")) == (200, sent, body, repaired)


async def test_a_large_body_that_calls_itself_json_is_taken_at_its_word(house: House) -> None:
    answer = await house.ask("POST", DIAG, [*fakes.bearer(await house.token()), ("Content-Type", "application/json;charset=UTF-8")], b" " * 2_000_000)
    assert (house.slurm.seen[0].field("content-type"), answer.field("x-gateway-repaired")) == ("application/json", "content-type")


async def test_nothing_is_repaired_where_that_is_switched_off(build: Build) -> None:
    house = await build(slurm={"repair": False})
    answer = await house.ask("POST", DIAG, [*fakes.bearer(await house.token()), ("Content-Type", "text/plain")], b"{}")
    assert (house.slurm.seen[0].field("content-type"), answer.field("x-gateway-repaired")) == ("text/plain", None)


REFUSED: dict[str, tuple[int, str, str, list[tuple[str, str]], bytes]] = {
    "a GET with a body": (400, "bad_request", "GET", [("Content-Length", "2")], b"{}"),
    "a GET in chunks": (400, "bad_request", "GET", [CHUNKED], fakes.chunked(b"{}")),
    "what is not compressed as it says": (400, "bad_request", "POST", [("Content-Encoding", "gzip"), ("Content-Length", "2")], b"{}"),
    "a coding that nobody undoes": (415, "unsupported_coding", "POST", [("Content-Encoding", "br"), ("Content-Length", "2")], b"{}"),
    "two codings": (415, "unsupported_coding", "POST", [("Content-Encoding", "gzip, gzip"), ("Content-Length", "2")], b"{}"),
    "a bomb": (413, "too_large", "POST", [("Content-Encoding", "gzip"), ("Content-Length", str(len(BOMB)))], BOMB),
    "a bomb in chunks": (413, "too_large", "POST", [("Content-Encoding", "gzip"), CHUNKED], fakes.chunked(BOMB)),
    "an unknown expectation": (400, "bad_request", "POST", [("Expect", "the-best"), ("Content-Length", "2")], b"{}"),
    "Accept twice": (400, "bad_request", "POST", [("Accept", "a/b"), ("Accept", "c/d"), ("Content-Length", "2")], b"{}"),
    "an Accept that never ends": (400, "bad_request", "POST", [("Accept", "a" * 300), ("Content-Length", "2")], b"{}"),
    "a length above the limit": (413, "too_large", "POST", [("Content-Length", "1025")], b""),
    "chunks above the limit": (413, "too_large", "POST", [CHUNKED], fakes.chunked(b"x" * 1000, b"y" * 25)),
}


async def test_a_body_that_cannot_be_carried_is_refused_before_slurmrestd(build: Build) -> None:
    house = await build(server={"max_body": "1KiB"})
    known = await fields(house)
    answers = {case: await house.raw(fakes.encode(method, SUBMIT, [*known, *more]) + body) for case, (_, _, method, more, body) in REFUSED.items()}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == {case: expected[:2] for case, expected in REFUSED.items()}
    assert house.slurm.seen == []


MALFORMED = {
    "Content-Type twice": [JSON, ("Content-Length", "2")],
    "a length and chunks": [("Content-Length", "2"), CHUNKED],
    "two lengths": [("Content-Length", "2"), ("Content-Length", "3")],
    "a length with a sign": [("Content-Length", "+2")],
    "a length in hex": [("Content-Length", "0x2")],
    "a negative length": [("Content-Length", "-2")],
    "chunks twice": [CHUNKED, CHUNKED],
    "chunks spelled oddly": [("Transfer-Encoding", "xchunked")],
    "chunks before something else": [("Transfer-Encoding", "chunked, gzip")],
    "a folded header": [("X-A", "a\r\n b")],
    "a header with a space before the colon": [("X-A ", "a")],
    "a bare line feed": [("X-A", "a\nX-SLURM-USER-NAME: root")],
    "NUL in a header": [("X-A", "a\0b")],
}


async def test_what_two_parsers_might_read_differently_reaches_no_slurmrestd(house: House) -> None:
    known = await fields(house)
    statuses = {case: (await house.raw(fakes.encode("POST", SUBMIT, [*known, *odd]) + b"{}")).status for case, odd in MALFORMED.items()}
    assert (statuses, house.slurm.seen) == (dict.fromkeys(MALFORMED, 400), [])


ODD_LINES = ["POST {} HTTP/0.9", "POST {} HTTP/2.0", "POST {}", "POST  {} HTTP/1.1", "POST\t{} HTTP/1.1", "POST {} x HTTP/1.1"]


async def test_an_odd_request_line_reaches_slurmrestd_as_an_ordinary_one_or_not_at_all(house: House) -> None:
    head = fakes.encode("POST", SUBMIT, await fields(house), b"{}").partition(b"\r\n")[2]
    for line in ODD_LINES:
        await house.raw(line.format(SUBMIT).encode() + b"\r\n" + head)
    assert {(seen.line, seen.body) for seen in house.slurm.seen} <= {(f"POST {SUBMIT} HTTP/1.1", b"{}")}


@pytest.mark.parametrize("version", [" HTTP/2.0", " HTTP/1.2", " HTTP/3.0", " HTTP/0.9", " http/1.1", ""])
async def test_a_request_of_another_version_is_refused(house: House, version: str) -> None:
    head = fakes.encode("GET", PING, await fields(house)).partition(b"\r\n")[2]
    answer = await house.raw(f"GET {PING}{version}\r\n".encode() + head)
    assert (answer.status, answer.reason, house.slurm.seen) == (400, "bad_request", [])


NOT_HTTP = {
    "a line without a colon": b"hunter2\r\n",
    "a name with a blank": b"hunter 2: hunter2\r\n",
    "a header above the limit": b"X-A: " + b"hunter2" * 10_000 + b"\r\n",
    "a name above the limit": b"hunter2" * 10_000 + b": a\r\n",
    "two lengths": b"X-A: hunter2\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
}


@pytest.mark.parametrize("case", NOT_HTTP)
async def test_what_is_not_http_is_answered_in_our_own_form_and_nothing_of_it_repeated(house: House, case: str) -> None:
    reader, writer = await house.connect()
    writer.write(b"POST /hunter2 HTTP/1.1\r\nHost: a\r\n" + NOT_HTTP[case] + b"\r\n")
    answer = await fakes.read_answer(reader)
    rest = await reader.read()
    writer.close()
    assert (answer.status, answer.reason, answer.field("server"), rest) == (400, "bad_request", "slurm-gateway", b"")
    assert re.fullmatch("[0-9a-f]{32}", str(answer.field("x-request-id")))
    assert answer.json["request_id"] == answer.field("x-request-id")
    assert "hunter" not in f"{answer.fields}{answer.body!r}{house.log}"


@pytest.mark.parametrize("chunk", [b"2;a=b\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nX-SLURM-USER-NAME: root\r\n\r\n"])
async def test_chunk_extensions_and_trailers_do_not_cross(house: House, chunk: bytes) -> None:
    await house.raw(fakes.encode("POST", SUBMIT, await fields(house, CHUNKED)) + chunk)
    assert all(seen.body == b"{}" and seen.field("x-slurm-user-name") == "alice" for seen in house.slurm.seen)


MALFORMED_CHUNKS = [b"0x2\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"2\r\n{}}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}"]


async def test_malformed_chunks_reach_no_slurmrestd(house: House) -> None:
    head = fakes.encode("POST", SUBMIT, await fields(house, CHUNKED))
    assert [(await house.raw(head + chunks)).status for chunks in MALFORMED_CHUNKS] == [400] * len(MALFORMED_CHUNKS)
    assert house.slurm.seen == []


@pytest.mark.parametrize("framing", [("Content-Length", "2"), CHUNKED])
async def test_who_waits_for_100_continue_is_told_once_let_through(house: House, framing: tuple[str, str]) -> None:
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, ("Expect", "100-continue"), framing)))
    assert (await fakes.read_head(reader))[0] == 100
    writer.write(b"{}" if framing[0] == "Content-Length" else fakes.chunked(b"{}"))
    answer = await fakes.read_answer(reader)
    writer.close()
    assert (answer.status, house.slurm.seen[0].body, house.slurm.seen[0].field("expect")) == (200, b"{}", None)


async def test_who_waits_for_100_continue_without_credentials_is_refused_instead(house: House) -> None:
    answer = await house.raw(fakes.encode("POST", SUBMIT, [("Expect", "100-continue"), ("Content-Length", "2")]))
    assert (answer.status, answer.interim) == (401, ())


@pytest.mark.parametrize("framing", [("Content-Length", "100"), CHUNKED])
async def test_a_body_that_stalls_is_given_up(build: Build, framing: tuple[str, str]) -> None:
    house = await build(server={"body_timeout": "50ms"})
    answer = await house.raw(fakes.encode("POST", SUBMIT, await fields(house, framing)) + b"2\r\n{}\r\n")
    assert (answer.status, answer.reason) == (408, "request_timeout")
    assert all(seen.body == b"" for seen in house.slurm.seen)


@pytest.mark.parametrize("framing", [("Content-Length", "100"), CHUNKED])
async def test_a_body_that_breaks_off_is_never_carried_as_if_it_were_whole(house: House, framing: tuple[str, str]) -> None:
    _, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, framing)) + b"2\r\n{}\r\n")
    await writer.drain()
    writer.close()
    await fakes.until(lambda: "client" in house.log or "body broken off" in house.log)
    await fakes.until(lambda: house.slurm.open == 0)
    assert all(seen.body == b"" for seen in house.slurm.seen)


async def test_an_upload_that_is_under_way_holds_no_place_once_it_broke_off(build: Build) -> None:
    house = await build(clusters__main={"pool": 1})
    _, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, LARGE)) + b"{}")
    await fakes.until(lambda: house.slurm.seen)
    writer.close()
    answer = await house.ask("GET", "/slurm/v0.0.38/ping", await fields(house))
    assert answer.status == 200


async def test_more_chunked_uploads_than_turns_wait_and_then_get_503(build: Build) -> None:
    house = await build(server={"max_chunked": 1, "body_timeout": "200ms"})
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, CHUNKED, ("Expect", "100-continue"))))
    assert (await fakes.read_head(reader))[0] == 100  # it has the turn, and keeps sending

    async def trickle() -> None:
        while True:
            writer.write(b"1\r\n \r\n")
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    answer = await house.raw(fakes.encode("POST", SUBMIT, await fields(house, CHUNKED)) + fakes.chunked(b"{}"))
    trickling.cancel()
    writer.close()
    assert (answer.status, answer.reason, house.slurm.seen) == (503, "upstream_busy", [])


async def test_slurmrestd_may_answer_before_the_upload_is_finished(house: House) -> None:
    house.slurm.behaviour = fakes.replies(fakes.http(413, b"too much"), close=True, body=False)
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house), b"x" * 5_000_000))
    answer = await fakes.read_answer(reader)
    assert (answer.status, answer.body) == (413, b"too much")
    await reader.read()  # the gateway takes the rest, so that the answer is not lost, and closes
    writer.close()


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("sent", [0, 2, 1_900_000])
async def test_an_early_answer_reaches_at_once_a_client_that_sends_nothing_more(build: Build, close: bool, sent: int) -> None:
    house = await build(server={"body_timeout": "60s"}, clusters__main={"read_timeout": "60s"})

    async def answers_early(request: fakes.Request) -> bool:
        await request.reader.readexactly(sent)  # by then the gateway waits for the rest
        await request.say(fakes.http(413, b"too much"))
        return not close

    house.slurm.behaviour = answers_early
    answer = await house.raw(fakes.encode("POST", SUBMIT, await fields(house, LARGE)) + b"x" * sent)
    assert (answer.status, answer.body) == (413, b"too much")


@pytest.mark.parametrize("pieces", [(fakes.http(200, fakes.OK),), (fakes.http(200, fakes.OK)[:-1], fakes.OK[-1:])])
async def test_a_connection_that_had_its_answer_before_the_upload_was_finished_carries_no_other_request(
    house: House, pieces: tuple[bytes, ...]
) -> None:
    """Slurmrestd would take what is sent on it next for the rest of the upload."""
    house.slurm.script = [fakes.replies(*pieces, body=False)]
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, LARGE)) + b"{}")
    first = await fakes.read_answer(reader)
    second = await house.ask("GET", PING, await fields(house))
    writer.close()
    assert (first.body[-22:], second.body) == (fakes.OK[1:], fakes.OK)
    assert [(seen.connection, seen.line) for seen in house.slurm.seen] == [(1, f"POST {SUBMIT} HTTP/1.1"), (2, f"GET {PING} HTTP/1.1")]
    await fakes.until(lambda: house.slurm.open == 1)


async def test_an_upload_is_carried_at_slurmrestds_pace(house: House) -> None:
    """No more of a body is taken from the client than the buffers on the way hold while slurmrestd does not read."""
    gate = asyncio.Event()

    async def waits(request: fakes.Request) -> bool:
        await gate.wait()
        return await fakes.FINE(request)

    house.slurm.behaviour = waits
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, await fields(house, ("Content-Length", "40000000"))))
    sent = 0
    held_back = False
    while not held_back:
        writer.write(b"x" * 100_000)
        sent += 100_000
        try:
            async with asyncio.timeout(0.2):
                await writer.drain()
        except TimeoutError:
            held_back = True
    assert sent < 10_000_000
    gate.set()
    writer.write(b"x" * (40_000_000 - sent))
    assert (await fakes.read_answer(reader)).status == 200
    writer.close()


@pytest.mark.parametrize("body", [b"hello", b"a: b\n--- x", b"a: b\n" + b"#" * 5_000_000])
async def test_yaml_that_ends_slurmrestd_does_not_reach_it(house: House, body: bytes) -> None:
    fields = [*fakes.bearer(await house.token()), ("Content-Type", "application/yaml")]
    answer = await house.ask("POST", "/slurm/v0.0.38/job/7", fields, body)
    assert (answer.status, answer.reason, house.slurm.seen) == (400, "bad_request", [])

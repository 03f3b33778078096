from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.config import Cluster
from gateway.errors import Refusal, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head
from tests.web import fakes

GET = Head(method="GET", target="/slurm/v0.0.38/ping", username="alice", token="t")


@pytest.fixture
async def upstream(cluster: Cluster) -> AsyncIterator[Upstream]:
    """An upstream that must have given every place back by the end of the test."""
    upstream = Upstream(cluster, asyncio.get_running_loop())
    yield upstream
    assert (upstream.pool.taken, upstream.pool.waiting) == (0, 0)
    upstream.pool.close()


async def carried(upstream: Upstream, head: Head = GET, *, repeatable: bool = True, body: AsyncIterator[bytes] | None = None) -> bytes:
    async with upstream.exchange(head, body, repeatable=repeatable) as reply:
        return b"".join([chunk async for chunk in upstream.body(reply)])


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def post(length: int) -> Head:
    return Head(method="POST", target="/slurm/v0.0.38/job/submit", username="alice", token="t", content_length=length)


async def test_a_reply_is_given_once_its_head_is_there(upstream: Upstream) -> None:
    async with upstream.exchange(GET, repeatable=True) as reply:
        assert (reply.status, b"".join([chunk async for chunk in upstream.body(reply)])) == (200, fakes.OK)


async def test_over_a_unix_socket_the_host_is_localhost(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    await carried(upstream)
    assert slurm.seen[0].field("host") == "localhost"


async def test_a_body_is_sent_piece_by_piece(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    await carried(upstream, post(6), repeatable=False, body=pieces(b"ab", b"cd", b"ef"))
    assert slurm.seen[0].body == b"abcdef"


async def test_a_read_is_repeated_once_when_a_kept_connection_turns_out_dead(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.script = [fakes.FINE, fakes.hangs_up(), fakes.FINE]
    await carried(upstream)
    assert (await carried(upstream), len(slurm.seen)) == (fakes.OK, 3)


async def test_a_read_with_a_body_is_not_repeated(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    await carried(upstream)
    slurm.behaviour = fakes.hangs_up()
    with pytest.raises(UpstreamBroken):
        await carried(upstream, post(2), body=pieces(b"{}"))
    assert len(slurm.seen) == 2


async def test_a_repeated_read_takes_no_second_place(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    upstream = Upstream(cluster.model_copy(update={"pool": 1, "pool_wait": 0.05}), asyncio.get_running_loop())
    slurm.script = [fakes.FINE, fakes.hangs_up(), fakes.FINE]
    await carried(upstream)
    assert (await carried(upstream), upstream.pool.taken) == (fakes.OK, 0)
    upstream.pool.close()


WAYS_OUT = {
    "no answer": (fakes.hangs(), UpstreamTimeout),
    "a close": (fakes.hangs_up(), UpstreamBroken),
    "garbage": (fakes.replies(b"garbage\r\n\r\n"), UpstreamBroken),
    "half a body": (fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", close=True), UpstreamBroken),
}


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("case", WAYS_OUT)
async def test_whatever_went_wrong_the_place_comes_back(cluster: Cluster, slurm: fakes.FakeSlurmrestd, case: str, repeatable: bool) -> None:
    upstream = Upstream(cluster.model_copy(update={"answer_timeout": 0.05}), asyncio.get_running_loop())
    slurm.behaviour, expected = WAYS_OUT[case]
    with pytest.raises(expected):
        await carried(upstream, repeatable=repeatable)
    await fakes.until(lambda: slurm.open == 0)
    assert upstream.pool.taken == 0


@pytest.mark.parametrize("when", ["waiting for the head", "reading the body", "sending the body"])
async def test_a_cancelled_request_closes_its_connection_and_gives_its_place_back(upstream: Upstream, slurm: fakes.FakeSlurmrestd, when: str) -> None:
    slurm.script = [fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") if when == "reading the body" else fakes.hangs()]
    answered = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def carry() -> None:
        body = endless() if when == "sending the body" else None
        async with upstream.exchange(post(9) if body else GET, body, repeatable=body is None) as reply:
            answered.set()
            async for _ in upstream.body(reply):
                pass

    task = asyncio.create_task(carry())
    await fakes.until(answered.is_set if when == "reading the body" else lambda: slurm.seen)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await fakes.until(lambda: slurm.open == 0)
    assert (upstream.pool.taken, await carried(upstream)) == (0, fakes.OK)


async def test_a_body_that_fails_is_not_sent_on_as_if_it_were_whole(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    async def fails() -> AsyncIterator[bytes]:
        yield b"{"
        raise Refusal("the client is gone")

    with pytest.raises(Refusal):
        await carried(upstream, post(2), repeatable=False, body=fails())
    await fakes.until(lambda: slurm.open == 0 and len(slurm.seen) == 1)
    assert slurm.seen[0].body == b""


async def test_a_slurmrestd_that_does_not_read_the_body_is_a_timeout(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    async def never_reads(request: fakes.Request) -> bool:
        request.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket has it
        await asyncio.Event().wait()
        return False

    slurm.behaviour = never_reads
    upstream = Upstream(cluster.model_copy(update={"read_timeout": 0.05}), asyncio.get_running_loop())
    with pytest.raises(UpstreamTimeout):
        await carried(upstream, post(10**8), repeatable=False, body=pieces(*[b"x" * 10**6] * 100))
    assert upstream.pool.taken == 0


async def test_a_caller_that_fails_gives_the_connection_back_closed(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    with pytest.raises(ZeroDivisionError):
        async with upstream.exchange(GET, repeatable=True):
            raise ZeroDivisionError
    await fakes.until(lambda: slurm.open == 0)
    assert upstream.pool.taken == 0


async def test_a_caller_that_does_not_take_the_whole_body_gives_the_connection_back_closed(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    async with upstream.exchange(GET, repeatable=True):
        pass
    await fakes.until(lambda: slurm.open == 0)
    assert upstream.pool.taken == 0


async def test_a_ping_is_content_with_any_answer(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.replies(fakes.http(401, b""))
    await upstream.ping()


@pytest.mark.parametrize(
    ("behaviour", "expected"), [(fakes.hangs_up(), UpstreamBroken), (fakes.hangs(), UpstreamTimeout), (None, UpstreamUnreachable)]
)
async def test_a_ping_without_an_answer_is_refused(
    cluster: Cluster, slurm: fakes.FakeSlurmrestd, behaviour: fakes.Behaviour | None, expected: type[Refusal]
) -> None:
    upstream = Upstream(cluster.model_copy(update={"connect_timeout": 0.05}), asyncio.get_running_loop())
    if behaviour is None:
        await slurm.stop()
    else:
        slurm.behaviour = behaviour
    with pytest.raises(expected):
        await upstream.ping()
    assert upstream.pool.taken == 0


# What provably did not leave.


async def test_what_was_not_sent_because_its_connection_had_closed_is_sent_on_another(
    upstream: Upstream, slurm: fakes.FakeSlurmrestd, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await upstream.pool.acquire(GET)
    closed.close()
    monkeypatch.setattr(upstream.pool, "at_once", lambda _: closed)
    await carried(upstream, post(6), repeatable=False, body=pieces(b"ab", b"cd", b"ef"))
    assert [request.body for request in slurm.seen] == [b"abcdef"]


# Several.


@pytest.fixture
async def two(cluster_of_two: Cluster) -> AsyncIterator[Upstream]:
    """An upstream with two slurmrestd, which asks after their health at once and not again."""
    upstream = Upstream(cluster_of_two.model_copy(update={"breaker_check": 3600.0}), asyncio.get_running_loop())
    await carried(upstream)
    await fakes.until(lambda: not upstream.pool.checkup._tasks)
    yield upstream
    assert (upstream.pool.taken, upstream.pool.waiting) == (0, 0)
    upstream.pool.close()


def calls(slurms: list[fakes.FakeSlurmrestd]) -> int:
    return sum("/diag" not in request.line for slurm in slurms for request in slurm.seen) - 1


@pytest.mark.parametrize("number", [0, 1])
async def test_a_read_that_one_broke_off_is_made_at_the_other(two: Upstream, slurms: list[fakes.FakeSlurmrestd], number: int) -> None:
    slurms[number].behaviour = fakes.hangs_up()
    assert [await carried(two) for _ in range(3)] == [fakes.OK] * 3


async def test_a_read_that_both_broke_off_is_not_sent_a_third_time(two: Upstream, slurms: list[fakes.FakeSlurmrestd]) -> None:
    for slurm in slurms:
        slurm.behaviour = fakes.hangs_up()
    with pytest.raises(UpstreamBroken):
        await carried(two)
    assert calls(slurms) == 2


@pytest.mark.parametrize(
    "behaviour",
    [fakes.replies(b"H", close=True), fakes.replies(fakes.http(500, b"{}"), close=True), fakes.replies(b"garbage\r\n\r\n")],
    ids=["a byte", "an error", "garbage"],
)
async def test_a_read_that_was_answered_is_not_sent_again(two: Upstream, slurms: list[fakes.FakeSlurmrestd], behaviour: fakes.Behaviour) -> None:
    for slurm in slurms:
        slurm.behaviour = behaviour
    with contextlib.suppress(UpstreamBroken):
        await carried(two)
    assert calls(slurms) == 1


async def test_what_changes_something_is_sent_to_one_of_them_once(two: Upstream, slurms: list[fakes.FakeSlurmrestd]) -> None:
    for slurm in slurms:
        slurm.behaviour = fakes.hangs_up()
    with pytest.raises(UpstreamBroken):
        await carried(two, post(2), repeatable=False, body=pieces(b"{}"))
    assert calls(slurms) == 1


@pytest.mark.parametrize("number", [0, 1])
async def test_what_changes_something_goes_to_the_one_that_is_there(two: Upstream, slurms: list[fakes.FakeSlurmrestd], number: int) -> None:
    await slurms[number].stop()
    for _ in range(4):
        await carried(two, post(6), repeatable=False, body=pieces(b"abc", b"def"))
    assert [request.body for request in slurms[1 - number].seen if "job/submit" in request.line] == [b"abcdef"] * 4


async def test_they_are_well_if_one_is(two: Upstream, slurms: list[fakes.FakeSlurmrestd]) -> None:
    await slurms[0].stop()
    await two.ping()


async def test_if_none_is_the_cause_tells_of_each_by_its_number(two: Upstream, slurms: list[fakes.FakeSlurmrestd]) -> None:
    for slurm in slurms:
        await slurm.stop()
    with pytest.raises(UpstreamUnreachable) as caught:
        await two.ping()
    assert [part.split(":")[0] for part in caught.value.cause.split("; ")] == ["0", "1"]
    assert "slurmrestd.sock" not in caught.value.cause


async def test_a_small_body_goes_out_with_its_head(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    async with upstream.exchange(post(5), b"small", repeatable=False) as reply:
        assert reply.status == 200
    assert slurm.seen[0].body == b"small"


async def test_a_small_body_is_sent_once_whatever_becomes_of_it(upstream: Upstream, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.script = [fakes.FINE, fakes.hangs_up()]
    await carried(upstream)
    with pytest.raises(UpstreamBroken):
        async with upstream.exchange(post(5), b"small", repeatable=False):
            pass
    assert len(slurm.seen) == 2

"""What is asked of slurmrestd beside the calls, and what follows: seen from the calls that go or do not go there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import structlog

from gateway.config import Cluster
from gateway.errors import UpstreamBroken, UpstreamUnreachable
from gateway.proxy.breaker import State
from gateway.proxy.checkup import _diag
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head
from tests.web import fakes

PING = Head(method="GET", target="/slurm/v0.0.38/ping", username="alice", token="t")
SHORT = {"breaker_open": 0.02, "breaker_probe": 0.3, "breaker_silence": 0.05, "connect_timeout": 0.2, "answer_timeout": 5.0}


async def carried(upstream: Upstream, head: Head = PING, *, repeatable: bool = True) -> int:
    async with upstream.exchange(head, repeatable=repeatable) as reply:
        async for _ in upstream.body(reply):
            pass
        return reply.status


def lines(slurm: fakes.FakeSlurmrestd) -> list[str]:
    return [request.line.split()[1] for request in slurm.seen]


@contextlib.asynccontextmanager
async def opened(cluster: Cluster, **settings: object) -> AsyncIterator[Upstream]:
    upstream = Upstream(cluster.model_copy(update={**SHORT, **settings}), asyncio.get_running_loop())
    yield upstream
    assert (upstream.pool.taken, upstream.pool.waiting) == (0, 0)
    upstream.pool.close()


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/slurm/v0.0.38/jobs?update_time=1", "/slurm/v0.0.38/diag"),
        ("/slurmdb/v0.0.42/jobs", "/slurm/v0.0.42/diag"),
        ("/openapi/v3", "/openapi"),
        ("/slurm/v0.0.38x/jobs", "/openapi"),
        ("/slurm/v0.0.99999/jobs", "/openapi"),
    ],
)
def test_a_question_is_in_the_calls_name_and_version_and_never_the_call_itself(target: str, asked: str) -> None:
    question = _diag(Head(method="POST", target=target, username="alice", token="t", content_type="application/json", content_length=7))
    assert question == Head(method="GET", target=asked, username="alice", token="t")


# Breaking off.


async def test_a_slurmrestd_that_breaks_off_every_call_is_left_alone(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.hangs_up()
    async with opened(cluster, breaker_open=60.0) as upstream:
        for _ in range(3):
            with pytest.raises(UpstreamBroken):
                await carried(upstream)
        await fakes.until(lambda: upstream.endpoints[0].breaker.state is State.OPEN)
        with pytest.raises(UpstreamUnreachable):
            await carried(upstream)
    assert lines(slurm) == ["/slurm/v0.0.38/ping"] * 3 + ["/openapi"]


async def test_one_that_breaks_off_one_persons_calls_but_lives_is_not(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.script = [fakes.hangs_up()] * 3
    async with opened(cluster) as upstream:
        for _ in range(3):
            with pytest.raises(UpstreamBroken):
                await carried(upstream)
        await fakes.until(lambda: not upstream.endpoints[0].troubled)
        assert (await carried(upstream), upstream.endpoints[0].suspected) == (200, False)


@pytest.mark.parametrize("status", [200, 401, 404, 500, 503])
async def test_answers_of_any_status_are_no_failures(cluster: Cluster, slurm: fakes.FakeSlurmrestd, status: int) -> None:
    slurm.behaviour = fakes.replies(fakes.http(status, b"{}"), close=status >= 400)
    async with opened(cluster) as upstream:
        assert [await carried(upstream) for _ in range(5)] == [status] * 5
        assert not upstream.endpoints[0].troubled


async def test_clients_that_go_away_are_no_failures(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.hangs()
    async with opened(cluster, breaker_silence=60.0) as upstream:
        for number in range(1, 6):
            task = asyncio.create_task(carried(upstream))
            await fakes.until(lambda number=number: len(slurm.seen) == number)  # type: ignore[misc]  # mypy does not know what a default is of
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not upstream.endpoints[0].troubled


# Silence.


async def test_one_that_hangs_is_left_alone_until_it_answers(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    gate = fakes.Gate()
    slurm.behaviour = gate
    async with opened(cluster, breaker_open=60.0) as upstream:
        waiting = asyncio.create_task(carried(upstream))
        await fakes.until(lambda: upstream.endpoints[0].breaker.state is State.OPEN)
        with pytest.raises(UpstreamUnreachable):
            await carried(upstream)
        gate.open.set()
        assert (await waiting, await carried(upstream)) == (200, 200)


async def test_one_that_is_slow_but_refuses_strangers_is_not(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    gate = fakes.Gate()
    slurm.script = [gate]
    async with opened(cluster) as upstream:
        waiting = asyncio.create_task(carried(upstream))
        await fakes.until(lambda: "/openapi" in lines(slurm))
        await fakes.until(lambda: not upstream.endpoints[0].suspected)
        assert upstream.endpoints[0].breaker.closed
        gate.open.set()
        await waiting


async def test_nobody_looks_after_one_that_has_no_calls(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    async with opened(cluster, breaker_silence=0.01) as upstream:
        await carried(upstream)
        await fakes.until(lambda: upstream.endpoints[0].watch is None)
        assert lines(slurm) == ["/slurm/v0.0.38/ping"]


# Being asked in again.


@pytest.mark.parametrize("status", [200, 401, 500, 511])
async def test_any_answer_lets_it_in_again(cluster: Cluster, slurm: fakes.FakeSlurmrestd, status: int) -> None:
    slurm.script = [fakes.replies(fakes.http(status, b"{}"), close=True)]
    async with opened(cluster) as upstream:
        upstream.pool.checkup._trip(upstream.endpoints[0])
        await fakes.until(lambda: upstream.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
        assert (await carried(upstream), lines(slurm)) == (200, ["/slurm/v0.0.38/diag", "/slurm/v0.0.38/ping"])


@pytest.mark.parametrize("behaviour", [fakes.hangs(), fakes.hangs_up()], ids=["hangs", "hangs up"])
async def test_without_an_answer_it_is_left_alone_again_and_the_call_was_not_sent(
    cluster: Cluster, slurm: fakes.FakeSlurmrestd, behaviour: fakes.Behaviour
) -> None:
    slurm.behaviour = behaviour
    async with opened(cluster, breaker_probe=0.05) as upstream:
        upstream.pool.checkup._trip(upstream.endpoints[0])
        await fakes.until(lambda: upstream.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
        with pytest.raises(UpstreamUnreachable):
            await carried(upstream, Head(method="POST", target="/slurm/v0.0.38/job/submit", username="alice", token="t"), repeatable=False)
        assert (lines(slurm), upstream.endpoints[0].breaker.state) == (["/slurm/v0.0.38/diag"], State.OPEN)


async def test_a_health_check_that_is_answered_lets_it_in_again(cluster: Cluster) -> None:
    async with opened(cluster, breaker_open=60.0) as upstream:
        upstream.pool.checkup._trip(upstream.endpoints[0])
        await upstream.ping()
        assert await carried(upstream) == 200


# Telling.


async def test_the_log_tells_once_that_one_is_left_alone_and_once_that_it_is_back(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.hangs_up()
    with structlog.testing.capture_logs() as told:
        async with opened(cluster, breaker_open=0.001) as upstream:
            upstream.pool.checkup._trip(upstream.endpoints[0])
            for _ in range(3):
                await fakes.until(lambda: upstream.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
                with pytest.raises(UpstreamUnreachable):
                    await carried(upstream)
            slurm.behaviour = fakes.FINE
            await fakes.until(lambda: upstream.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
            await carried(upstream)
    assert [line["event"] for line in told] == ["slurmrestd_left_alone", "slurmrestd_answers_again"]


# Several.


async def test_one_that_refuses_what_another_grants_is_not_used(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    slurms[1].behaviour = fakes.replies(fakes.http(500, b"{}"), close=True)
    async with opened(cluster_of_two, breaker_check=60.0) as upstream:
        await carried(upstream)
        await fakes.until(lambda: upstream.endpoints[1].ailing)
        assert [await carried(upstream) for _ in range(6)] == [200] * 6


async def test_where_both_refuse_neither_is_to_blame(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    for slurm in slurms:
        slurm.behaviour = fakes.replies(fakes.http(500, b"{}"), close=True)
    async with opened(cluster_of_two, breaker_check=60.0) as upstream:
        await carried(upstream)
        await fakes.until(lambda: all("/slurm/v0.0.38/diag" in lines(slurm) for slurm in slurms))
        await fakes.until(lambda: not upstream.pool.checkup._tasks)
        assert [endpoint.ailing for endpoint in upstream.endpoints] == [False, False]


async def test_one_that_is_well_again_is_used_again(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    slurms[1].behaviour = fakes.replies(fakes.http(500, b"{}"), close=True)
    async with opened(cluster_of_two, breaker_check=0.01) as upstream:
        await carried(upstream)
        await fakes.until(lambda: upstream.endpoints[1].ailing)
        slurms[1].behaviour = fakes.FINE
        while upstream.endpoints[1].ailing:
            await carried(upstream)
        before = len(slurms[1].seen)
        while len(slurms[1].seen) < before + 2:
            await carried(upstream)


async def test_reads_that_hang_at_one_are_made_at_the_other_and_what_changes_something_is_not(
    cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]
) -> None:
    slurms[0].behaviour = fakes.hangs()
    post = Head(method="POST", target="/slurm/v0.0.38/job/submit", username="bob", token="t")
    async with opened(cluster_of_two, breaker_check=60.0, breaker_open=60.0, answer_timeout=1.0) as upstream:
        reads = [asyncio.create_task(carried(upstream)) for _ in range(2)]
        await fakes.until(lambda: upstream.endpoints[0].taken == 1)
        submissions = [asyncio.create_task(carried(upstream, post, repeatable=False)) for _ in range(2)]
        assert await asyncio.gather(*reads) == [200, 200]
        outcomes = await asyncio.gather(*submissions, return_exceptions=True)
        assert sum(isinstance(outcome, Exception) for outcome in outcomes) == lines(slurms[0]).count("/slurm/v0.0.38/job/submit") == 1
        assert lines(slurms[1]).count("/slurm/v0.0.38/job/submit") == 1


async def test_one_that_was_down_takes_calls_again(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    async with opened(cluster_of_two) as upstream:
        await slurms[0].stop()
        while upstream.endpoints[0].breaker.closed:
            assert await carried(upstream) == 200
        slurms[0].path.unlink(missing_ok=True)
        await slurms[0].start()
        async with asyncio.timeout(fakes.LIMIT):
            while "/slurm/v0.0.38/ping" not in lines(slurms[0]):
                assert await carried(upstream) == 200
        assert upstream.endpoints[0].breaker.closed


async def test_where_the_last_one_fails_a_call_waits_for_one_that_is_just_being_asked(
    cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]
) -> None:
    async with opened(cluster_of_two, breaker_check=60.0, breaker_open=0.001, breaker_probe=5.0) as upstream:
        await carried(upstream)
        await fakes.until(lambda: not upstream.pool.checkup._tasks)
        gate = fakes.Gate()
        slurms[0].script = [gate]
        upstream.pool.checkup._trip(upstream.endpoints[0])
        await fakes.until(lambda: upstream.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
        await slurms[1].stop()
        post = Head(method="POST", target="/slurm/v0.0.38/job/submit", username="bob", token="t")
        waiting = asyncio.create_task(carried(upstream, post, repeatable=False))
        await fakes.until(lambda: not slurms[0].script)
        gate.open.set()
        assert (await waiting, lines(slurms[0])[-2:]) == (200, ["/slurm/v0.0.38/diag", "/slurm/v0.0.38/job/submit"])

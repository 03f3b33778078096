from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

import pytest

from gateway.config import Cluster, Fairness
from gateway.errors import Refusal, TooManyCalls, UpstreamBusy, UpstreamUnreachable
from gateway.proxy.connection import Connection
from gateway.proxy.headers import Head
from gateway.proxy.pool import Pool
from tests.web import fakes

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CALL = Head(method="GET", target="/slurm/v0.0.38/ping", username="alice", token="t")


def changed(cluster: Cluster, **settings: object) -> Cluster:
    return cluster.model_copy(update=settings)


async def used(connection: Connection) -> Connection:
    """Carry a whole, good exchange."""
    reply = connection.start(HEAD)
    await reply.head(1.0)
    async for _ in reply.chunks(1.0):
        pass
    return connection


@pytest.fixture
def pool(cluster: Cluster, event_loop_of_the_test: asyncio.AbstractEventLoop) -> Pool:
    return Pool(cluster, event_loop_of_the_test)


@pytest.fixture
async def event_loop_of_the_test() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_a_connection_that_was_good_is_given_out_again(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    first = await used(await pool.acquire(CALL, fresh=False))
    pool.release(first)
    second = await pool.acquire(CALL, fresh=False)
    assert (second is first, slurm.connections) == (True, 1)
    second.close()
    pool.release(second)


async def test_who_asks_for_a_fresh_one_gets_a_new_one(pool: Pool) -> None:
    first = await used(await pool.acquire(CALL, fresh=False))
    pool.release(first)
    second = await pool.acquire(CALL, fresh=True)
    assert second is not first
    pool.release(second)
    pool.close()


async def test_a_connection_that_was_not_good_is_closed(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    connection = await pool.acquire(CALL, fresh=False)
    connection.start(HEAD)  # no reply was waited for
    pool.release(connection)
    await fakes.until(lambda: slurm.connections == 1 and slurm.open == 0)
    assert pool.taken == 0


async def test_a_connection_that_slurmrestd_closed_while_it_idled_is_not_given_out(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    slurm.script = [fakes.replies(fakes.http(200, b"{}"), close=True)]
    first = await used(await pool.acquire(CALL, fresh=False))
    pool.release(first)
    await fakes.until(lambda: not first.reusable)
    second = await pool.acquire(CALL, fresh=False)
    assert second is not first
    pool.release(second)
    pool.close()


async def test_no_more_connections_than_places_are_open_at_once(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    idle = [await used(await pool.acquire(CALL, fresh=True)) for _ in range(2)]
    for connection in idle:
        pool.release(connection)
    fresh = [await pool.acquire(CALL, fresh=True) for _ in range(2)]
    await fakes.until(lambda: slurm.connections == 4)
    await fakes.until(lambda: slurm.open == 2)
    for connection in fresh:
        connection.close()
        pool.release(connection)


async def test_who_waits_gets_the_place_that_becomes_free_first_come_first_served(pool: Pool) -> None:
    held = [await pool.acquire(CALL, fresh=True) for _ in range(2)]
    order: list[int] = []

    async def wait(number: int) -> Connection:
        connection = await pool.acquire(CALL, fresh=True)
        order.append(number)
        return connection

    waiting = [asyncio.create_task(wait(number)) for number in range(2)]
    await fakes.until(lambda: pool.waiting == 2)
    for connection in held:
        connection.close()
        pool.release(connection)
    for task in waiting:
        connection = await task
        connection.close()
        pool.release(connection)
    assert (order, pool.taken, pool.waiting) == ([0, 1], 0, 0)


async def test_who_waits_too_long_is_refused_and_leaves_no_trace(cluster: Cluster) -> None:
    pool = Pool(changed(cluster, pool=1, pool_wait=0.01), asyncio.get_running_loop())
    held = await pool.acquire(CALL, fresh=True)
    with pytest.raises(UpstreamBusy):
        await pool.acquire(CALL, fresh=False)
    assert (pool.taken, pool.waiting) == (1, 0)
    held.close()
    pool.release(held)


async def test_who_was_cancelled_while_waiting_takes_no_place(cluster: Cluster) -> None:
    pool = Pool(changed(cluster, pool=1), asyncio.get_running_loop())
    held = await pool.acquire(CALL, fresh=True)
    waiting = asyncio.create_task(pool.acquire(CALL, fresh=True))
    await fakes.until(lambda: pool.waiting == 1)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert (pool.taken, pool.waiting) == (1, 0)
    held.close()
    pool.release(held)
    again = await pool.acquire(CALL, fresh=True)
    again.close()
    pool.release(again)


async def test_who_was_cancelled_just_as_the_place_came_hands_it_on(cluster: Cluster) -> None:
    pool = Pool(changed(cluster, pool=1), asyncio.get_running_loop())
    held = await pool.acquire(CALL, fresh=True)
    first, second = asyncio.create_task(pool.acquire(CALL, fresh=True)), asyncio.create_task(pool.acquire(CALL, fresh=True))
    await fakes.until(lambda: pool.waiting == 2)
    held.close()
    pool.release(held)  # the first one has the place from here on
    first.cancel()
    connection = await second
    connection.close()
    pool.release(connection)
    assert (pool.taken, pool.waiting) == (0, 0)


async def test_a_place_that_comes_free_as_a_waiter_is_cancelled_goes_to_the_next_one(cluster: Cluster) -> None:
    pool = Pool(changed(cluster, pool=1), asyncio.get_running_loop())
    held = await pool.acquire(CALL, fresh=True)
    first, second = asyncio.create_task(pool.acquire(CALL, fresh=True)), asyncio.create_task(pool.acquire(CALL, fresh=True))
    await fakes.until(lambda: pool.waiting == 2)
    first.cancel()
    held.close()
    pool.release(held)  # in the same tick: nobody has noticed yet that the first one gave up
    connection = await second
    connection.close()
    pool.release(connection)
    assert (first.cancelled(), pool.taken, pool.waiting) == (True, 0, 0)


async def test_a_place_that_comes_free_as_the_only_waiter_is_cancelled_is_free(cluster: Cluster) -> None:
    pool = Pool(changed(cluster, pool=1), asyncio.get_running_loop())
    held = await pool.acquire(CALL, fresh=True)
    waiting = asyncio.create_task(pool.acquire(CALL, fresh=True))
    await fakes.until(lambda: pool.waiting == 1)
    waiting.cancel()
    held.close()
    pool.release(held)
    await asyncio.gather(waiting, return_exceptions=True)
    assert (waiting.cancelled(), pool.taken, pool.waiting) == (True, 0, 0)


@pytest.mark.parametrize("released_first", [True, False])
async def test_who_has_waited_too_long_as_a_place_comes_free_is_refused_or_has_it(cluster: Cluster, released_first: bool) -> None:
    loop = asyncio.get_running_loop()
    pool = Pool(changed(cluster, pool=1, pool_wait=0.02), loop)
    held = await pool.acquire(CALL, fresh=True)
    held.close()
    waiting = asyncio.create_task(pool.acquire(CALL, fresh=True))
    await asyncio.sleep(0)
    # Due in the same turn of the loop as the waiter's limit, just before or just after it.
    loop.call_at(loop.time() + (0.0199 if released_first else 0.0201), pool.release, held)
    time.sleep(0.03)  # noqa: ASYNC251 - so that both are due when the loop looks next
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
    if isinstance(outcome, Connection):
        outcome.close()
        pool.release(outcome)
    else:
        assert isinstance(outcome, UpstreamBusy)
    assert (pool.taken, pool.waiting) == (0, 0)


async def test_a_place_comes_back_when_the_connection_cannot_be_opened(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    await slurm.stop()
    pool = Pool(changed(cluster, pool=1), asyncio.get_running_loop())
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await pool.acquire(CALL, fresh=False)
    assert pool.taken == 0


@pytest.mark.parametrize("url", ["unix:/nowhere/slurmrestd.sock", "http://127.0.0.1:1"])
async def test_a_slurmrestd_that_is_not_there_is_unreachable(url: str) -> None:
    pool = Pool(Cluster.model_validate({"url": url, "jwt_key_file": "/nowhere"}), asyncio.get_running_loop())
    with pytest.raises(UpstreamUnreachable):
        await pool.acquire(CALL, fresh=True)


async def test_a_slurmrestd_that_takes_no_more_connections_is_unreachable_after_a_while(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as full, contextlib.ExitStack() as others:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the backlog is full, and the kernel drops what comes then
            client = others.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        settings = Cluster.model_validate(
            {"url": f"http://127.0.0.1:{full.getsockname()[1]}", "jwt_key_file": str(tmp_path), "connect_timeout": "50ms"}
        )
        pool = Pool(settings, asyncio.get_running_loop())
        with pytest.raises(UpstreamUnreachable):
            await pool.acquire(CALL, fresh=True)
        assert pool.taken == 0


async def test_a_connection_that_idles_too_long_is_closed(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    pool = Pool(changed(cluster, pool_idle=0.02), asyncio.get_running_loop())
    held = [await used(await pool.acquire(CALL, fresh=True)) for _ in range(2)]
    for connection in held:
        pool.release(connection)
    await fakes.until(lambda: slurm.open == 0)
    assert (slurm.connections, pool.taken) == (2, 0)


async def test_closing_the_pool_closes_what_idles(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    pool.release(await used(await pool.acquire(CALL, fresh=True)))
    pool.close()
    await fakes.until(lambda: slurm.open == 0)


async def test_what_is_released_after_the_pool_was_closed_is_closed(pool: Pool, slurm: fakes.FakeSlurmrestd) -> None:
    connection = await used(await pool.acquire(CALL, fresh=True))
    pool.close()
    pool.release(connection)
    await fakes.until(lambda: slurm.open == 0)
    assert (slurm.connections, pool.taken) == (1, 0)


async def test_a_kept_connection_whose_end_the_loop_has_not_seen_yet_is_not_used(pool: Pool) -> None:
    first = await used(await pool.acquire(CALL, fresh=False))
    pool.release(first)
    ours = first._transport.get_extra_info("socket") if first._transport else None
    assert ours is not None
    with socket.socket(fileno=os.dup(ours.fileno())) as same:
        same.shutdown(socket.SHUT_RD)  # the kernel knows it at once, the loop only when it next looks
    second = await pool.acquire(CALL, fresh=False)
    assert second is not first
    pool.release(second)


# Turns.


def call(user: str) -> Head:
    return Head(method="GET", target="/slurm/v0.0.38/ping", username=user, token="t")


def fair(cluster: Cluster, *, pool: int = 2, workers: int = 1, refused: list[str] | None = None, **settings: int) -> Pool:
    told = [] if refused is None else refused
    return Pool(
        changed(cluster, pool=pool),
        asyncio.get_running_loop(),
        fairness=Fairness.model_validate(settings),
        workers=workers,
        refused=told.append,
    )


def back(pool: Pool, *connections: Connection) -> None:
    for connection in connections:
        connection.close()
        pool.release(connection)


async def queued(pool: Pool, *users: str) -> list[asyncio.Task[Connection]]:
    """Have somebody wait for each name, one after the other."""
    tasks = []
    for user in users:
        before = pool.waiting
        tasks.append(asyncio.create_task(pool.acquire(call(user))))
        await fakes.until(lambda before=before: pool.waiting == before + 1)  # type: ignore[misc]  # mypy does not know what a default is of
    return tasks


async def test_one_person_may_have_so_many_calls_and_another_one_goes_past_them(cluster: Cluster) -> None:
    pool = fair(cluster, pool=3, per_user=2)
    held = [await pool.acquire(call("alice")) for _ in range(2)]
    third = (await queued(pool, "alice"))[0]
    bobs = await pool.acquire(call("bob"))
    assert (pool.taken, pool.waiting, pool.held_back) == (3, 1, 1)
    back(pool, held[0])
    back(pool, await third, held[1], bobs)
    assert (pool.taken, pool.waiting) == (0, 0)


async def test_who_waits_goes_in_turn_with_the_others(cluster: Cluster) -> None:
    pool, order = fair(cluster, pool=1), []
    held = await pool.acquire(call("alice"))
    tasks = await queued(pool, "alice", "alice", "alice", "bob")

    def hand_on(task: asyncio.Task[Connection]) -> None:
        order.append(task.result().user)
        back(pool, task.result())

    for task in tasks:
        task.add_done_callback(hand_on)
    back(pool, held)
    await fakes.until(lambda: len(order) == 4)
    assert (order, pool.taken) == (["alice", "bob", "alice", "alice"], 0)


async def test_each_worker_has_its_share_of_what_one_person_may_have(cluster: Cluster) -> None:
    pool = fair(cluster, pool=8, workers=4, per_user=8)
    held = [await pool.acquire(call("alice")) for _ in range(2)]
    waiting = (await queued(pool, "alice"))[0]
    back(pool, held[0])
    back(pool, held[1], await waiting)


BOUNDS = [
    ({"per_user": 1, "waiting_per_user": 2}, TooManyCalls, "full_waiting_per_user"),
    ({"per_user": 1, "waiting": 2}, UpstreamBusy, "full_waiting"),
]


@pytest.mark.parametrize(("settings", "refusal", "reason"), BOUNDS)
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(
    cluster: Cluster, settings: dict[str, int], refusal: type[Refusal], reason: str
) -> None:
    refused: list[str] = []
    pool = fair(cluster, refused=refused, **settings)
    held = await pool.acquire(call("alice"))
    waiting = await queued(pool, "alice", "alice")
    with pytest.raises(refusal) as caught:
        await pool.acquire(call("alice"))
    assert (dict(caught.value.headers), pool.waiting, refused) == ({"Retry-After": "2"}, 2, [reason])
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    back(pool, held)
    assert (pool.taken, pool.waiting) == (0, 0)


async def test_who_waits_too_long_is_told_when_to_come_back(cluster: Cluster) -> None:
    refused: list[str] = []
    pool = fair(changed(cluster, pool_wait=0.01), refused=refused, per_user=1)
    held = await pool.acquire(call("alice"))
    with pytest.raises(UpstreamBusy) as caught:
        await pool.acquire(call("alice"))
    back(pool, held)
    assert (dict(caught.value.headers), refused) == ({"Retry-After": "2"}, ["waited_too_long"])


async def test_what_is_free_is_had_at_once(cluster: Cluster) -> None:
    pool = fair(cluster, per_user=1)
    assert pool.at_once(CALL) is None  # nothing is kept yet
    first = await used(await pool.acquire(CALL))
    pool.release(first)
    assert pool.at_once(CALL) is first
    assert (pool.at_once(CALL), pool.at_once(call("bob")), pool.taken) == (None, None, 1)
    back(pool, first)
    assert (pool.at_once(CALL), pool.taken) == (None, 0)


# Breaker.


async def test_after_some_failures_nobody_is_sent_and_everybody_who_waits_is_told(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    refused: list[str] = []
    pool = fair(changed(cluster, breaker_open=60.0), pool=1, refused=refused)
    held = await pool.acquire(CALL)
    waiting = await queued(pool, *"abcde")
    await slurm.stop()
    back(pool, held)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(UpstreamUnreachable) as caught:
        await pool.acquire(CALL)
    causes = [outcome.cause for outcome in outcomes if isinstance(outcome, UpstreamUnreachable)]
    assert causes[3:] == ["breaker_open"] * 2
    assert all(cause.startswith("connect failed") for cause in causes[:3])
    assert (caught.value.cause, dict(caught.value.headers), pool.taken, pool.waiting) == ("breaker_open", {"Retry-After": "60"}, 0, 0)
    assert refused == ["breaker_open"] * 3
    pool.close()


async def test_an_answer_to_the_first_question_lets_the_next_call_in(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    pool = fair(changed(cluster, breaker_open=0.02, breaker_failures=1))
    await slurm.stop()
    with pytest.raises(UpstreamUnreachable):
        await pool.acquire(CALL)
    slurm.path.unlink(missing_ok=True)
    await slurm.start()
    await fakes.until(lambda: pool.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
    connection = await pool.acquire(CALL)
    assert [request.line for request in slurm.seen] == ["GET /slurm/v0.0.38/diag HTTP/1.1"]
    back(pool, connection)
    pool.close()


async def test_while_the_question_is_asked_whoever_lent_it_the_name_waits_and_the_others_are_refused(
    cluster: Cluster, slurm: fakes.FakeSlurmrestd
) -> None:
    pool = fair(changed(cluster, breaker_open=0.001))
    gate = fakes.Gate()
    slurm.behaviour = gate
    pool.checkup._trip(pool.endpoints[0])
    await fakes.until(lambda: pool.endpoints[0].breaker.due(asyncio.get_running_loop().time()))
    first = (await queued(pool, "alice"))[0]
    with pytest.raises(UpstreamUnreachable):
        await pool.acquire(call("bob"))
    gate.open.set()
    back(pool, await first)
    back(pool, await pool.acquire(call("bob")))
    pool.close()


# Several.


async def test_calls_are_spread_over_all(cluster_of_two: Cluster) -> None:
    pool = fair(cluster_of_two)
    held = [await pool.acquire(CALL) for _ in range(4)]
    assert [endpoint.taken for endpoint in pool.endpoints] == [2, 2]
    back(pool, *held)
    pool.close()


async def test_where_one_cannot_be_reached_the_call_goes_to_the_other(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    pool = fair(cluster_of_two)
    await slurms[0].stop()
    for _ in range(10):
        connection = await pool.acquire(CALL)
        assert connection.origin.number == 1
        back(pool, connection)
    pool.close()


async def test_where_none_can_be_reached_each_is_tried_once(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    pool = fair(changed(cluster_of_two, breaker_failures=100))
    for slurm in slurms:
        await slurm.stop()
    with pytest.raises(UpstreamUnreachable):
        await pool.acquire(CALL)
    assert (pool.taken, all(endpoint.troubled for endpoint in pool.endpoints)) == (0, True)
    pool.close()


async def test_a_doubtful_one_is_tried_before_a_call_is_refused(cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]) -> None:
    pool = fair(changed(cluster_of_two, breaker_failures=100))
    pool.endpoints[0].ailing = True
    pool._review()
    await slurms[1].stop()
    connection = await pool.acquire(CALL)
    assert (connection.origin.number, pool.endpoints[1].troubled) == (0, True)
    back(pool, connection)
    pool.close()


async def test_where_the_last_one_fails_those_left_alone_are_asked_before_their_time(
    cluster_of_two: Cluster, slurms: list[fakes.FakeSlurmrestd]
) -> None:
    pool = fair(changed(cluster_of_two, breaker_open=600.0))
    pool.checkup._trip(pool.endpoints[0])
    await slurms[1].stop()
    connection = await pool.acquire(CALL)
    assert (connection.origin.number, [request.line.split()[1] for request in slurms[0].seen]) == (0, ["/slurm/v0.0.38/diag"])
    back(pool, connection)
    pool.close()


async def test_the_only_one_is_not_asked_before_its_time(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    pool = fair(changed(cluster, breaker_open=600.0, breaker_failures=1))
    await slurm.stop()
    for _ in range(2):
        with pytest.raises(UpstreamUnreachable):
            await pool.acquire(CALL)
    assert pool.endpoints[0].asking == 0
    assert not pool.checkup._tasks
    pool.close()


async def test_where_the_other_one_ails_a_call_goes_back_to_the_one_that_hung_up(cluster_of_two: Cluster) -> None:
    pool = fair(cluster_of_two)
    pool.endpoints[1].ailing = True
    pool._review()
    connection = await pool.acquire(CALL, fresh=True, avoid=pool.endpoints[0])
    assert connection.origin.number == 0
    back(pool, connection)
    pool.close()


async def test_where_the_other_one_is_full_a_call_goes_back_at_once_to_the_one_that_hung_up(cluster_of_two: Cluster) -> None:
    pool = fair(cluster_of_two)
    pool.endpoints[1].taken = pool.endpoints[1].places
    async with asyncio.timeout(0.5):
        connection = await pool.acquire(CALL, fresh=True, avoid=pool.endpoints[0])
    assert connection.origin.number == 0
    pool.endpoints[1].taken = 0
    back(pool, connection)
    pool.close()


async def test_a_call_waits_for_the_first_that_is_well_again_and_not_for_one_that_hangs(tmp_path: Path, slurms: list[fakes.FakeSlurmrestd]) -> None:
    (tmp_path / "third").mkdir()
    async with fakes.slurmrestd(tmp_path / "third") as hangs:
        gate = fakes.Gate()
        hangs.script = [gate]
        urls = [*(slurm.url for slurm in slurms), hangs.url]
        pool = fair(Cluster.model_validate({"urls": urls, "jwt_key_file": "/nowhere", "connect_timeout": "1s", "breaker_probe": "60s"}))
        for number in (1, 2):
            pool.checkup._trip(pool.endpoints[number])
        await slurms[0].stop()
        async with asyncio.timeout(5):
            connection = await pool.acquire(CALL)
        assert connection.origin.number == 1
        gate.open.set()
        back(pool, connection)
        pool.close()

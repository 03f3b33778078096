from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.threads import Job, Threads, one_by_one


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads(2, one_by_one)
    yield threads
    await asyncio.to_thread(threads.close)


async def test_work_is_done_on_another_thread_and_its_result_returned(threads: Threads) -> None:
    assert await threads.do(lambda _: threading.current_thread(), 5.0) in threads._threads


async def test_no_thread_is_started_before_there_is_work(threads: Threads) -> None:
    assert threads._threads == []
    await threads.do(lambda _: None, 5.0)
    assert len(threads._threads) == 2


async def test_pieces_of_work_go_on_side_by_side(threads: Threads) -> None:
    both = threading.Barrier(2)
    assert sorted(await asyncio.gather(*(threads.do(lambda _: both.wait(10), 5.0) for _ in range(2)))) == [0, 1]


async def test_what_work_raises_is_raised(threads: Threads) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.do(lambda _: 1 // 0, 5.0)


async def test_whoever_waits_gives_up_in_time_and_what_has_not_begun_is_not_done(threads: Threads) -> None:
    go = threading.Event()
    done: list[object] = []
    held = [asyncio.create_task(threads.do(lambda _: go.wait(10), 5.0)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await threads.do(done.append, 0.01)
    go.set()
    await asyncio.gather(*held)
    await asyncio.to_thread(threads.close)
    assert done == []


async def test_nobody_gives_up_what_has_begun_for_it_may_be_done(threads: Threads) -> None:
    go = threading.Event()

    def work(job: Job) -> str:
        job.begun = True
        assert go.wait(10)
        return "done"

    task = asyncio.create_task(threads.do(work, 0.01))
    await asyncio.to_thread(lambda: go.wait(0.05))
    go.set()
    assert await task == "done"


async def test_work_learns_that_it_was_given_up(threads: Threads) -> None:
    go, learnt = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        assert go.wait(10)
        with pytest.raises(TimeoutError):
            job.require()
        learnt.set()

    with pytest.raises(TimeoutError):
        await threads.do(work, 0.01)
    go.set()
    assert await asyncio.to_thread(learnt.wait, 10)


async def test_work_whose_caller_is_cancelled_is_done_all_the_same(threads: Threads) -> None:
    go, done = threading.Event(), threading.Event()
    held = [asyncio.create_task(threads.do(lambda _: go.wait(10), 5.0)) for _ in range(2)]
    task = asyncio.create_task(threads.do(lambda _: done.set(), 5.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    go.set()
    await asyncio.gather(*held)
    assert (task.cancelled(), await asyncio.to_thread(done.wait, 10)) == (True, True)


async def test_closing_finishes_what_was_handed_over_and_takes_nothing_more(threads: Threads) -> None:
    tasks = [asyncio.create_task(threads.do(lambda _: "done", 5.0)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(threads.close)
    assert await asyncio.gather(*tasks) == ["done"] * 100
    assert not any(thread.is_alive() for thread in threads._threads)
    with pytest.raises(StoreUnavailable):
        await threads.do(lambda _: None, 5.0)


async def test_what_waits_is_taken_together_up_to_a_number() -> None:
    go, sizes = threading.Event(), []

    def run(jobs: Sequence[Job]) -> None:
        sizes.append(len(jobs))
        one_by_one(jobs)

    threads = Threads(1, run, most=8)
    held = asyncio.create_task(threads.do(lambda _: go.wait(10), 5.0))
    while not sizes:  # noqa: ASYNC110 - the thread tells nobody
        await asyncio.sleep(0)
    tasks = [asyncio.create_task(threads.do(lambda _: None, 5.0)) for _ in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(threads.close))
    go.set()
    await asyncio.gather(held, closing, *tasks)
    assert sizes == [1, 8, 8, 4]


async def test_whoever_runs_the_work_may_fail_and_nobody_waits_for_ever() -> None:
    def run(_jobs: Sequence[Job]) -> None:
        raise KeyError

    threads = Threads(1, run)
    with pytest.raises(KeyError):
        await threads.do(lambda _: None, 5.0)
    with pytest.raises(KeyError):
        await threads.do(lambda _: None, 5.0)
    await asyncio.to_thread(threads.close)


def test_a_loop_that_was_closed_meanwhile_is_told_nothing() -> None:
    go = threading.Event()
    threads = Threads(1, one_by_one)

    async def leave() -> None:
        task = asyncio.create_task(threads.do(lambda _: go.wait(10), 5.0))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    go.set()
    threads.close()

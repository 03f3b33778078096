from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from gateway.config import Views
from gateway.errors import BadRequest, InternalError, TooManyCalls, Unavailable
from gateway.proxy.workbench import Outcome, held
from gateway.proxy.workshop import WorkFailed, Workshop, WorkTooLong, _Outcomes
from gateway.slurm.body import pack
from gateway.slurm.states import look
from gateway.slurm.views.asking import parse_view
from gateway.slurm.views.render import render
from gateway.slurm.views.reply import ListNotUnderstood
from tests.unit.slurm import lists

LIMIT = 10.0


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    made = Workshop(Views())
    yield made
    await made.close()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Workshop]]:
    made: list[Workshop] = []

    def of(**settings: Any) -> Workshop:
        made.append(Workshop(Views.model_validate(settings)))
        return made[-1]

    yield of
    for workshop in made:
        await workshop.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 - no event tells of another process
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def has(pid: int) -> tuple[dict[str, str], set[str]]:
    """Return the open files of a process, and the names in its environment."""
    place = Path(f"/proc/{pid}")
    files = {entry.name: str(entry.readlink()) for entry in (place / "fd").iterdir()}
    return files, {entry.partition("=")[0] for entry in (place / "environ").read_text().split("\0")} - {""}


async def test_work_is_done_in_another_process(workshop: Workshop) -> None:
    assert await workshop.run(os.getpid) != os.getpid()


async def test_one_process_does_one_after_the_other(workshop: Workshop) -> None:
    pids = await asyncio.gather(*(workshop.run(os.getpid) for _ in range(10)))
    assert len(set(pids)) == 1


async def test_a_view_comes_back_as_it_was_made(workshop: Workshop) -> None:
    body = pack(lists.answer(42, "jobs", [lists.job(42, number) for number in range(500)]))
    view, _ = parse_view("/slurm/v0.0.42/jobs", "fields=job_id&limit=2", None, Views())
    assert view is not None
    assert await workshop.run(render, view, body, 2**30) == render(view, body, 2**30)


async def test_changes_of_states_come_back_as_they_were_made(workshop: Workshop) -> None:
    first = await workshop.run(look, None, pack(lists.answer(42, "jobs", [lists.job(42, 1)])), 2**30)
    empty = pack(lists.answer(42, "jobs", []))
    assert await workshop.run(look, first.snapshot, empty, 2**30) == look(first.snapshot, empty, 2**30)


async def test_a_refusal_comes_back_as_it_is(workshop: Workshop) -> None:
    view, _ = parse_view("/slurm/v0.0.42/jobs", "fields=jobid", None, Views())
    assert view is not None
    with pytest.raises(BadRequest) as unknown:
        await workshop.run(render, view, pack(lists.answer(42, "jobs", [lists.job(42, 1)])), 2**30)
    assert "job_id" in unknown.value.hint
    with pytest.raises(ListNotUnderstood):
        await workshop.run(render, view, pack(b"nonsense"), 2**30)


async def test_a_mistake_of_ours_is_an_error_of_ours_and_the_process_goes_on(workshop: Workshop) -> None:
    pid = await workshop.run(os.getpid)
    with pytest.raises(InternalError) as failed:
        await workshop.run(int, "secret")
    assert ("ValueError" in failed.value.cause, "secret" in failed.value.cause) == (True, False)
    assert await workshop.run(os.getpid) == pid


@pytest.mark.parametrize(
    ("work", "given"), [(os.abort, ()), (os._exit, (0,)), (signal.raise_signal, (signal.SIGKILL,)), (signal.raise_signal, (signal.SIGSEGV,))]
)
async def test_a_process_that_dies_takes_its_own_work_with_it_and_no_other(
    workshop: Workshop, work: Callable[..., Any], given: tuple[Any, ...]
) -> None:
    before = await workshop.run(os.getpid)
    dying, waiting = asyncio.create_task(workshop.run(work, *given)), asyncio.create_task(workshop.run(os.getpid))
    with pytest.raises(WorkFailed) as failed:
        await dying
    assert failed.value.status == 503
    assert await waiting != before


async def test_what_takes_too_long_is_given_up_and_the_next_gets_a_new_process(opened: Callable[..., Workshop]) -> None:
    workshop = opened(timeout="1s")
    slow, waiting = asyncio.create_task(workshop.run(time.sleep, 60.0)), asyncio.create_task(workshop.run(sum, (1, 2)))
    with pytest.raises(WorkTooLong) as late:
        await slow
    assert late.value.status == 503
    assert await waiting == 3


async def test_a_process_that_was_given_up_is_gone(opened: Callable[..., Workshop]) -> None:
    workshop = opened(timeout="1s")
    pid = await workshop.run(os.getpid)
    with pytest.raises(WorkTooLong):
        await workshop.run(time.sleep, 60.0)
    await until(lambda: not alive(pid))


async def test_a_full_queue_refuses_and_says_when_to_come_back(opened: Callable[..., Workshop]) -> None:
    workshop = opened(waiting=2)
    calls = [asyncio.create_task(workshop.run(time.sleep, 0.2)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyCalls) as refused:
        await workshop.run(sum, (1, 2))
    assert dict(refused.value.headers)["Retry-After"].isdigit()
    await asyncio.gather(*calls)
    assert await workshop.run(sum, (1, 2)) == 3


async def test_whoever_is_cancelled_while_they_wait_gives_up_their_place(opened: Callable[..., Workshop]) -> None:
    workshop = opened(waiting=1)
    await workshop.run(sum, (1, 2))
    slow, gone = asyncio.create_task(workshop.run(time.sleep, 0.5)), asyncio.create_task(workshop.run(time.sleep, 60.0))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await workshop.run(sum, (1, 2)) == 3
    await slow


async def test_whoever_is_cancelled_in_the_middle_leaves_no_answer_to_the_next(workshop: Workshop) -> None:
    pid = await workshop.run(os.getpid)
    gone = asyncio.create_task(workshop.run(time.sleep, 0.3))
    await until(lambda: workshop._turn.busy)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await workshop.run(os.getpid) == pid


async def test_a_process_that_holds_too_much_is_replaced(opened: Callable[..., Workshop]) -> None:
    workshop = opened(memory="1MiB")
    first = await workshop.run(os.getpid)
    assert await workshop.run(os.getpid) != first
    await until(lambda: not alive(first))


async def test_a_large_piece_of_work_leaves_no_memory_behind(workshop: Workshop) -> None:
    body = pack(lists.answer(38, "jobs", [lists.job(38, number, comment="x" * 2500) for number in range(5000)]))
    view, _ = parse_view("/slurm/v0.0.38/jobs", "", "application/x-ndjson", Views())
    assert view is not None
    assert (await workshop.run(render, view, body, 2**30)).count == 5000
    assert await workshop.run(held) < 100 * 1024**2


async def test_the_process_has_nothing_of_ours(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "x")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        pid = await workshop.run(os.getpid)
        files, names = has(pid)
        assert (set(files), files["1"], files["2"]) == ({"0", "1", "2"}, "/dev/null", "/dev/null")
        assert names == {"LANG", "PYTHONPATH", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"}
        assert os.getpgid(pid) == pid
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_for_the_whole_gateway_does_not_end_it(workshop: Workshop, number: signal.Signals) -> None:
    pid = await workshop.run(os.getpid)
    os.kill(pid, number)
    assert await workshop.run(os.getpid) == pid


WORKER = textwrap.dedent("""
    import asyncio, os, sys, time
    from gateway.config import Views
    from gateway.proxy.workshop import Workshop

    async def main():
        workshop = Workshop(Views())
        print(await workshop.run(os.getpid), flush=True)
        await workshop.run(time.sleep, float(sys.argv[1]))
        await asyncio.sleep(60)

    asyncio.run(main())
""")


@pytest.mark.parametrize("busy", ["0", "60"])
async def test_it_dies_with_a_worker_that_is_killed_be_it_in_the_middle_of_work(busy: str) -> None:
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, busy, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    pid = int(await worker.stdout.readline())
    assert alive(pid)
    worker.kill()
    await worker.wait()
    await until(lambda: not alive(pid))


async def test_closing_ends_the_process_and_refuses_who_waits() -> None:
    workshop = Workshop(Views())
    pid = await workshop.run(os.getpid)
    calls = [asyncio.create_task(workshop.run(time.sleep, 60.0)) for _ in range(3)]
    await until(lambda: workshop._turn.busy)
    await workshop.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert not alive(pid)
    with pytest.raises(Unavailable):
        await workshop.run(os.getpid)


async def test_closing_one_that_was_never_used_is_nothing() -> None:
    await Workshop(Views()).close()


async def test_a_process_that_cannot_be_started_is_a_refusal(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(WorkFailed):
            await workshop.run(os.getpid)
    assert await workshop.run(sum, (1, 2)) == 3


async def test_a_large_list_does_not_hold_up_the_loop(workshop: Workshop) -> None:
    body = pack(lists.answer(38, "jobs", [lists.job(38, number, comment="x" * 2500) for number in range(5000)]))
    await workshop.run(sum, (1, 2))
    turns: list[float] = []

    async def probe() -> None:
        # In time of this thread, for on a busy machine the others' is in every other clock.
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            turns.append(time.thread_time() - last)
            last = time.thread_time()

    probing = asyncio.create_task(probe())
    with blockbuster_ctx():
        for query, accept in (("fields=job_id,name,job_state", None), ("limit=10000", None), ("", "text/csv"), ("", "application/x-ndjson")):
            view, _ = parse_view("/slurm/v0.0.38/jobs", query, accept, Views())
            assert view is not None
            assert (await workshop.run(render, view, body, 2**30)).count == 5000
    probing.cancel()
    assert max(turns) < 0.01


class Loud:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.getpid, ()


@pytest.mark.parametrize("harm", [Loud(), os.getpid, subprocess.Popen, Path("/"), Outcome.__init__, textwrap.dedent])
def test_an_outcome_holds_values_and_nothing_that_does_anything(harm: Any) -> None:
    with pytest.raises(pickle.UnpicklingError):
        _Outcomes.read(bytearray(pickle.dumps(Outcome(result=harm))))


def test_an_outcome_is_one() -> None:
    with pytest.raises(pickle.UnpicklingError):
        _Outcomes.read(bytearray(pickle.dumps((1, 2))))


@pytest.mark.parametrize("size", [0, 1, 60_000, 70_000, 3_000_000])
def test_an_outcome_comes_whole(size: int) -> None:
    outcome = Outcome(result=(os.urandom(size), "text", [1]), held=1)
    assert _Outcomes.read(bytearray(pickle.dumps(outcome, protocol=5))) == outcome


async def test_those_who_wait_go_in_turn_from_user_to_user(workshop: Workshop) -> None:
    done: list[str] = []

    async def work(user: str) -> None:
        await workshop.run(sum, (1, 2), user=user)
        done.append(user)

    first = asyncio.create_task(workshop.run(time.sleep, 0.3, user="busy"))
    await asyncio.sleep(0)
    await asyncio.gather(*(work("busy") for _ in range(6)), work("other"), first)
    assert done.index("other") <= 1


async def test_nobody_fills_the_queue_alone(opened: Callable[..., Workshop]) -> None:
    workshop = opened(waiting_per_user=2)
    calls = [asyncio.create_task(workshop.run(time.sleep, 0.2, user="busy")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyCalls):
        await workshop.run(sum, (1, 2), user="busy")
    assert await workshop.run(sum, (1, 2), user="other") == 3
    await asyncio.gather(*calls)


async def test_a_turn_whose_owner_goes_away_at_once_is_not_lost(workshop: Workshop) -> None:
    call = asyncio.create_task(workshop.run(sum, (1, 2), user="gone"))
    await asyncio.sleep(0)
    call.cancel()
    assert await workshop.run(sum, (1, 2), user="other") == 3

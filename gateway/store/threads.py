"""Threads that do what an event loop hands over to them: one hop there and one back, however many statements it is."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.failures import as_ours


class Job:
    """One piece of work that was handed over, and what became of it; somebody waits for that, or has given up."""

    __slots__ = ("begun", "error", "future", "given_up", "loop", "result", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        # From when on whoever waits cannot give up any more, for it may be done already.
        self.begun = False
        self.given_up = False

    def run(self, given: object) -> bool:
        """Do the work; note what it returns or raises, and tell whether it did the former."""
        try:
            self.result = self.work(given)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            self.error = as_ours(error)
        return self.error is None

    def require(self) -> None:
        """Raise TimeoutError when whoever waited has given up: what they take for failed is not to be kept."""
        if self.given_up:
            raise TimeoutError

    def give_up(self) -> None:
        """Wait no longer; on the loop."""
        if not self.begun:
            self.given_up = True
            if not self.future.done():
                self.future.set_exception(TimeoutError())

    def settle(self) -> None:
        """Give the outcome to whoever waits, if somebody does; on the loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Threads:
    """Some threads, which start with the first work; each takes up to ``most`` pieces at once and gives them to ``run``.

    What was handed over is run to its end, although whoever waited for it is cancelled. All of it comes from one event loop.
    """

    def __init__(self, size: int, run: Callable[[Sequence[Job]], None], *, most: int = 1) -> None:
        self._size = size
        self._run = run
        self._most = most
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    async def do(self, work: Callable[[Any], Any], patience: float) -> Any:  # noqa: ANN401 - whatever ``work`` returns
        """Return what ``work`` returns; raise TimeoutError when that takes longer than ``patience`` seconds, unless it has begun."""
        if self._closed:
            raise StoreUnavailable("store: closed")
        if not self._threads:
            self._start()
        job = Job(work)
        self._queue.put(job)
        timer = job.loop.call_later(patience, job.give_up)
        try:
            return await job.future
        finally:
            timer.cancel()

    def close(self) -> None:
        """Finish what was handed over, and wait for that. Not to be called where an event loop runs."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        # Daemons, for a server that hangs must not keep a command from ending that was broken off.
        self._threads = [threading.Thread(target=self._serve, name=f"store-{number}", daemon=True) for number in range(self._size)]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        while jobs := self._next():
            waiting = [job for job in jobs if not job.given_up]
            if not waiting:
                continue
            try:
                self._run(waiting)
            except BaseException as error:  # noqa: BLE001 - whoever waits is told
                for job in waiting:
                    job.error = job.error or as_ours(error)
            # The loop may have been closed: then nobody waits.
            with contextlib.suppress(RuntimeError):
                waiting[0].loop.call_soon_threadsafe(_settle, waiting)

    def _next(self) -> list[Job]:
        """Return what waits, at least one, or nothing at the end."""
        jobs: list[Job] = []
        with contextlib.suppress(queue.Empty):
            while len(jobs) < self._most:
                job = self._queue.get(block=not jobs)
                if job is None:
                    if jobs:
                        self._queue.put(None)
                    break
                jobs.append(job)
        return jobs


def _settle(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.settle()


def one_by_one(jobs: Sequence[Job]) -> None:
    """Run each by itself; it is given the job that it is."""
    for job in jobs:
        job.run(job)

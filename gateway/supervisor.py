"""Several workers under one parent: the parent holds the sockets, passes signals on, and replaces a worker that died."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import structlog

from gateway.config import Config

logger = structlog.get_logger()

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
# A worker that dies at once is not started over and over as fast as the machine can.
_RESTART_AFTER = 1.0
# Beyond the time that a worker gives its requests: what it needs to close up.
_KILL_AFTER = 5.0


class Supervisor:
    """Starts ``config.server.workers`` processes with ``work`` and sees to them until SIGTERM or SIGINT.

    ``work`` gets the pipe that closes when this process dies, and a number that no other worker has while this one lives, counted from 0.
    ``buried`` is called with the pid of each that has ended, ``closing`` once before they are told to stop.
    """

    def __init__(self, config: Config, work: Callable[[int, int], None], buried: Callable[[int], None], closing: Callable[[], None]) -> None:
        self._wanted = config.server.workers
        self._stop_timeout = config.server.stop_timeout
        self._work = work
        self._buried = buried
        self._closing = closing
        self._workers: dict[int, tuple[float, int]] = {}  # pid, when it was started, and its number
        self._not_before = 0.0
        # The workers hold the reading end: it closes when this process dies, however it dies.
        self._lifeline, self._hold = os.pipe()

    def run(self) -> None:
        """Keep the workers running; return when all have stopped."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            due = self._start_missing()
            received = signal.sigtimedwait(_SIGNALS, due)
            number = received.si_signo if received else None
            if number in {signal.SIGTERM, signal.SIGINT}:
                break
            if number == signal.SIGHUP:
                self._tell(signal.SIGHUP)
            self._reap()
        self._stop()

    def _start_missing(self) -> float:
        """Start workers up to the wanted number, the next only a while after one that died young; return seconds until the next look."""
        while len(self._workers) < self._wanted:
            wait = self._not_before - time.monotonic()
            if wait > 0:
                return wait
            self._start()
        return 3600.0

    def _start(self) -> None:
        number = min(set(range(self._wanted)) - {taken for _, taken in self._workers.values()})
        pid = os.fork()
        if pid == 0:
            self._be_worker(number)
        self._workers[pid] = (time.monotonic(), number)

    def _be_worker(self, number: int) -> None:
        """Run the work in the child and leave without passing through the parent's code."""
        code = 1
        try:
            os.close(self._hold)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._work(self._lifeline, number)
            code = 0
        except BaseException:
            logger.exception("worker_failed", pid=os.getpid())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for pid, started, status in self._ended():
            self._not_before = started + _RESTART_AFTER
            lived = round(time.monotonic() - started, 1)
            logger.warning("worker_died", pid=pid, status=os.waitstatus_to_exitcode(status), lived_seconds=lived)

    def _ended(self) -> Iterator[tuple[int, float, int]]:
        """Yield the workers that have ended: pid, when it was started, and its status."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._buried(pid)
            yield pid, self._workers.pop(pid)[0], status

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _stop(self) -> None:
        self._closing()
        self._tell(signal.SIGTERM)
        self._await_end(self._stop_timeout + _KILL_AFTER)
        if self._workers:
            logger.error("workers_killed", pids=sorted(self._workers), waited_seconds=self._stop_timeout + _KILL_AFTER)
        self._tell(signal.SIGKILL)
        self._await_end(_KILL_AFTER)

    def _await_end(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        while self._workers and (left := deadline - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, min(left, 1.0))
            for pid, _, status in self._ended():
                logger.debug("worker_ended", pid=pid, status=os.waitstatus_to_exitcode(status))

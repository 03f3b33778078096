"""Following jobs to their end: what ``submit --wait`` and ``wait`` have in common.

On a terminal a line tells how it stands, once a second; elsewhere each state is a line. Both go to standard error. A gateway or a Slurm that is
away is waited for, and that is said.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.cli import terminal
from gateway.cli.jobids import JobId, meant
from gateway.client import hints
from gateway.client.cluster import NOT_LAUNCHED, Job
from gateway.client.errors import GatewayError, WaitTimeoutError, printable
from gateway.client.patience import may_pass
from gateway.errors import CommandError

TIMED_OUT = 124
"""The exit code when the time was up first, as timeout(1) has it."""
_ROUND, _OFTEN, _SELDOM, _MINUTE = 20, 1, 5, 60
_AWAY_FIRST, _AWAY_LONGEST, _AWAY_AT_MOST = 1.0, 10.0, 60.0
# What slurmrestd says while slurmctld is restarted, and of what will never go well.
_FAULT, _FAULTY_AT_MOST = 500, 600.0


class Waits(Protocol):
    """What is needed of a gateway."""

    def wait(self, *job_ids: int, until: str = "finished", timeout: float | None = None) -> list[Job]:
        """Return a job when it has changed; raise WaitTimeoutError with it when the time is up."""

    def accounted(self, job_id: int) -> list[Job]:
        """Return what accounting has of a job; raise JobForgottenError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a job: itself, or what Slurm shows of an array's tasks and a heterogeneous job's parts."""

    job: JobId
    parts: tuple[Job, ...]

    @property
    def exit_code(self) -> int:
        """The largest of the parts' exit codes; 1 for one that has none and did not complete."""
        return max((job.exit_code or (0 if job.state == "COMPLETED" else 1) for job in self.parts), default=1)

    @property
    def state(self) -> str:
        """The state; of several that differ, the first that is not COMPLETED."""
        return next((job.state for job in self.parts if job.state != "COMPLETED"), "COMPLETED")

    @property
    def failure(self) -> str | None:
        """Why it failed, in Slurm's word, where that tells more than the rest; of several parts the first that has one."""
        return next((job.failure for job in self.parts if job.failure), None)

    def told(self) -> dict[str, Any]:
        """Return it for programs."""
        which = {"job_id": self.job.job, "array_task": self.job.task, "het_offset": self.job.part}
        known = {name: number for name, number in which.items() if number is not None}
        why = {} if self.failure is None else {"reason": self.failure}
        return {**known, "name": self.parts[0].name, "state": self.state, **why, "exit_code": self.exit_code}

    def in_words(self) -> str:
        """Return it for people, in a line."""
        tasks = f", {len(self.parts)} tasks" if len(self.parts) > 1 else ""
        why = "" if self.failure is None else f" ({self.failure})"
        started = min((job.started_at for job in self.parts if job.started_at), default=None)
        ended = max((job.ended_at for job in self.parts if job.ended_at), default=None)
        ran = f" after {lasting(ended - started)}" if started and ended and ended >= started else ""
        return printable(f"Job {self.job} ({self.parts[0].name}) {self.state}{why}{ran}, exit code {self.exit_code}{tasks}")


class TimeUpError(GatewayError):
    """The time was up before the jobs had ended."""

    reason = "timeout"


class Follower:
    """Waits for jobs at one gateway, which has no patience of its own; ``timeout`` is in seconds, None for ever."""

    def __init__(
        self,
        gateway: Waits,
        *,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        live: bool | None = None,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._sleep = sleep
        self._begun = clock()
        self._deadline = None if timeout is None else self._begun + timeout
        self._live = terminal.draws(sys.stderr) if live is None else live
        self._since: dict[JobId, tuple[str, float]] = {}
        self._line = ""

    def follow(self, jobs: Sequence[JobId]) -> Iterator[Ended]:
        """Yield what becomes of each job, as it ends; raise TimeUpError, or GatewayError or CommandError where there is no such job."""
        waiting = list(dict.fromkeys(jobs))
        try:
            # None is waited for before all are known to be jobs.
            for ended in self._look(waiting, wait=0):
                waiting.remove(ended.job)
                yield ended
            while waiting:
                self._look_at_the_clock(waiting)
                for ended in self._look(waiting, wait=self._seconds(len(waiting))):
                    waiting.remove(ended.job)
                    yield ended
        finally:
            self._clear()

    def _look(self, waiting: Sequence[JobId], *, wait: int) -> list[Ended]:
        """Ask for all jobs, and wait for the first of them."""
        over = []
        for place, wanted in enumerate(waiting):
            jobs = self._ask(wanted, 0 if place else wait)
            if jobs and all(job.is_over for job in jobs):
                self._clear()
                over.append(Ended(job=wanted, parts=tuple(jobs)))
            elif jobs:
                self._tell(wanted, jobs, alone=len(waiting) == 1)
        return over

    def _seconds(self, number: int) -> int:
        """Return how long the next round may wait: a line is painted each second at first, several jobs are looked at in turn."""
        longest = _ROUND if number == 1 and not self._live else max(2, number // 2)
        if self._live and number == 1:
            longest = _OFTEN if self._clock() - self._begun < _MINUTE else _SELDOM
        if self._deadline is not None:
            longest = min(longest, int(self._deadline - self._clock()) + 1)
        return max(1, min(longest, _ROUND))

    def _look_at_the_clock(self, waiting: Sequence[JobId]) -> None:
        if self._deadline is not None and self._clock() >= self._deadline:
            which = ", ".join(map(str, waiting))
            raise TimeUpError(
                f"the time is up, and {'job' if len(waiting) == 1 else 'jobs'} {which} not at an end",
                hint=f"Go on waiting: slurm-gateway wait {which.replace(',', '')}.",
            )

    def _ask(self, wanted: JobId, wait: int) -> list[Job]:
        """Return a job, waiting up to so many seconds for its next state; whatever is away meanwhile is waited for."""
        pause, begun = _AWAY_FIRST, self._clock()
        while True:
            try:
                return self._job(wanted, wait)
            except GatewayError as error:
                if not may_pass(error) or (error.status == _FAULT and self._clock() - begun > _FAULTY_AT_MOST):
                    raise
                self._clear()
                if pause == _AWAY_FIRST:
                    terminal.say(f"{error}; waiting until that is over.")
                self._look_at_the_clock([wanted])
                self._sleep(self._within(max(pause, min(error.retry_after or 0.0, _AWAY_AT_MOST))))
                pause = min(2 * pause, _AWAY_LONGEST)

    def _within(self, seconds: float) -> float:
        """Return so many seconds, or those that are left."""
        return seconds if self._deadline is None else max(0.0, min(seconds, self._deadline - self._clock()))

    def _job(self, wanted: JobId, wait: int) -> list[Job]:
        try:
            jobs = self._gateway.wait(wanted.job, until="changed", timeout=wait)
        except WaitTimeoutError as still:
            jobs = list(still.jobs)
        found = meant(wanted, jobs, self._gateway.accounted)
        if jobs and not found:
            raise CommandError(f"Slurm shows no job {wanted}", f"'slurm-gateway job {wanted.job}' shows what there is of it.")
        return found

    def _tell(self, wanted: JobId, jobs: Sequence[Job], *, alone: bool) -> None:
        """Say how a job stands."""
        said = _standing(wanted, jobs)
        state, since = self._since.get(wanted, ("", self._clock()))
        if state != said:
            since = self._clock()
            self._since[wanted] = said, since
            if not self._live:
                terminal.say(said)
        if self._live and alone:
            self._paint(f"{said} {lasting(self._clock() - since)}")

    def _paint(self, text: str) -> None:
        import shutil  # noqa: PLC0415 - only on a terminal, after the first answer

        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - as above

        width = shutil.get_terminal_size().columns - 1
        self._line = set_cell_size(text, width) if cell_len(text) > width else text
        # The cursor stays at the beginning, where anything else that is said begins.
        sys.stderr.write(f"\r\x1b[K{self._line}\r")
        sys.stderr.flush()

    def _clear(self) -> None:
        if self._line:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._line = ""


def tell(ended: Ended, *, as_json: bool) -> None:
    """Print what became of a job, and what to do about one that was never begun."""
    sys.stdout.write((json.dumps(ended.told()) if as_json else ended.in_words()) + "\n")
    sys.stdout.flush()
    if ended.failure == NOT_LAUNCHED and not as_json:
        terminal.say(f"hint: {hints.NOT_LAUNCHED}")


def exit_code(ended: Sequence[Ended]) -> int:
    """Return the largest exit code of several jobs, which is 0 only where each has completed with 0."""
    return max((one.exit_code for one in ended), default=0)


def lasting(seconds: float) -> str:
    """Return a span of time as Slurm writes it."""
    from gateway.cli import tables  # noqa: PLC0415 - after the first answer

    return tables.lasting(seconds)


def _standing(wanted: JobId, jobs: Sequence[Job]) -> str:
    first = jobs[0]
    if len(jobs) > 1:
        counts = {state: sum(job.state == state for job in jobs) for state in dict.fromkeys(job.state for job in jobs)}
        return printable(f"Job {wanted} ({first.name}) {', '.join(f'{count} {state}' for state, count in counts.items())}")
    where = f" on {first.nodes}" if first.state == "RUNNING" and first.nodes else f" ({first.reason})" if first.reason else ""
    return printable(f"Job {wanted} ({first.name}) {first.state}{where}")

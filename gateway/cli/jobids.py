"""Jobs as people write them: ``7``, a task of an array ``7_3``, a part of a heterogeneous job ``7+1`` (pure)."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.client.cluster import Job
from gateway.client.errors import GatewayError, JobForgottenError
from gateway.client.patience import may_pass
from gateway.errors import CommandError

_WRITTEN = re.compile(r"(?P<job>[0-9]{1,10})(?:_(?P<task>[0-9]{1,10})|\+(?P<part>[0-9]{1,6}))?", re.ASCII)

_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?", re.ASCII)
# Slurm's numbers have 32 bits, and a few of the last mean something else.
_LAST = 2**32 - 1
# MaxArraySize can be no more (slurm.conf(5)).
_MOST = 4_000_001


@dataclass(frozen=True, slots=True, kw_only=True)
class JobId:
    """A job; ``task`` is one of an array, ``part`` one of a heterogeneous job."""

    job: int
    task: int | None = None
    part: int | None = None

    def __str__(self) -> str:
        return f"{self.job}{'' if self.task is None else f'_{self.task}'}{'' if self.part is None else f'+{self.part}'}"

    @property
    def is_whole(self) -> bool:
        """Whether this is all of a job, and not a task or a part of it."""
        return self.task is None and self.part is None

    def of(self, jobs: Iterable[Job]) -> list[Job]:
        """Return those of ``jobs``, which Slurm shows of ``job``, that are meant."""
        found = [job for job in jobs if self._is(job)]
        # Of those that wait Slurm may not tell all (``…``); a task that has begun is told by its number.
        return [job for job in found if self.task is not None and job.array_task == str(self.task)] or found

    def _is(self, job: Job) -> bool:
        if self.task is not None:
            tasks = None if job.array_task is None else tasks_of(job.array_task)
            return job.array_task is not None and (tasks is None or self.task in tasks)
        return self.part is None or self.part == job.het_offset


def job_id(text: str) -> JobId:
    """Return the job that ``text`` names, for argparse."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or not 0 < int(found["job"]) <= _LAST:
        raise ArgumentTypeError(f"{text!r} is no job: write 7, 7_3 for a task of an array, 7+1 for a part of a heterogeneous job")
    return JobId(
        job=int(found["job"]), task=None if found["task"] is None else int(found["task"]), part=None if found["part"] is None else int(found["part"])
    )


def meant(wanted: JobId, shown: Iterable[Job], accounted: Callable[[int], list[Job]]) -> list[Job]:
    """Return those of ``shown`` that are meant, or what accounting has of a task that Slurm has forgotten while others of its array go on.

    Raise GatewayError where accounting is away for a while.
    """
    found = wanted.of(shown)
    if found or wanted.is_whole:
        return found
    try:
        return wanted.of(accounted(wanted.job))
    except JobForgottenError as error:
        if isinstance(error.__cause__, GatewayError) and may_pass(error.__cause__):
            raise error.__cause__ from None
        return []


def whole_or_tasks(jobs: Iterable[Job], others: Iterable[Job]) -> Iterator[JobId]:
    """Yield what to name so that ``jobs`` are meant and ``others`` are not: a job, or the tasks of an array that has some of both.

    The parts of a heterogeneous job go together; raise CommandError for an array whose tasks Slurm does not tell in full.
    """
    shared = {job.array_job_id for job in others}
    for job in jobs:
        if job.array_job_id is None or job.array_task is None:
            yield JobId(job=job.het_job_id or job.id)
        elif job.array_job_id not in shared:
            yield JobId(job=job.array_job_id)
        else:
            tasks = tasks_of(job.array_task)
            if tasks is None:
                hint = f"Name the tasks (slurm-gateway cancel {job.array_job_id}_3), or all of it: slurm-gateway cancel {job.array_job_id}"
                raise CommandError(f"Slurm does not tell which tasks of {job.array_job_id} wait", hint)
            yield from (JobId(job=job.array_job_id, task=task) for task in tasks)


def tasks_of(told: str) -> list[int] | None:
    """Return the tasks in Slurm's expression ``3-9%2`` or ``1,3,5-8:2``; None for one that Slurm has cut (``…``)."""
    found: list[int] = []
    for said in told.partition("%")[0].split(","):
        parts = _SPAN.fullmatch(said)
        if parts is None or int(parts[2] or 0) > _MOST:
            return None
        span = range(int(parts[1]), int(parts[2] or parts[1]) + 1, max(int(parts[3] or 1), 1))
        if len(found) + len(span) > _MOST:
            return None
        found += span
    return found

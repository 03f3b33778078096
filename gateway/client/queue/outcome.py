"""How a job is, and how it has ended: one, or an array's tasks, or a heterogeneous job's parts; Slurm forgets some before others (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.cluster import Job, number

# A job that has ended with one of these is put back into the queue, or waits for somebody to do so.
_COMES_BACK = frozenset({"REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job is: ``state`` is Slurm's word, of one that is under way or, when all are ``over``, of the worst, with its ``reason``."""

    over: bool
    state: str
    exit_code: int | None = None
    reason: str | None = None


class Outcomes:
    """Remembers what was seen of jobs with several parts, until they are over."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[int, Job]] = {}

    def of(self, job_id: int, jobs: Sequence[Job]) -> Outcome:
        """Return how the job ``job_id`` is, of which Slurm shows ``jobs`` now."""
        ended = {part: job for part, job in self._seen.get(job_id, {}).items() if _is_over(job)}
        parts = {**ended, **{job.id: job for job in jobs}}
        under_way = [job for job in parts.values() if not _is_over(job)]
        if under_way:
            self._seen[job_id] = parts
            return Outcome(over=False, state=min(under_way, key=lambda job: job.state != "RUNNING").state)
        self._seen.pop(job_id, None)
        worst = next((job for job in parts.values() if not job.succeeded), None) or next(iter(parts.values()))
        return Outcome(over=True, state=worst.state, exit_code=worst.exit_code, reason=worst.failure)


def belonging(job_id: int, jobs: Iterable[Job]) -> list[Job]:
    """Return those that go by an id: the job, an array's tasks, a heterogeneous job's parts."""
    return [job for job in jobs if job_id in {job.id, job.array_job_id, _whole(job.raw.get("het_job_id"))}]


def _is_over(job: Job) -> bool:
    return job.is_over and _COMES_BACK.isdisjoint(job.flags)


def _whole(value: Any) -> int | None:  # noqa: ANN401 - JSON
    found = number(value)
    return None if found is None else int(found)

"""Looking for a job of which nobody knows whether it was made: its key is too old to ask the gateway with it (pure)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.client.cluster import Job, number
from gateway.client.queue.ledger import Entry

# More than the clocks of this machine and of Slurm's differ.
_SKEW = 300.0
# slurmdbd keeps so much of a name.
_NAME = 250
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A job that may be the one."""

    job_id: int
    name: str
    submitted_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search has come to: the job, or in words why it is not known."""

    job_id: int | None = None
    why: str = ""


def sightings(jobs: Iterable[Job], records: Iterable[Mapping[str, Any]], username: str) -> list[Sighting]:
    """Return what slurmctld shows and what slurmdbd has on record of somebody's jobs."""
    shown = [
        Sighting(job_id=_first(job.raw, "het_job_id", "array_job_id") or job.id, name=job.name, submitted_at=job.submitted_at or 0.0) for job in jobs
    ]
    recorded = [_recorded(record) for record in records if record.get("user") == username]
    return [*shown, *(found for found in recorded if found is not None)]


def choose(entry: Entry, seen: Iterable[Sighting], known: Collection[int], until: float) -> Found:
    """Return the one job that ``entry`` can have become: of its name, from its time on, and no other file's."""
    if entry.name is None:
        return Found(why="the job has no name by which it could be looked for")
    alike = {
        found.job_id: found
        for found in seen
        if found.name[:_NAME] == entry.name[:_NAME] and entry.intended_at - _SKEW <= found.submitted_at <= until + _SKEW and found.job_id not in known
    }
    if not alike:
        return Found(why=f"no job {json.dumps(entry.name)} from that time was found, which does not prove that there was none")
    if len(alike) == 1:
        return Found(job_id=next(iter(alike)))
    told = ", ".join(map(str, sorted(alike)[:_MOST_TOLD]))
    return Found(why=f"it may be one of these jobs: {told}")


def _recorded(record: Mapping[str, Any]) -> Sighting | None:
    job_id = record.get("job_id")
    if not isinstance(job_id, int):
        return None
    array, het, time = _members(record.get("array")), _members(record.get("het")), _members(record.get("time"))
    return Sighting(
        job_id=_first(het, "job_id") or _first(array, "job_id") or job_id,
        name=_text(record.get("name")),
        submitted_at=number(time.get("submission")) or 0.0,
    )


def _first(tree: Mapping[str, Any], *names: str) -> int:
    return next((int(found) for name in names if (found := number(tree.get(name)))), 0)


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

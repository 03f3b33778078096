"""How jobs are shown: as rows of a table, one in full, and as JSON for programs, whose names stay (pure).

``{"job_id", "task", "name", "user", "partition", "state", "flags", "reason", "nodes", "exit_code", "submitted_at", "started_at", "ended_at",
"time_limit", "array_job_id", "het_job_id"}``: ``job_id`` is what Slurm counts, ``task`` what people write (``54_1``, ``55+1``), times are RFC 3339,
``time_limit`` is in minutes, and null is what is not known, or not yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli.table import stamp
from gateway.cli.tables import Cell, Column, Row, When, lasting, state
from gateway.client.cluster import Job, number

_WAITS = frozenset({"PENDING", "CONFIGURING"})
_RUNS = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
# Slurm's NO_VAL and INFINITE, and what they become on their way through 16 bits or a sign.
_ENDLESS = 0xFFFFFFF0
# What Slurm makes of %a for an array whose tasks have not begun: NO_VAL.
_NO_TASK = "4294967294"
_MINUTE = 60
_TASK = re.compile(r"[0-9]{1,10}", re.ASCII)


def document(job: Job) -> dict[str, Any]:
    """Return a job for programs."""
    return {
        "job_id": job.id,
        "task": label(job),
        "name": job.name,
        "user": job.user,
        "partition": job.partition,
        "state": job.state,
        "flags": list(job.flags),
        "reason": job.reason,
        "nodes": job.nodes,
        "exit_code": job.exit_code if job.is_over else None,
        "submitted_at": stamp(job.submitted_at),
        "started_at": stamp(started(job)),
        "ended_at": stamp(job.ended_at),
        "time_limit": limit(job.time_limit),
        "array_job_id": job.array_job_id,
        "het_job_id": job.het_job_id,
    }


def columns(*, users: bool) -> tuple[Column, ...]:
    """Return the columns of a list of jobs; ``users`` tells whose they are."""
    return (
        Column(heading="JOB", right=True),
        Column(heading="NAME", least=8),
        *((Column(heading="USER", least=5),) if users else ()),
        Column(heading="PARTITION", least=4, rank=1),
        Column(heading="STATE"),
        Column(heading="TIME", right=True, rank=2),
        Column(heading="SUBMITTED", rank=3),
        Column(heading="NODES (WHY)", least=10),
    )


def row(job: Job, now: float, *, users: bool) -> Row:
    """Return a job's row in a list."""
    return (
        label(job),
        job.name,
        *((job.user,) if users else ()),
        job.partition,
        state(job.state, *job.flags),
        _lasted(job, now),
        When(seconds=job.submitted_at),
        where_or_why(job),
    )


def label(job: Job) -> str:
    """Return what people call a job: ``7``, a task or the tasks of an array ``7_3`` or ``7_[4-9]``, a part of a heterogeneous job ``7+1``."""
    if job.array_job_id is not None and job.array_task is not None:
        return f"{job.array_job_id}_{job.array_task if job.array_task.isdigit() else f'[{job.array_task}]'}"
    return str(job.id) if job.het_job_id is None else f"{job.het_job_id}+{job.het_offset or 0}"


def order(job: Job) -> tuple[int, int, int]:
    """Return what a list of jobs is sorted by: as they were submitted, with the tasks of an array together."""
    task = job.array_task or ""
    return (job.array_job_id or job.het_job_id or job.id, int(task) if _TASK.fullmatch(task) else 2**31, job.id)


def where_or_why(job: Job) -> str | None:
    """Return where a job runs or ran, or why it does not, or failed."""
    if job.failure is not None:
        return f"({job.failure})"
    if job.is_over and job.exit_code:
        return f"exit {job.exit_code}"
    if job.is_over and job.reason not in {None, "NonZeroExitCode"} and job.state not in {"COMPLETED", "CANCELLED"}:
        return f"({job.reason})"
    return job.nodes or (None if job.reason is None or job.is_over else f"({job.reason})")


def started(job: Job) -> float | None:
    """Return when a job started; what Slurm tells of one that waits is when it may, and of one that never did is when it was cancelled."""
    never = job.is_over and job.nodes is None and job.started_at == job.ended_at
    return None if never or job.state in _WAITS else job.started_at


def limit(minutes: float | None) -> int | None:
    """Return a limit of time in minutes, None where there is none."""
    return None if minutes is None else int(minutes)


def details(job: Job, now: float) -> list[tuple[str, Cell]]:
    """Return all that people want to know of one job."""
    raw, minutes = job.raw, limit(job.time_limit)
    return [
        ("Job", label(job)),
        ("Slurm's number", None if label(job) == str(job.id) else job.id),
        ("Name", job.name),
        ("User", job.user),
        ("Account", _text(raw, "account")),
        ("Partition", job.partition),
        ("QOS", _text(raw, "qos")),
        ("State", state(job.state, *job.flags)),
        ("Reason", job.reason),
        ("Exit code", job.exit_code if job.is_over and (job.exit_code or job.state != "CANCELLED") else None),
        ("Submitted", _when(job.submitted_at)),
        ("May start", _when(job.started_at) if job.state in _WAITS else None),
        ("Started", _when(started(job))),
        ("Ended", _when(job.ended_at)),
        ("Ran for", _lasted(job, now)),
        ("Time limit", "none" if minutes is None else lasting(minutes * _MINUTE)),
        ("Nodes", job.nodes),
        ("CPUs", _whole(raw, "cpus")),
        ("Memory", _memory(raw)),
        ("Depends on", _text(raw, "dependency")),
        ("Comment", _text(raw, "comment")),
        ("Folder", _text(raw, "current_working_directory") or _text(raw, "working_directory")),
        ("Output", output(job)),
        ("Errors", _text(raw, "standard_error") if _text(raw, "standard_error") != output(job) else None),
    ]


def output(job: Job) -> str | None:
    """Return where a job's output is, on its cluster; None where Slurm does not tell [22.05 tells only what was asked for]."""
    told = _text(job.raw, "standard_output") or _text(job.raw, "stdout_expanded") or _text(job.raw, "stdout")
    return None if told is None else told.replace(_NO_TASK, "%a")


def sort(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs in their order."""
    return sorted(jobs, key=order)


def _lasted(job: Job, now: float) -> str | None:
    begun = started(job)
    if begun is None:
        return None
    end = job.ended_at if job.is_over else now if job.state in _RUNS else None
    return None if end is None else lasting(end - begun)


def _when(seconds: float | None) -> Cell:
    return None if seconds is None else When(seconds=seconds)


def _memory(raw: Mapping[str, Any]) -> str | None:
    node, cpu = _whole(raw, "memory_per_node"), _whole(raw, "memory_per_cpu")
    return f"{node} MiB a node" if node else f"{cpu} MiB a CPU" if cpu else None


def _whole(raw: Mapping[str, Any], name: str) -> int | None:
    found = number(raw.get(name))
    return None if found is None or not 0 <= found < _ENDLESS else int(found)


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    found = raw.get(name)
    return found if isinstance(found, str) and found else None

"""Which state each job is in, told by ``/jobs`` (every version) and by ``/jobs/state`` (24.05 and later), and what has changed since.

``look`` is the whole of it in one step, made for a process of its own: what it keeps for the next look is packed, and what it returns is no
more than what has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from gateway.slurm.body import Body, BodyBroken, pack, unpack
from gateway.slurm.views import values
from gateway.slurm.views.reply import ListHasErrors, ListNotUnderstood, ListTooLarge, Reply


class JobState(NamedTuple):
    """One job: ``states`` are Slurm's words, the base state first and flags after it (up to v0.0.39 there is one word, and a flag hides the base).

    ``user``, ``partition`` and ``name`` are None where the answer does not tell them (``/jobs/state``; ``user`` in v0.0.36, which tells
    ``uid`` alone). A task of an array has ``array_job_id`` and ``array_task``: its number, or for those that wait an expression as "3-9%2".
    ``/jobs/state`` tells ``array_task`` alone, and each task that waits by itself, under the ``job_id`` of the array; in v0.0.40 [24.11] those
    that run, too.
    """

    job_id: int
    states: tuple[str, ...]
    user: str | None
    uid: int | None
    partition: str | None
    name: str | None
    array_job_id: int | None
    array_task: str | None


class Change(NamedTuple):
    """What became of a job: ``job`` as it is now, or as it was last seen when it is ``gone``; ``before`` are its states until now."""

    kind: Literal["new", "changed", "gone"]
    job: JobState
    before: tuple[str, ...]


class Look(NamedTuple):
    """What a look at the list has shown: ``snapshot`` is for the next one; there are no ``changes`` after the first."""

    snapshot: Body
    changes: tuple[Change, ...]


class _Number(msgspec.Struct):
    set: bool
    infinite: bool
    number: int | float


Count: TypeAlias = int | _Number | None


class _Job(msgspec.Struct, gc=False):
    """What is looked at of an item: ``job_state`` in ``/jobs``, ``state`` in ``/jobs/state``."""

    job_id: int | str
    job_state: str | list[str] | None = None
    state: str | list[str] | None = None
    user_name: str | None = None
    user_id: int | None = None
    partition: str | None = None
    name: str | None = None
    array_job_id: Count = None
    array_task_id: Count = None
    array_task_string: str | None = None


_JOBS = msgspec.json.Decoder(list[_Job])
_SNAPSHOT = msgspec.msgpack.Decoder(list[JobState])
# /jobs/state: "7", the task 3 of an array "7_3", those of it that wait "7_[4-9]" or "7_*", a part of a heterogeneous job "7+1".
_SELECTED = re.compile(r"([0-9]{1,18})(?:_\[?([^\]]*)\]?|\+[0-9]+)?")


def job_states(body: bytes) -> list[JobState]:
    """Return the jobs in ``body``, slurmrestd's JSON in an answer of status 200.

    Raises ListNotUnderstood, and ListHasErrors when Slurm reports an error: that a job is not told then does not mean that it is gone.
    An answer to ``update_time`` that says that nothing has changed looks like an empty list here; ``look`` sees the difference.
    """
    return _of(Reply(body, "jobs"))


def _of(reply: Reply) -> list[JobState]:
    told = reply.error
    if told is not None:
        raise ListHasErrors("states: the answer has errors", detail=f"Slurm says: {told}.")
    if reply.items is None:
        raise ListNotUnderstood("states: the answer has no list of jobs")
    try:
        items = _decoded(bytes(reply.items))
    except msgspec.DecodeError as error:
        raise ListNotUnderstood(f"states: {error}") from error
    return [_job(item) for item in items]


def changes(before: Iterable[JobState], after: Sequence[JobState]) -> list[Change]:
    """Return what has changed from ``before`` to ``after``: jobs that are new, in another state, or gone, in the order of the jobs."""
    left = {_identity(job): job for job in before}
    found: list[Change] = []
    for job in after:
        was = left.pop(_identity(job), None)
        if was is None:
            found.append(Change("new", job, ()))
        elif was.states != job.states:
            found.append(Change("changed", job, was.states))
    found += [Change("gone", job, job.states) for job in left.values()]
    return sorted(found, key=lambda change: change.job.job_id)


def _identity(job: JobState) -> tuple[int, str | None]:
    """Return what tells a job from all others: in ``/jobs`` its id, in ``/jobs/state`` with the task."""
    return job.job_id, job.array_task if job.array_job_id is None else None


def look(before: Body | None, body: Body, largest: int) -> Look:
    """Return what has changed since the look that left the snapshot ``before`` behind, in a list of up to ``largest`` bytes.

    The list may be one of all jobs, or say that nothing has changed. Raises ListTooLarge, and as ``job_states`` does.
    """
    if body.size > largest:
        raise ListTooLarge(f"states: a list of {body.size} bytes")
    try:
        reply = Reply(unpack(body), "jobs")
        after = _of(reply)
        if before is not None and reply.unchanged:
            return Look(before, ())
        seen = None if before is None else _SNAPSHOT.decode(unpack(before))
    except BodyBroken as error:
        raise ListNotUnderstood(f"states: {error}") from error
    snapshot = pack(msgspec.msgpack.encode(after))
    return Look(snapshot, () if seen is None else tuple(changes(seen, after)))


def _decoded(items: bytes) -> list[_Job]:
    try:
        return _JOBS.decode(items)
    except UnicodeDecodeError:
        return _JOBS.decode(values.utf8(items))


def _job(item: _Job) -> JobState:
    job_id, task = (item.job_id, None) if isinstance(item.job_id, int) else _selected(item.job_id)
    array_job_id = _count(item.array_job_id) or None
    if array_job_id is not None:
        number = _count(item.array_task_id)
        task = item.array_task_string or None if number is None else str(number)
    told = item.job_state if item.state is None else item.state
    return JobState(
        job_id=job_id,
        states=(told,) if isinstance(told, str) else tuple(told or ()),
        user=item.user_name or None,
        uid=item.user_id,
        partition=item.partition,
        name=item.name,
        array_job_id=array_job_id,
        array_task=task,
    )


def _selected(told: str) -> tuple[int, str | None]:
    match = _SELECTED.fullmatch(told)
    if match is None:
        raise ListNotUnderstood("states: a job's id is none")
    return int(match[1]), match[2]


def _count(told: Count) -> int | None:
    if isinstance(told, _Number):
        return int(told.number) if told.set and not told.infinite else None
    return told

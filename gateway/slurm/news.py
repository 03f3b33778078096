"""What there is to tell after a look at the jobs: each change as the data of an event, and the states of the jobs that somebody waits for.

``news``, ``seen`` and ``served`` are made for a process of their own: what they take and give is packed, or little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import msgspec

from gateway.slurm.body import Body, BodyBroken, unpack
from gateway.slurm.states import Change, JobState, job_states, look
from gateway.slurm.versions import served_versions
from gateway.slurm.views.reply import ListNotUnderstood
from gateway.slurm.waiting import is_over

PAGE = 100
"""Events that are told in one piece."""

States: TypeAlias = tuple[tuple[str, ...], ...]
"""The states of the jobs that go by one id: of one job, or of every task of an array; none when the list has no such job."""

_SNAPSHOT = msgspec.msgpack.Decoder(list[JobState])


class Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One change: what a choice asks about it, and its data, which is JSON in one line."""

    event: str
    job_id: int
    array_job_id: int | None
    user: str | None
    partitions: tuple[str, ...]
    states: tuple[str, ...]
    data: bytes


class News(NamedTuple):
    """What a look has brought: ``snapshot`` is for the next one, ``pages`` are for ``told``, ``states`` are those of the ids asked about."""

    snapshot: Body
    pages: tuple[bytes, ...]
    states: dict[int, States]


class _Data(msgspec.Struct):
    """What a client gets of a change, in this order."""

    cluster: str
    job_id: int
    name: str | None
    user_name: str | None
    partition: str | None
    job_state: str | None
    state_flags: tuple[str, ...]
    previous_state: str | None
    previous_flags: tuple[str, ...]
    array_job_id: int | None
    array_task: str | None


_PAGE = msgspec.msgpack.Decoder(list[Told])
_to_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which changes somebody wants to hear of; what is None leaves none out."""

    users: frozenset[str] | None = None
    jobs: frozenset[int] | None = None
    states: frozenset[str] | None = None
    partitions: frozenset[str] | None = None

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out."""
        return self.users is None and self.jobs is None and self.states is None and self.partitions is None

    def takes(self, told: Told) -> bool:
        """Tell whether this change is one of them; an array's id stands for its tasks, and a job may wait for several partitions."""
        return (
            (self.users is None or told.user in self.users)
            and (self.jobs is None or told.job_id in self.jobs or told.array_job_id in self.jobs)
            and (self.states is None or not self.states.isdisjoint(told.states))
            and (self.partitions is None or not self.partitions.isdisjoint(told.partitions))
        )


EVERYTHING = Choice()


def news(before: Body | None, body: Body, largest: int, cluster: str, owner: str, asked: Iterable[int]) -> News:
    """Return what is new in the list ``body`` since the look that left ``before``; only of the jobs of ``owner``, if that names somebody.

    Raises what ``gateway.slurm.states.look`` raises.
    """
    seen_now = look(before, body, largest)
    changes = [change for change in seen_now.changes if _is_told(change) and (not owner or change.job.user == owner)]
    pages = [msgspec.msgpack.encode([_told(change, cluster) for change in changes[at : at + PAGE]]) for at in range(0, len(changes), PAGE)]
    asked = tuple(asked)
    return News(seen_now.snapshot, tuple(pages), seen(seen_now.snapshot, asked) if asked else {})


def told(page: bytes) -> list[Told]:
    """Return the changes in one of the ``pages``."""
    return _PAGE.decode(page)


def seen(snapshot: Body, asked: Iterable[int]) -> dict[int, States]:
    """Return the states of the jobs that ``snapshot`` has of each id, an array's id standing for all its tasks; raise ListNotUnderstood."""
    found: dict[int, list[tuple[str, ...]]] = {job_id: [] for job_id in asked}
    try:
        jobs = _SNAPSHOT.decode(unpack(snapshot))
    except (BodyBroken, msgspec.DecodeError) as error:
        raise ListNotUnderstood("news: no snapshot") from error
    _sort_in(jobs, found)
    return {job_id: tuple(states) for job_id, states in found.items()}


def states_in(body: Body, job_id: int) -> States:
    """Return the states of what ``GET …/job/{id}`` answers with; raise what ``gateway.slurm.states.job_states`` raises."""
    found: dict[int, list[tuple[str, ...]]] = {job_id: []}
    try:
        _sort_in(job_states(unpack(body)), found)
    except BodyBroken as error:
        raise ListNotUnderstood("news: no body") from error
    return tuple(found[job_id])


def served(openapi: Body) -> tuple[str, ...]:
    """Return the versions that an OpenAPI document names, oldest first."""
    try:
        return served_versions(unpack(openapi))
    except BodyBroken:
        return ()


def _sort_in(jobs: Iterable[JobState], found: Mapping[int, list[tuple[str, ...]]]) -> None:
    for job in jobs:
        if job.job_id in found:
            found[job.job_id].append(job.states)
        # The part of an array that still waits has the array's own id: it is one of its tasks, and must not be counted twice.
        if job.array_job_id is not None and job.array_job_id != job.job_id and job.array_job_id in found:
            found[job.array_job_id].append(job.states)


def _is_told(change: Change) -> bool:
    """Tell whether anybody wants to know: that Slurm forgets a job which ended long ago is no news."""
    return change.kind != "gone" or not is_over(change.before)


def _told(change: Change, cluster: str) -> Told:
    job, is_gone = change.job, change.kind == "gone"
    now, before = () if is_gone else job.states, change.before
    data = _Data(
        cluster=cluster,
        job_id=job.job_id,
        name=job.name,
        user_name=job.user,
        partition=job.partition,
        job_state=now[0] if now else None,
        state_flags=now[1:],
        previous_state=before[0] if before else None,
        previous_flags=before[1:],
        array_job_id=job.array_job_id,
        array_task=job.array_task,
    )
    return Told(
        event="gone" if is_gone else "job",
        job_id=job.job_id,
        array_job_id=job.array_job_id,
        user=job.user,
        partitions=tuple((job.partition or "").split(",")),
        states=now or before,
        data=_to_json(data),
    )

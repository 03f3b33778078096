"""Jobs, nodes and partitions, read from the answers of any version of Slurm's API (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from gateway.client.errors import NotUnderstoodError

# IS_JOB_FINISHED in Slurm's src/common/slurm_protocol_defs.h; a sibling that was revoked runs elsewhere.
ENDED = frozenset({"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"})
# Beside a state that says it has ended: it has not, or will be started again.
_GOES_ON = frozenset({"COMPLETING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "STAGE_OUT"})
# What ends a job that has not failed, and the reasons that only repeat its state or its exit code.
_NO_FAILURE = frozenset({"COMPLETED", "CANCELLED", "REVOKED"})
_SAID_ALREADY = frozenset({"NonZeroExitCode", "TimeLimit", "OutOfMemory"})
# 22.05 calls each end by a signal JobLaunchFailure, 24.11 a failed launch RaisedSignal; in both a script that never began has "0:53", a signal of
# Slurm's own making.
_BY_SIGNAL = frozenset({"JobLaunchFailure", "RaisedSignal"})
_NOT_LAUNCHED_CODE = 128 + 53
NOT_LAUNCHED = "JobLaunchFailure"
"""The reason of a job whose script its node could not start: most often its folder, or that of its output, is not there."""
LAST_MOMENT = 253_370_764_800.0
"""The first moment of the year 9999, in Unix seconds: what is later is in some zones in a year that Python's dates do not have."""
_SIGNALLED = 128
_EXIT_CODES = range(256)
_SIGNALS = range(1, 65)
# NO_VAL and INFINITE of slurm/slurm.h, which older versions tell as they are: in 16, 32 and 64 bits.
_NO_NUMBERS = frozenset(2**bits - less for bits in (16, 32, 64) for less in (1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: ``state`` is Slurm's base state, ``flags`` those beside it; times are Unix seconds, the limit is in minutes, None where unknown.

    Up to v0.0.39 one word is all that is told, and a flag such as COMPLETING stands in the place of the state. ``exit_code`` is a shell's: what
    the job's script returned, or 128 and the signal that ended it; it is None before the end. A task of an array has ``array_job_id`` and
    ``array_task``, its number, or for those that wait an expression as "3-9%2"; a part of a heterogeneous job has ``het_job_id`` and ``het_offset``.
    ``user`` is None where only ``user_id`` is told (v0.0.36). ``accounted``: slurmdbd tells of it, which slurmctld does not know any more. ``raw`` is
    what Slurm told, as it came.
    """

    id: int
    name: str
    user: str | None
    state: str
    user_id: int | None = None
    flags: tuple[str, ...] = ()
    partition: str | None = None
    nodes: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    time_limit: float | None = None
    array_job_id: int | None = None
    array_task: str | None = None
    het_job_id: int | None = None
    het_offset: int | None = None
    accounted: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, well or not; one that is completing still, or will be started again, has not."""
        return has_ended(self.state, self.flags)

    @property
    def succeeded(self) -> bool:
        """Whether the job has completed with exit code 0."""
        return self.state == "COMPLETED" and not self.exit_code

    @property
    def failure(self) -> str | None:
        """Slurm's word for why the job failed, where it tells more than the state and the exit code do; JobLaunchFailure: it never began."""
        if not self.is_over or self.state in _NO_FAILURE:
            return None
        if self.accounted or self.reason in _BY_SIGNAL:
            # slurmdbd's reason is what the job waited for before it began (sacct(1)).
            return NOT_LAUNCHED if self.state == "FAILED" and self.exit_code == _NOT_LAUNCHED_CODE else None
        return None if self.reason in _SAID_ALREADY else self.reason

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Job:
        """Return the job that an item of ``jobs`` tells of; raise NotUnderstoodError for what is none."""
        job_id, (state, flags) = _id(told), _states(told.get("job_state"))
        is_over, het_job_id = state in ENDED, _whole(told.get("het_job_id")) or None
        return cls(
            id=job_id,
            name=_text(told.get("name")) or "",
            user=_text(told.get("user_name")),
            user_id=_whole(told.get("user_id")),
            state=state,
            flags=flags,
            partition=_text(told.get("partition")),
            nodes=_text(told.get("nodes")),
            reason=_reason(told.get("state_reason")),
            exit_code=exit_code(told.get("exit_code")) if is_over else None,
            submitted_at=_moment(told.get("submit_time")),
            started_at=_moment(told.get("start_time")),
            ended_at=_moment(told.get("end_time")) if is_over else None,
            time_limit=_limit(told.get("time_limit")),
            array_job_id=_whole(told.get("array_job_id")) or None,
            array_task=_text(told.get("array_task_string")) or _digits(told.get("array_task_id")) if _whole(told.get("array_job_id")) else None,
            het_job_id=het_job_id,
            het_offset=_whole(told.get("het_job_offset")) if het_job_id else None,
            raw=told,
        )

    @classmethod
    def of_accounting(cls, told: Mapping[str, Any]) -> Job:
        """Return the job that an item of slurmdbd's ``jobs`` tells of; raise NotUnderstoodError for what is none."""
        job_id, known = _id(told), _members(told.get("state"))
        state, flags = _states(known.get("current"))
        times, array, het = _members(told.get("time")), _members(told.get("array")), _members(told.get("het"))
        is_over, nodes, task = state in ENDED, _text(told.get("nodes")), _text(array.get("task"))
        array_job_id, het_job_id = _whole(array.get("job_id")) or None, _whole(het.get("job_id")) or None
        return cls(
            id=job_id,
            name=_text(told.get("name")) or "",
            user=_text(told.get("user")),
            state=state,
            flags=flags,
            partition=_text(told.get("partition")),
            nodes=None if nodes == "None assigned" else nodes,
            reason=_reason(known.get("reason")),
            exit_code=_accounted_exit_code(told, state) if is_over else None,
            submitted_at=_moment(times.get("submission")),
            started_at=_moment(times.get("start")),
            ended_at=_moment(times.get("end")) if is_over else None,
            time_limit=_limit(times.get("limit")),
            array_job_id=array_job_id,
            # Those that wait are told as a mask of bits in hexadecimal.
            array_task=(_digits(array.get("task_id")) or (task if task and not task.startswith("0x") else None)) if array_job_id else None,
            het_job_id=het_job_id,
            het_offset=_whole(het.get("job_offset")) if het_job_id else None,
            accounted=True,
            raw=told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node: ``states`` are Slurm's words in capitals, the base state first; memory is in MiB."""

    name: str
    states: tuple[str, ...]
    cpus: int | None = None
    memory: int | None = None
    partitions: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Node:
        """Return the node that an item of ``nodes`` tells of; raise NotUnderstoodError for what is none."""
        name, states = _text(told.get("name")), (*words(told.get("state")), *words(told.get("state_flags")))
        if name is None or not states:
            raise NotUnderstoodError("an answer has a node without a name or a state", hint="Is this Slurm's API?")
        return cls(
            name=name,
            states=tuple(state.upper() for state in states),
            cpus=_whole(told.get("cpus")),
            memory=_whole(told.get("real_memory")),
            partitions=words(told.get("partitions")),
            raw=told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition; ``nodes`` is Slurm's expression for them, ``time_limit`` is in minutes, None where there is none."""

    name: str
    states: tuple[str, ...] = ()
    nodes: str | None = None
    total_nodes: int | None = None
    total_cpus: int | None = None
    time_limit: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Partition:
        """Return the partition that an item of ``partitions`` tells of; raise NotUnderstoodError for what is none."""
        name = _text(told.get("name"))
        if name is None:
            raise NotUnderstoodError("an answer has a partition without a name", hint="Is this Slurm's API?")
        nodes, cpus = _members(told.get("nodes")), _members(told.get("cpus"))
        inner = _members(told.get("partition"))
        return cls(
            name=name,
            states=tuple(word.upper() for word in words(told.get("state") or inner.get("state"))),
            nodes=_text(told.get("nodes")) or _text(nodes.get("configured")),
            total_nodes=_whole(told.get("total_nodes") if nodes == {} else nodes.get("total")),
            total_cpus=_whole(told.get("total_cpus") if cpus == {} else cpus.get("total")),
            time_limit=_limit(told.get("max_time_limit") or _members(told.get("maximums")).get("time")),
            raw=told,
        )


def has_ended(state: str, flags: Iterable[str] = ()) -> bool:
    """Tell whether a base state, with the flags beside it, says that a job has ended and will not be started again."""
    return state in ENDED and _GOES_ON.isdisjoint(flags)


def items(tree: object, name: str) -> list[Mapping[str, Any]]:
    """Return the list ``name`` of an answer; raise NotUnderstoodError if there is none."""
    told = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(told, list) or not all(isinstance(item, dict) for item in told):
        raise NotUnderstoodError(f"the answer has no list of {name}", hint="Is this Slurm's API?")
    return told


def number(value: object) -> float | None:
    """Return the number that ``value`` is, plainly or as ``{"set", "infinite", "number"}`` (from v0.0.39); None where it is not set or endless."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value in _NO_NUMBERS:
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def exit_code(value: object) -> int | None:
    """Return a shell's exit code for Slurm's: a wait status of slurmctld's up to v0.0.38 [22.05], else an object."""
    if isinstance(value, dict):
        signal = _members(value.get("signal"))
        # "id" from v0.0.40, "signal_id" before.
        named = _whole(signal.get("id")) or _whole(signal.get("signal_id"))
        returned = _whole(value.get("return_code"))
        # Another would be taken modulo 256 as it becomes a process's, 256 for a success.
        return _SIGNALLED + named if named and named in _SIGNALS else returned if returned in _EXIT_CODES else None
    status = _whole(value)
    if status is None or status < 0:
        return None
    return _SIGNALLED + (status & 0x7F) if status & 0x7F else status >> 8 & 0xFF


def words(value: object) -> tuple[str, ...]:
    """Return the words of ``value``: one, several with commas, or a list of them."""
    if isinstance(value, str):
        return tuple(word for word in value.split(",") if word)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, Iterable) and not isinstance(value, dict) else ()


def _id(told: Mapping[str, Any]) -> int:
    """Return a job's number; raise NotUnderstoodError."""
    job_id = _whole(told.get("job_id"))
    if not job_id or job_id < 0:
        raise NotUnderstoodError("an answer has a job without a number", hint="Is this Slurm's API?")
    return job_id


def _states(told: object) -> tuple[str, tuple[str, ...]]:
    """Return the base state, which comes first, and the flags; raise NotUnderstoodError."""
    said = tuple(word.upper() for word in words(told))
    if not said:
        raise NotUnderstoodError("an answer has a job without a state", hint="Is this Slurm's API?")
    return said[0], said[1:]


def _accounted_exit_code(told: Mapping[str, Any], state: str) -> int | None:
    """Return the exit code that accounting tells; None for the 0 that slurmdbd's API of 22.05 tells of every job that ended with another code."""
    code = exit_code(told.get("exit_code"))
    return None if state == "FAILED" and code == 0 else code


def _reason(told: object) -> str | None:
    reason = _text(told)
    return None if reason in {None, "None"} else reason


def _limit(value: object) -> float | None:
    """Return a limit, None for none, which v0.0.38 tells of a partition as -1."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def _moment(value: object) -> float | None:
    """Return a time in Unix seconds, None for none, and for one that no calendar has."""
    found = number(value)
    return found if found is not None and 0 < found < LAST_MOMENT else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _digits(value: object) -> str | None:
    found = _whole(value)
    return None if found is None else str(found)


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

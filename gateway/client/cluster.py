"""Jobs, nodes and partitions, read from the answers of any version of Slurm's API (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import NotUnderstoodError

# IS_JOB_FINISHED in Slurm's src/common/slurm_protocol_defs.h; a sibling that was revoked runs elsewhere.
ENDED = frozenset({"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"})
_SIGNALLED = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: ``state`` is Slurm's base state, ``flags`` those beside it; times are Unix seconds, the limit is in minutes, None where unknown.

    ``exit_code`` is a shell's: what the job's script returned, or 128 and the signal that ended it. ``raw`` is what Slurm told, as it came.
    """

    id: int
    name: str
    user: str | None
    state: str
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
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether the job has completed with exit code 0."""
        return self.state == "COMPLETED" and not self.exit_code

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Job:
        """Return the job that an item of ``jobs`` tells of; raise NotUnderstoodError for what is none."""
        job_id, states = told.get("job_id"), words(told.get("job_state"))
        if not isinstance(job_id, int) or not states:
            raise NotUnderstoodError("an answer has a job without a number or a state", hint="Is this Slurm's API?")
        return cls(
            id=job_id,
            name=_text(told.get("name")) or "",
            user=_text(told.get("user_name")),
            state=states[0],
            flags=(*states[1:],),
            partition=_text(told.get("partition")),
            nodes=_text(told.get("nodes")),
            reason=_reason(told),
            exit_code=exit_code(told.get("exit_code")),
            submitted_at=number(told.get("submit_time")) or None,
            started_at=number(told.get("start_time")) or None,
            ended_at=number(told.get("end_time")) or None,
            time_limit=number(told.get("time_limit")),
            array_job_id=_whole(told.get("array_job_id")) or None,
            array_task=_text(told.get("array_task_string")) or _digits(told.get("array_task_id")),
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
            time_limit=number(told.get("max_time_limit") or _members(told.get("maximums")).get("time")),
            raw=told,
        )


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
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def exit_code(value: object) -> int | None:
    """Return a shell's exit code for Slurm's: a wait status up to v0.0.38 [22.05], from v0.0.39 an object."""
    if isinstance(value, dict):
        signal = _whole(_members(value.get("signal")).get("signal_id", _members(value.get("signal")).get("id")))
        if signal:
            return _SIGNALLED + signal
        return _whole(value.get("return_code"))
    status = _whole(value)
    if status is None or status < 0:
        return None
    return _SIGNALLED + (status & 0x7F) if status & 0x7F else status >> 8 & 0xFF


def words(value: object) -> tuple[str, ...]:
    """Return the words of ``value``: one, several with commas, or a list of them."""
    if isinstance(value, str):
        return tuple(word for word in value.split(",") if word)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, Iterable) and not isinstance(value, dict) else ()


def _reason(told: Mapping[str, Any]) -> str | None:
    reason = _text(told.get("state_reason"))
    return None if reason in {None, "None"} else reason


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

"""What somebody may wait for who asks about a job, and whether it has come (pure).

An array is finished when all its tasks are, and has started when one of them has. Of a heterogeneous job the part that is asked about counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_plus

from gateway.errors import BadRequest
from gateway.slurm.vocabulary import JOB_STATES

Verdict = Literal["met", "over", "timeout"]
"""What became of a wait: it was ``met``; it can not be any more, for the job is ``over``; or its time was up first."""

# IS_JOB_FINISHED in Slurm's src/common/slurm_protocol_defs.h; a sibling that was revoked runs elsewhere.
_ENDS = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"},
)  # fmt: skip
_RUNS = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "COMPLETING", "STAGE_OUT"}) | _ENDS
_NOT_YET = frozenset({"PENDING", "CONFIGURING", "POWER_UP_NODE"})
_JOB = re.compile(r"/slurm/[^/]+/job/([^/]+)")
_NUMBER = re.compile(r"[0-9]{1,10}")
_SECONDS = re.compile(r"[0-9]{1,6}")
_EVENTS = ("finished", "started", "changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait for the job ``job_id``: at most ``seconds``, until ``until``, which is one of ours or a state of Slurm's; ``query`` is what is left."""

    job_id: int
    seconds: int
    until: str
    query: str


def wait_of(path: str, query: str, longest: float) -> Wait | None:
    """Return how long a GET of ``path`` is to wait, and for what; None when it is to be answered at once. Raise BadRequest."""
    job = _JOB.fullmatch(path)
    if job is None or not query:
        return None
    rest: list[str] = []
    said: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if (known := unquote_plus(name)) not in {"wait", "until"}:
            rest.append(part)
        elif known in said:
            raise _refused(f"'{known}' stands twice in the query.")
        else:
            said[known] = unquote_plus(value)
    if not said:
        return None
    if _NUMBER.fullmatch(job[1]) is None:
        raise _refused("the path names it by something else than its number.")
    if "wait" not in said:
        raise _refused("'until' says for what, and 'wait' would say for how long.")
    if _SECONDS.fullmatch(said["wait"]) is None or int(said["wait"]) > longest:
        raise _refused(f"'wait' is a whole number of seconds, and at most {longest:.0f}.")
    return Wait(job_id=int(job[1]), seconds=int(said["wait"]), until=_until(said.get("until", "finished")), query="&".join(rest))


def _until(text: str) -> str:
    if text.casefold() in _EVENTS:
        return text.casefold()
    state = JOB_STATES.get(text.upper()) if text.isascii() else None
    if state is None:
        raise _refused(f"'until' is {', '.join(_EVENTS)}, or a state of Slurm's.")
    return state


def _refused(detail: str) -> BadRequest:
    return BadRequest(
        "wait_malformed", detail=f"The job cannot be waited for: {detail}", hint="Ask with ?wait=60&until=finished, and again when the time is over."
    )


def is_over(states: Iterable[str]) -> bool:
    """Tell whether a job in these states has ended, and left its nodes."""
    words = frozenset(states)
    return not words.isdisjoint(_ENDS) and "COMPLETING" not in words


def verdict(until: str, now: Sequence[tuple[str, ...]], before: Sequence[tuple[str, ...]]) -> Verdict | None:
    """Return what became of a wait, or None while it goes on, by the states ``now`` of at least one job, and those ``before``, if it was seen."""
    over = all(map(is_over, now))
    if until == "changed":
        return "met" if before and sorted(now) != sorted(before) else "over" if over else None
    if until == "finished":
        return "met" if over else None
    if until == "started":
        return "met" if any(map(_has_started, now)) else None
    if any(until in states for states in now):
        return "met"
    return "over" if over else None


def _has_started(states: tuple[str, ...]) -> bool:
    """Tell whether a job runs or ran; one that was cancelled before has left the queue, and whoever waits for its start waits for nothing else."""
    return _NOT_YET.isdisjoint(states) and not _RUNS.isdisjoint(states)

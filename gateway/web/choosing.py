"""What somebody wants to hear of, by the query of their request, and where they were, by its Last-Event-ID (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from gateway.errors import BadRequest
from gateway.slurm.news import Choice
from gateway.slurm.vocabulary import JOB_STATES

_T = TypeVar("_T")
_MAX_VALUES = 200
_MAX_FIELDS = 50
_MAX_ID = 100
_JOB = re.compile(r"[0-9]{1,10}")
_WORD = re.compile(r"[^\x00-\x20\x7f,]{1,255}")
_NAMES = ("user", "job_id", "state", "partition", "last_event_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which changes, and those after which event; None is from now on."""

    choice: Choice
    last_event_id: str | None


def wish_of(query: str, headers: Sequence[str]) -> Wish:
    """Return what a request asks for, ``headers`` being its fields Last-Event-ID; raise BadRequest.

    Values stand several times, or in a list with commas. What a browser sends when it comes back is later than what its page wrote into the query.
    """
    said: dict[str, list[str]] = {}
    for name, value in _fields(query):
        if name not in _NAMES:
            raise _refused(f"the query has something else than {', '.join(_NAMES)}")
        said.setdefault(name, []).append(value)
    ids = list(headers) or said.get("last_event_id", [])
    if len(ids) > 1:
        raise _refused("it says twice what the last event was")
    return Wish(
        choice=Choice(
            users=_set(said.get("user"), _word),
            jobs=_set(said.get("job_id"), _job),
            states=_set(said.get("state"), _state),
            partitions=_set(said.get("partition"), _word),
        ),
        # EventSource sends none rather than an empty one (WHATWG HTML section 9.2.3).
        last_event_id=ids[0][:_MAX_ID] if ids and ids[0] else None,
    )


def _fields(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _refused("the query cannot be read, or has too many fields") from None


def _set(given: Sequence[str] | None, read: Callable[[str], _T]) -> frozenset[_T] | None:
    if given is None:
        return None
    values = [value for text in given for value in text.split(",")]
    if len(values) > _MAX_VALUES:
        raise _refused(f"it names more than {_MAX_VALUES} values at once")
    return frozenset(map(read, values))


def _word(text: str) -> str:
    if _WORD.fullmatch(text) is None:
        raise _refused("a name is empty, or has a character that no name has")
    return text


def _job(text: str) -> int:
    if _JOB.fullmatch(text) is None:
        raise _refused("job_id is a number of up to ten digits")
    return int(text)


def _state(text: str) -> str:
    state = JOB_STATES.get(text.upper()) if text.isascii() else None
    if state is None:
        raise _refused("Slurm has no such state of jobs")
    return state


def _refused(why: str) -> BadRequest:
    return BadRequest(
        "events_malformed",
        detail=f"The gateway does not know which events are meant: {why}.",
        hint="Ask like /events?user=alice&state=RUNNING,COMPLETED&partition=debug, or /events?job_id=123.",
    )

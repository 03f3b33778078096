"""Marking a job so that it is found again: a mark in the comment of a job that has none, and not one other byte of the submission changed (pure).

Every API version has ``comment`` in what is submitted and in the list of jobs. A job that has a comment of its own keeps it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_PREFIX = "idempotency:"
_MARKED = re.compile(re.escape(_PREFIX) + "[0-9a-f]{20}")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
# What means one job, and what a heterogeneous one, whose first component is the one that its id is of.
_ONE, _SEVERAL = "job", "jobs"


def mark_of(random: str) -> str:
    """Return the mark that holds 20 random hexadecimal digits."""
    return _PREFIX + random


def is_marked(comment: str) -> bool:
    """Tell whether a comment holds anybody's mark."""
    return _MARKED.search(comment) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a submission asks for, as far as its job can be told by it: ``name`` and ``comment``, None where it says nothing of them."""

    name: str | None = None
    comment: str | None = None
    _text: str = field(default="", repr=False)
    # What the mark takes the place of, and what stands around it; None where it has no place.
    _span: tuple[int, int] | None = field(default=None, repr=False)
    _around: tuple[str, str] = field(default=("", ""), repr=False)

    @property
    def takes_mark(self) -> bool:
        """Whether it can be told that the job has no comment, and where one would stand."""
        return self._span is not None

    def marked(self, mark: str) -> bytes:
        """Return the submission with ``mark`` as the job's comment; raise ValueError where it takes none."""
        if self._span is None:
            raise ValueError("the job takes no mark")
        (start, end), (before, after) = self._span, self._around
        return f'{self._text[:start]}{before}"{mark}"{after}{self._text[end:]}'.encode()


def read(content: bytes) -> JobRequest:
    """Read a submission; whatever is not JSON, or says something twice, is not judged here and gets no mark."""
    try:
        text = content.decode()
        start = _job(text)
        return JobRequest() if start is None else _request(text, start)
    except (ValueError, IndexError, RecursionError):
        return JobRequest()


def _job(text: str) -> int | None:
    """Return where the job begins, or the first component of a heterogeneous one; None unless the submission is of one or the other."""
    at = _skip(text, 0)
    tree = [(name, start) for name, start, _ in _members(text, at)]
    # 22.05 does not mind how a name is written.
    places = [(name, start) for name, start in tree if name.casefold() in {_ONE, _SEVERAL}]
    if len(places) != 1:
        return None
    [(name, start)] = places
    if name.casefold() == _SEVERAL and text[start] == "[":
        start = _skip(text, start + 1)
    return start if text[start] == "{" else None


def _request(text: str, start: int) -> JobRequest:
    said: dict[str, tuple[int, int]] = {}
    for member, first, last in _members(text, start):
        folded = member.casefold()
        if folded in {"name", "comment"}:
            if folded in said:
                return JobRequest()
            said[folded] = (first, last)
    name = _value(text, said.get("name"))
    comment = _value(text, said.get("comment"))
    if "comment" not in said:
        behind = "" if text[_skip(text, start + 1)] == "}" else ","
        return JobRequest(name=name, _text=text, _span=(start + 1, start + 1), _around=('"comment":', behind))
    first, last = said["comment"]
    empty = text[first:last] in {"null", '""'}
    return JobRequest(name=name, comment=comment, _text=text, _span=(first, last) if empty else None)


def _value(text: str, span: tuple[int, int] | None) -> str | None:
    value = None if span is None else _DECODER.raw_decode(text, span[0])[0]
    return value if isinstance(value, str) and value else None


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each member of the object at ``at`` (RFC 8259 section 4), and where its value begins and ends."""
    if text[at] != "{":
        raise ValueError("no object")
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        at = _skip(text, end)
        if not isinstance(name, str) or text[at] != ":":
            raise ValueError("no member")
        start = _skip(text, at + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield name, start, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
            if text[at] == "}":
                raise ValueError("nothing behind a comma")
        elif text[at] != "}":
            raise ValueError("no end")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()

"""Server-sent events as they come (WHATWG HTML section 9.2.6), and what the gateway's say (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.client.cluster import has_ended

_LONGEST = 1024 * 1024
# The shortest keeps whoever is told one thing after each connection from making them without a pause.
_RETRY, _SHORTEST_RETRY, _LONGEST_RETRY = 2.0, 0.5, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: ``kind`` is ``ready``, ``reset``, ``job``, ``gone``, ``trouble`` or ``recovered``; ``data`` is its JSON.

    A ``job`` has ``job_id``, ``job_state``, ``state_flags``, ``previous_state``, ``name``, ``user_name``, ``partition``. ``reset`` says that
    something may have been missed, so that the list of jobs is to be read anew. ``id`` is what a stream is resumed from.
    """

    kind: str
    data: dict[str, Any]
    id: str | None = None

    @property
    def job_id(self) -> int | None:
        """The job that it is about."""
        told = self.data.get("job_id")
        return told if isinstance(told, int) and not isinstance(told, bool) else None

    @property
    def name(self) -> str | None:
        """The name of the job."""
        return self._text("name")

    @property
    def user(self) -> str | None:
        """Whose job it is."""
        return self._text("user_name")

    @property
    def partition(self) -> str | None:
        """The partition that the job is in."""
        return self._text("partition")

    @property
    def state(self) -> str | None:
        """The state of the job, in Slurm's word; None for one that is ``gone``, whose last is ``previous_state``."""
        return self._text("job_state")

    @property
    def previous_state(self) -> str | None:
        """The state that the job had before, None for one that is new."""
        return self._text("previous_state")

    @property
    def is_over(self) -> bool:
        """Whether it tells of a job that it has ended, or that Slurm does not know it any more."""
        flags = self.data.get("state_flags")
        state = str(self.data.get("job_state", ""))
        return self.kind == "gone" or (self.kind == "job" and has_ended(state, map(str, flags) if isinstance(flags, list) else ()))

    def _text(self, name: str) -> str | None:
        told = self.data.get(name)
        return told if isinstance(told, str) else None


class Parser:
    """Takes the pieces of a stream as they come and gives the events that they complete; what is no event of ours is passed over.

    ``id`` is what the stream is resumed from, ``retry`` after how many seconds. Lines end with LF, CR LF or CR; a line, and an event, that is
    longer than a mebibyte is none.
    """

    def __init__(self, last_event_id: str | None = None) -> None:
        self.id = self._id = last_event_id
        self.retry = _RETRY
        self._line = bytearray()
        self._too_long = False
        self._after_cr = False
        self._begun = False
        self._kind = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that ``piece`` completes."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = piece.endswith(b"\r") or (self._after_cr and not piece)
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._add(line)
            event = self._ended()
            if event is not None:
                yield event
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._line) + len(part) > _LONGEST
        if not self._too_long:
            self._line += part

    def _ended(self) -> Event | None:
        """Take the line that has ended; return the event that it completes."""
        line, too_long = bytes(self._line), self._too_long
        self._line.clear()
        self._too_long = False
        if not self._begun:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        if too_long:
            self._size = _LONGEST + 1
            return None
        if line:
            self._field(line.decode(errors="replace"))
            return None
        return self._event()

    def _field(self, text: str) -> None:
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._size += len(value) + 1
            if self._size <= _LONGEST:
                self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = min(max(int(value[:9]) / 1000, _SHORTEST_RETRY), _LONGEST_RETRY)

    def _event(self) -> Event | None:
        # Only now: what was resumed from the id of an event that did not come whole would miss that one.
        self.id = self._id
        kind, data, size = self._kind, "\n".join(self._data), self._size
        self._kind, self._data, self._size = "", [], 0
        try:
            tree = json.loads(data) if data and size <= _LONGEST else None
        except (ValueError, RecursionError):
            return None
        return Event(kind=kind or "message", data=tree, id=self.id) if isinstance(tree, dict) else None

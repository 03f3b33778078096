"""Server-sent events as they come (WHATWG HTML section 9.2.6), and what the gateway's say (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST = 1024 * 1024
# Between two of these there are 15 s at most by default; so much later a stream is taken for dead.
SILENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: ``kind`` is ``ready``, ``reset``, ``job``, ``gone``, ``trouble``, ``recovered`` or ``end``; ``data`` is its JSON.

    A ``job`` has ``job_id``, ``job_state``, ``state_flags``, ``previous_state``, ``name``, ``user_name``, ``partition``. ``id`` is what a stream is
    resumed from.
    """

    kind: str
    data: dict[str, Any]
    id: str | None = None

    @property
    def job_id(self) -> int | None:
        """The job that it is about."""
        told = self.data.get("job_id")
        return told if isinstance(told, int) else None


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events in the pieces of a stream; what is no event of ours is passed over."""
    parser = Parser()
    for piece in pieces:
        yield from parser.feed(piece)


class Parser:
    """Takes the pieces of a stream as they come and gives the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._size = 0
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that ``piece`` completes."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()[-_LONGEST:]
        for line in lines:
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text:
                self._field(text)
            elif (event := self._event()) is not None:
                yield event

    def _field(self, text: str) -> None:
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data" and self._size < _LONGEST:
            self._data.append(value)
            self._size += len(value)
        elif name == "id" and "\0" not in value:
            self._id = value

    def _event(self) -> Event | None:
        kind, data = self._kind, "\n".join(self._data)
        self._kind, self._data, self._size = "", [], 0
        try:
            tree = json.loads(data) if data else None
        except (ValueError, RecursionError):
            return None
        return Event(kind=kind or "message", data=tree, id=self._id) if isinstance(tree, dict) else None

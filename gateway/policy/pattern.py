"""Whether a canonical path matches a pattern, in time linear in the path: no regular expression comes from a configuration or a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.config.patterns import path_pattern

_Pieces = tuple[str, ...]
_Run = tuple[_Pieces, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: runs of segments between the ``**``, and each segment as the pieces between its ``*``."""

    text: str
    runs: tuple[_Run, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Compile ``text``; raise ValueError if it is no pattern (``gateway.config.patterns``)."""
        runs: list[list[_Pieces]] = [[]]
        for segment in path_pattern(text)[1:].split("/"):
            if segment == "**":
                runs.append([])
            else:
                runs[-1].append(tuple(map(unquote, segment.split("*"))))
        return cls(text, tuple(map(tuple, runs)))

    @property
    def ends_literally(self) -> bool:
        """Whether the last segment is spelled out, so that who wrote it knew which call it names."""
        return bool(self.runs[-1]) and len(self.runs[-1][-1]) == 1

    def matches(self, path: str) -> bool:
        """Tell whether the canonical ``path``, without ``/clusters/NAME``, matches.

        slurmrestd decodes what is escaped, so ``%40`` and ``@`` are one character here. A canonical path hides neither ``/`` nor ``%``.
        """
        segments = (unquote(path) if "%" in path else path)[1:].split("/")
        first, last = self.runs[0], self.runs[-1]
        if len(self.runs) == 1:
            return len(segments) == len(first) and _fits(first, segments, 0)
        end = len(segments) - len(last)
        if len(first) > end or not _fits(first, segments, 0) or not _fits(last, segments, end):
            return False
        at = len(first)
        for run in self.runs[1:-1]:
            # Leftmost is best: it leaves most to the runs that follow.
            found = next((start for start in range(at, end - len(run) + 1) if _fits(run, segments, start)), None)
            if found is None:
                return False
            at = found + len(run)
        return True


def _fits(run: _Run, segments: Sequence[str], start: int) -> bool:
    """Tell whether the run's segments stand at ``start``."""
    return all(_fits_one(pieces, segments[start + index]) for index, pieces in enumerate(run))


def _fits_one(pieces: _Pieces, segment: str) -> bool:
    """Tell whether the pieces stand in the segment in their order, the first at its start, the last at its end, without overlapping."""
    if len(pieces) == 1:
        return segment == pieces[0]
    head, tail = pieces[0], pieces[-1]
    end = len(segment) - len(tail)
    if len(head) > end or not segment.startswith(head) or not segment.endswith(tail):
        return False
    at = len(head)
    for piece in pieces[1:-1]:
        at = segment.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True

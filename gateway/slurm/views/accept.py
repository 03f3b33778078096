"""Which form an ``Accept`` header asks for (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_Q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 section 5.6.2, not a secret
_RANGE = re.compile(rf"({_TOKEN})/({_TOKEN})")
# Longer than any client's; what stands behind is not looked at.
_LONGEST = 1024
# What stands between commas, or semicolons, that are not within a quoted string; one that does not end goes to the end.
_BETWEEN = {mark: re.compile(rf'(?:"[^"]*"?|[^"{mark}])+') for mark in ",;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """One media range: the more is ``named`` (2 type and subtype, 1 the type, 0 nothing), the more it counts."""

    type: str
    subtype: str
    quality: float

    @property
    def named(self) -> int:
        """How much of a media type the range says."""
        return (self.type != "*") + (self.subtype != "*")

    def covers(self, media_type: str) -> bool:
        """Tell whether ``media_type`` is one of those."""
        kind, _, sub = media_type.partition("/")
        return self.type in {kind, "*"} and self.subtype in {sub, "*"}


def ranges(header: str) -> list[Range]:
    """Return the media ranges of ``header``; what is none is left out, and of parameters only ``q`` counts."""
    found = []
    for element in _BETWEEN[","].finditer(header[:_LONGEST]):
        name, *parameters = [part.strip() for part in _BETWEEN[";"].findall(element[0])] or [""]
        match = _RANGE.fullmatch(name)
        if match is None:
            continue
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                quality = float(value) if _Q.fullmatch(value) else 0.0
        found.append(Range(type=match[1].lower(), subtype=match[2].lower(), quality=quality))
    return found


def best(header: str | None, offers: Sequence[str]) -> str | None:
    """Return the media type of ``offers`` that ``header`` likes best, or None when it takes none of them.

    Of equals the one that is named more exactly wins, then the one that is offered first. No header takes everything.
    """
    if header is None or not (asked := ranges(header)):
        return offers[0]
    winner: tuple[float, int, str] | None = None
    for offer in offers:
        # The most exact range decides, even when another one likes the type better.
        fitting = max((found for found in asked if found.covers(offer)), key=lambda found: (found.named, found.quality), default=None)
        if fitting is None or fitting.quality == 0:
            continue
        if winner is None or (fitting.quality, fitting.named) > winner[:2]:
            winner = (fitting.quality, fitting.named, offer)
    return winner and winner[2]

"""Times as people read and type them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from gateway.client.cluster import LAST_MOMENT
from gateway.errors import CommandError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONGEST = 10 * 365 * _DAY


def in_words(seconds: float) -> str:
    """Return a span of time in its two largest units: ``11 h 52 min``; never rounded up, for nobody shall count on more than there is."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(told: object) -> float | None:
    """Return the Unix seconds of a time of RFC 3339, None where there is none."""
    if not isinstance(told, str):
        return None
    try:
        at = datetime.fromisoformat(told)
        seconds = at.timestamp() if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds < LAST_MOMENT else None


def on_the_clock(at: float) -> str:
    """Return a time of this place: ``2026-11-27 03:41 CET``."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def server_now(date: str | None) -> float:
    """Return the server's time in Unix seconds, from the Date of its answer (RFC 9110 section 6.6.1), for our clock may be wrong; else ours."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - most commands tell no times

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return time.time()


def duration(text: str) -> int:
    """Return the seconds in ``90s``, ``30m``, ``12h``, ``7d`` or ``2w``; raise CommandError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found is not None else 0
    if not 0 < seconds <= _LONGEST:
        raise CommandError(f"{text!r} is no span of time", "Say it like 90s, 30m, 12h or 7d.", exit_code=2)
    return seconds

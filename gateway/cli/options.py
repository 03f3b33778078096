"""What several commands take as the value of an option: spans of time and sizes, for argparse (pure)."""

from __future__ import annotations

import argparse
import re

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_SIZE = re.compile(r"([0-9]{1,12})(k|m)?", re.IGNORECASE)
_BYTES = {"": 1, "k": 1024, "m": 1024**2}
_LONGEST = 365 * 86400
_MOST_BYTES = 1024**3


def span(text: str) -> float:
    """Return the seconds in ``30s``, ``5m``, ``1h``, ``7d``, or in a bare number, as for sleep(1)."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 30s, 5m or 1h")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise argparse.ArgumentTypeError(f"'{text}' is longer than a year")
    return seconds


def some_span(text: str) -> float:
    """Return the seconds as ``span`` does, where no time at all makes no sense."""
    seconds = span(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 30s, 5m or 1h")
    return seconds


def size(text: str) -> int:
    """Return the bytes in ``500k``, ``4m`` or a bare number."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 500k or 4m")
    number = int(found[1]) * _BYTES[(found[2] or "").lower()]
    if not 0 < number <= _MOST_BYTES:
        raise argparse.ArgumentTypeError(f"'{text}' is not between a byte and {_MOST_BYTES // 1024**2}m")
    return number

"""What several commands take as the value of an option: spans of time and sizes, for argparse (pure)."""

from __future__ import annotations

import argparse
import re

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_SIZE = re.compile(r"([0-9]{1,12})(k|m)?", re.IGNORECASE)
_BYTES = {"": 1, "k": 1024, "m": 1024**2}


def span(text: str) -> float:
    """Return the seconds in ``30s``, ``5m``, ``1h``, ``7d``, or in a bare number, as for sleep(1)."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 30s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Return the bytes in ``500k``, ``4m`` or a bare number; none is no size."""
    found = _SIZE.fullmatch(text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 500k or 4m")
    return int(found[1]) * _BYTES[(found[2] or "").lower()]

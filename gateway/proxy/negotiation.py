"""What a client can take, and what it has already (pure): content codings (RFC 9110 section 12.5.3) and entity tags (13.1.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]{0,200})"')
_MAX = 1000


@lru_cache(maxsize=256)
def coding_for(accept_encoding: str) -> Literal["gzip", "zstd"] | None:
    """Return the coding to answer with, or None for the plain bytes: what the client likes best, and of two alike the one that is cheaper to undo."""
    weights: dict[str, float] = {}
    for item in accept_encoding[:_MAX].casefold().split(","):
        name, _, parameters = item.partition(";")
        weights[name.strip()] = _weight(parameters)
    rest = weights.get("*", 0.0)
    zstd, gzip = weights.get("zstd", rest), weights.get("gzip", weights.get("x-gzip", rest))
    if not max(zstd, gzip) or weights.get("identity", 0.0) > max(zstd, gzip):
        return None
    return "zstd" if zstd >= gzip else "gzip"


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def has_it(if_none_match: str, etag: str) -> bool:
    """Tell whether the client has what ``etag`` (as it stands in the header) names, by weak comparison."""
    if if_none_match.strip() == "*":
        return True
    mine = _TAG.fullmatch(etag)
    return mine is not None and mine[1] in _TAG.findall(if_none_match[: 8 * _MAX])

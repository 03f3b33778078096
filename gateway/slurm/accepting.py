"""What slurmrestd is told of the forms that a client takes: it refuses those that it does not have, browsers' among them (pure)."""

from __future__ import annotations

from functools import lru_cache

from gateway.errors import NotAcceptable
from gateway.slurm.views.accept import Range, ranges

JSON = "application/json"
# What slurmrestd's serializers call themselves (src/plugins/serializer).
_SERVED = frozenset({JSON, "application/jsonrequest", "application/yaml", "application/x-yaml", "text/yaml"})
# Whoever asks for nothing but a page to look at is shown JSON, which browsers can show, and errors are JSON as well (RFC 9457).
_SHOWN = frozenset({"text/html", "application/xhtml+xml", "application/problem+json"})


@lru_cache(maxsize=256)
def accept_for_slurm(accept: str | None) -> str | None:
    """Return the Accept to send for a client's, None for none; raise NotAcceptable if nothing that it takes is made by anybody."""
    asked = [found for found in ranges(accept or "") if found.quality > 0]
    served = [found for found in asked if _name(found) in _SERVED]
    if served:
        only_known = all(found.named < 2 or found in served for found in asked)  # noqa: PLR2004 - both parts of a type
        return accept if only_known else ", ".join(map(_written, served))
    if not asked:
        # Nothing that can be read says nothing (RFC 9110 section 12.5.1), but all of it at a quality of nought says no.
        if accept and ranges(accept):
            raise NotAcceptable("accept")
        return None
    if any(found.covers(JSON) or _name(found) in _SHOWN for found in asked):
        return JSON
    raise NotAcceptable("accept")


def _name(found: Range) -> str:
    return f"{found.type}/{found.subtype}"


def _written(found: Range) -> str:
    return _name(found) if found.quality == 1 else f"{_name(found)};q={found.quality:g}"

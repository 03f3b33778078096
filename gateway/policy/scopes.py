"""What a personal token may be used for: ``read``, ``submit``, ``jobs``, ``admin``, or ``METHOD /pattern`` (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import BadRequest

_MAX_SCOPES = 20
_NAMED = ("read", "submit", "jobs", "admin")
_PATTERN = re.compile(r"(?:GET|POST|DELETE|\*) /[A-Za-z0-9_.*/-]{1,200}")


@dataclass(frozen=True, slots=True)
class Scopes:
    """Scopes; ``texts`` is what the store keeps and people see."""

    texts: tuple[str, ...]


def parse_scopes(given: object) -> Scopes:
    """Return the scopes that somebody asks for a personal token; raise BadRequest for what is no list of 1 to 20 that we know, each once."""
    if not isinstance(given, list) or not 0 < len(given) <= _MAX_SCOPES or not all(isinstance(text, str) for text in given):
        raise _refused(f"scopes is a list of 1 to {_MAX_SCOPES}")
    if len(set(given)) != len(given):
        raise _refused("a scope is named twice")
    if not all(text in _NAMED or _PATTERN.fullmatch(text) for text in given):
        raise _refused(f"a scope is one of {', '.join(_NAMED)}, or a pattern like 'GET /slurm/v*/job/*'")
    return Scopes(tuple(given))


def _refused(why: str) -> BadRequest:
    return BadRequest(
        "scopes_malformed", detail=f"The token was not made: {why}.", hint='Write scopes as ["read", "submit"]; README.md lists them all.'
    )

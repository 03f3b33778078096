"""What a pattern of paths looks like: canonical, and such that some call of Slurm's could match it. How it matches: ``gateway.policy.pattern``."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator

_MAX_PATTERN = 256
_ANY = "**"
# As gateway.policy.path has it: RFC 3986 section 3.3 less ";". A star stands for any characters; "%2A" is the character itself.
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-F]{2})+")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")
_NEEDLESS = re.compile(r"[A-Za-z0-9._~-]")
_NEVER_ESCAPED = re.compile(r"[/\\;?#%\x00-\x1f\x7f]")
_OPENAPI = frozenset({"/openapi", "/openapi.json", "/openapi.yaml", "/openapi/v3", "/openapi*", "/openapi.*", "/openapi/*", "/openapi/**"})
# /slurm/VERSION/CALL and /slurmdb/VERSION/CALL at least, and of these not the ones that gateway.policy.route takes for no call.
_SHORTEST = 3
_NO_CALL = frozenset({"job", "new"})


def path_pattern(text: str) -> str:
    """Return ``text`` if it is a pattern of canonical paths without ``/clusters/NAME`` that some call could match; raise ValueError if not.

    ``*`` stands for any characters within one segment, ``**`` as a whole segment for any number of segments, also none.
    """
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"a pattern has at most {_MAX_PATTERN} characters")
    if text == "/**" or text in _OPENAPI:
        return text
    if not text.startswith(("/slurm/", "/slurmdb/")):
        raise ValueError("could never match: a pattern begins with /slurm/ or /slurmdb/, is one of the OpenAPI documents, /openapi*, or /**")
    segments = text[1:].split("/")
    for segment, after in zip(segments, [*segments[1:], ""], strict=True):
        _check(segment, after)
    if not _is_utf8(text):
        raise ValueError("could never match: its escaped bytes are not UTF-8")
    if _ANY not in segments:
        _check_length(segments)
    return text


def _check(segment: str, after: str) -> None:
    """Raise ValueError for a segment that no canonical path has, or that says something twice."""
    if not segment or segment in {".", ".."}:
        raise ValueError("could never match: paths come without '//', a slash at their end, '.' and '..'")
    if segment == after == _ANY:
        raise ValueError("'**' stands for any number of segments already: write it once")
    if _ANY in segment and segment != _ANY:
        raise ValueError("'**' stands for whole segments; within one, write '*'")
    if _SEGMENT.fullmatch(segment) is None:
        raise ValueError("could never match: it has a character that no path has, or that is escaped there, in capitals (%C3%A9)")
    for escape in _ESCAPE.finditer(segment):
        character = chr(int(escape[1], 16))
        if _NEEDLESS.fullmatch(character):
            raise ValueError(f"could never match: {escape[0]} stands in a path as {character}")
        if _NEVER_ESCAPED.fullmatch(character):
            raise ValueError(f"could never match: a path with {escape[0]} is refused")


def _check_length(segments: list[str]) -> None:
    if len(segments) < _SHORTEST or (len(segments) == _SHORTEST and segments[0] == "slurm" and segments[2] in _NO_CALL):
        raise ValueError(f"could never match: no call has a path so short; did you mean /{'/'.join(segments)}/**?")


def _is_utf8(text: str) -> bool:
    try:
        unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return False
    return True


PathPattern = Annotated[str, AfterValidator(path_pattern)]

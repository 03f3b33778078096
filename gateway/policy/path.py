"""One spelling for each path: what is judged is, byte for byte, what is forwarded.

slurmrestd takes ``//``, ``%70`` and a trailing ``/`` for the same call, so a rule that looked at the bytes as they came could be
walked around. RFC 3986 section 6.2.2 says which spellings are equal; anything that two parsers might read differently is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from gateway.errors import BadRequest

_MAX_TARGET = 8192
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
# RFC 3986 section 2.3, and the rest of pchar (3.3) less ";", which some servers cut a segment at.
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|-]|%[0-9A-Fa-f]{2})*")
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
# Characters that must not hide behind an escape: separators, the escape itself, and whatever ends a line or a string.
_NEVER_ESCAPED = frozenset("/\\;?#%\x7f") | frozenset(map(chr, range(0x20)))


@dataclass(frozen=True, slots=True)
class Target:
    """A request target in its one spelling: ``path``, and ``query`` without the question mark (empty when absent)."""

    path: str
    query: str

    def __str__(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@lru_cache(maxsize=512)  # those who poll ask for the same few again and again
def canonical(raw: str) -> Target:
    """Return the one spelling of ``raw`` (a request target in origin form, RFC 9112 section 3.2.1); raise BadRequest if it has none."""
    if not raw.startswith("/") or len(raw) > _MAX_TARGET:
        raise _refused("the request target is no path, or too long")
    path, _, query = raw.partition("?")
    if _PATH.fullmatch(path) is None:
        raise _refused("the path has a character that no call of Slurm's needs")
    if _QUERY.fullmatch(query) is None or _hides_control(query):
        raise _refused("the query has a character that is not allowed or not percent-encoded")
    # slurmrestd 22.05 takes a read that begins with "/" within the target for the whole target, and refuses both in a query anyway.
    query = query.replace("/", "%2F").replace("?", "%3F")
    if len(path) + len(query) > _MAX_TARGET:
        raise _refused("the request target is too long")
    if _PLAIN.fullmatch(path):  # nearly every request, and already in its one spelling
        return Target(path, query)
    segments = [part for part in _ESCAPE.sub(_unescape, path).split("/") if part]
    if any(part in {".", ".."} for part in segments):
        raise _refused("the path has a dot segment")
    path = "/" + "/".join(segments)
    if not _is_utf8(path):
        raise _refused("the path has escaped bytes that are not UTF-8")
    return Target(path, query)


def _is_utf8(path: str) -> bool:
    """Tell whether the escaped bytes are UTF-8 (RFC 3629): an overlong form of "/" is none to us, and might be one to others."""
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    if character in _NEVER_ESCAPED:
        raise _refused(f"the path hides a character behind %{match[1]}")
    return character if character in _UNRESERVED else f"%{match[1].upper()}"


def _hides_control(query: str) -> bool:
    return any(int(match[1], 16) < 0x20 or int(match[1], 16) == 0x7F for match in _ESCAPE.finditer(query))  # noqa: PLR2004 - C0 and DEL


def _refused(why: str) -> BadRequest:
    return BadRequest("path_refused", detail=f"The gateway does not forward this: {why}.", hint="Send the path as Slurm's documentation spells it.")

"""What a body is, when its Content-Type says something that slurmrestd does not understand."""

from __future__ import annotations

import msgspec

JSON = "application/json"
# What clients send for JSON that they did not name, or named with more words than slurmrestd compares ("application/json" exactly).
_MEANT_AS_JSON = frozenset({"", "application/json", "application/x-www-form-urlencoded", "text/plain", "text/json"})
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})  # RFC 8259 section 8.1: JSON between systems is UTF-8, and ASCII is a part of it
_SPACE = b" \t\r\n"


def content_type_for(content_type: str | None, content: bytes) -> str | None:
    """Return the Content-Type that slurmrestd takes for ``content``, or None where the one that came is right or not ours to change."""
    if content_type == JSON:
        return None
    kind, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if kind not in _MEANT_AS_JSON or not all(map(_is_harmless, parameters)) or not _is_json(content):
        return None
    return JSON


def _is_harmless(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() != "charset" or value.strip().strip('"') in _UTF_8


def _is_json(content: bytes) -> bool:
    """Tell whether ``content`` is a JSON object or array in UTF-8 (RFC 8259), and nothing else."""
    if not content.lstrip(_SPACE).startswith((b"{", b"[")):
        return False
    try:
        content.decode()
        msgspec.json.decode(content, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False
    return True

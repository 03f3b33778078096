"""The chain (pure): each line holds its number and the hash of the line before, and from time to time one is signed.

``seq`` counts from 1; ``prev`` is the SHA-256 of the line before, its newline included, or zeros. A signed line is called ``chain_head``:
its ``sig`` is Ed25519 (RFC 8032) over its own bytes up to ``,"sig":``, and covers through ``prev`` every line before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.observe.audit.event import stamp

ZEROS = "0" * 64
HEAD = "chain_head"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(rb'(\{.*),"sig":"([A-Za-z0-9+/]{86}==)"\}\n')

# Why a head was signed. The first two begin a file; the next three find nothing wrong.
FIRST, FILE = "first", "file"
INTERVAL, END, ROTATION = "interval", "end", "rotation"
# A process died while it wrote: what it left is closed and hashed as it stands.
TORN = "torn"
# The key is another than that of the head file.
NEW_KEY = "new_key"
# The trail was not as the gateway had left it: the head file missing or forged, lines added, lines gone.
LOST, FOREIGN, CUT = "head_lost", "foreign_lines", "cut"
ROUTINE = frozenset({INTERVAL, END, ROTATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A line of the chain: its place in it, and everything that it says."""

    seq: int
    prev: str
    fields: dict[str, Any]

    @property
    def is_head(self) -> bool:
        """Whether it is one of those that are signed."""
        return self.fields.get("event") == HEAD

    def text(self, name: str) -> str:
        """Return a field, or nothing when it is no text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""


def digest(line: bytes) -> str:
    """Return what the next line holds as ``prev``."""
    return hashlib.sha256(line).hexdigest()


def link(line: bytes, seq: int, prev: str) -> bytes:
    """Return an event's line as a link of the chain."""
    return b'{"seq":%d,"prev":"%s",' % (seq, prev.encode("ascii")) + line[1:]


def head_line(*, seq: int, prev: str, at: float, trail: str, cause: str, key: str, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a signed line; ``key`` is the fingerprint of the key that ``sign`` signs with."""
    fields = {"seq": seq, "prev": prev, "time": stamp(at), "event": HEAD, "cause": cause, "trail": trail, "key": key}
    unsigned = json.dumps(fields, separators=(",", ":")).encode("ascii")[:-1]
    return unsigned + b',"sig":"' + base64.b64encode(sign(unsigned)) + b'"}\n'


def signed_part(line: bytes) -> tuple[bytes, bytes] | None:
    """Return what the signature of a head covers, and the signature; None when there is none in the one spelling that is written."""
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        return None
    try:
        signature = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return None
    return (match[1], signature) if base64.b64encode(signature) == match[2] else None


def fields_of(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line is, or None; whatever the bytes are, nothing is raised."""
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def parse(line: bytes) -> Linked | None:
    """Return a line of the chain, or None for what is none; whatever the bytes are, nothing is raised."""
    fields = fields_of(line) if line.endswith(b"\n") else None
    if fields is None:
        return None
    seq, prev = fields.get("seq"), fields.get("prev")
    if type(seq) is not int or not 0 < seq < 2**63 or not isinstance(prev, str) or _DIGEST.fullmatch(prev) is None:
        return None
    return Linked(seq=seq, prev=prev, fields=fields)

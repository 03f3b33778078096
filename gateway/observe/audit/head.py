"""How far the chain has come (pure): what FILE.head holds, under a MAC that only the holder of the gateway's key can make.

It is what shows that the last lines were cut off, or lines added, before the next head is signed. A writer first notes where its lines will
lead (``next``), then writes them, then notes that it has: whatever it dies between, the next one can tell its remains from somebody else's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

from gateway.observe.audit import chain
from gateway.observe.audit.keys import AuditKey

SIZE = 1024
_TRAIL = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}")
_HASH = re.compile(r"[0-9a-f]{64}")
_DUE = re.compile(r"[a-z_]{1,16}")
_MAC = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\} *\n')


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where lines that are being written will lead: the last one's number and hash, and the size of the file with them."""

    seq: int
    line: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain: its last line's number and hash, and the size and inode of the file that it ends in.

    ``signed`` is the number of the last signed line, ``due`` why the next line has to be a signed one, ``next`` what is being written.
    """

    trail: str
    seq: int
    line: str
    size: int
    inode: int
    signed: int = 0
    due: str | None = None
    next: Step | None = None


class Seal(Enum):
    """What the MAC of a head file says."""

    GOOD = "good"
    MISSING = "missing"
    BROKEN = "broken"
    OTHER_KEY = "other_key"
    UNCHECKED = "unchecked"


def encode(head: Head, key: AuditKey) -> bytes:
    """Return what stands in the file: always the same size, so that it is rewritten in place."""
    to = head.next
    step = f'{{"seq":{to.seq},"line":"{to.line}","size":{to.size}}}' if to else "null"
    due = f'"{head.due}"' if head.due else "null"
    body = (
        f'{{"trail":"{head.trail}","seq":{head.seq},"line":"{head.line}","size":{head.size},"inode":{head.inode},'
        f'"signed":{head.signed},"due":{due},"next":{step},"key":"{key.fingerprint}"'
    ).encode("ascii")
    return (body + b',"mac":"' + key.mac(body).encode("ascii") + b'"}').ljust(SIZE - 1) + b"\n"


def decode(raw: bytes, key: AuditKey | None) -> tuple[Head | None, Seal]:
    """Return what a head file says and what its MAC says of it, unchecked without a key; whatever the bytes are, nothing is raised."""
    if not raw.strip(b"\0 \n"):
        return None, Seal.MISSING
    match = _MAC.fullmatch(raw)
    if match is None:
        return None, Seal.BROKEN
    try:
        head, fingerprint = _read(match[1] + b"}")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, Seal.BROKEN
    if key is None:
        return head, Seal.UNCHECKED
    if fingerprint != key.fingerprint:
        return head, Seal.OTHER_KEY
    return (head, Seal.GOOD) if key.has_made(match[1], match[2].decode("ascii")) else (None, Seal.BROKEN)


def _read(body: bytes) -> tuple[Head, str]:
    tree = json.loads(body)
    fingerprint, to = tree.pop("key"), tree.pop("next")
    head = Head(**tree, next=Step(**to) if to is not None else None)
    numbers = [head.seq, head.size, head.inode, head.signed, *([head.next.seq, head.next.size] if head.next else [])]
    texts = [(head.trail, _TRAIL), (head.line, _HASH), (head.due or chain.INTERVAL, _DUE), (head.next.line if head.next else chain.ZEROS, _HASH)]
    if not all(type(number) is int and number >= 0 for number in numbers) or not all(form.fullmatch(text) for text, form in texts):
        raise ValueError("a field is not as it is written")
    return head, str(fingerprint)


def is_trail(text: str) -> bool:
    """Tell whether ``text`` could be the name of a chain."""
    return _TRAIL.fullmatch(text) is not None

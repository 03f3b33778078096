"""Where a page ends: the last item that was given out, as an opaque word for a URL.

A page is what comes after that item in an order of what never changes about an item, so it does not matter what came or went in between.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

# What an item is told by, then its place among those that are told by the same.
Position = tuple[int | str, ...]

# The longest that we make is that of a node with a long name.
_LONGEST = 1024
_DECODER = msgspec.msgpack.Decoder(tuple[str, tuple[int | str, ...]])


class CursorBroken(Exception):  # noqa: N818 - said of the cursor
    """It is none of ours, or one of another list."""


def encode(listing: str, position: Position) -> str:
    """Return the cursor of ``position`` in the list called ``listing``; its characters need no escape in a URL (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((listing, position))).rstrip(b"=").decode()


def decode(listing: str, kinds: tuple[type, ...], cursor: str) -> Position:
    """Return the position in ``cursor``, whose parts are of ``kinds`` and then a number; raise CursorBroken otherwise."""
    if len(cursor) > _LONGEST or not cursor.isascii():
        raise CursorBroken
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, position = _DECODER.decode(packed)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, OverflowError):
        raise CursorBroken from None
    if name != listing or tuple(map(type, position)) != (*kinds, int):
        raise CursorBroken
    return position


def in_order(keys: Sequence[tuple[int | str, ...]]) -> list[tuple[Position, int]]:
    """Return position and index of every key, in the order of the positions; equal keys keep the order in which they stand."""
    ordered: list[tuple[Position, int]] = []
    last: tuple[int | str, ...] | None = None
    place = 0
    for index in sorted(range(len(keys)), key=keys.__getitem__):
        place = place + 1 if keys[index] == last else 0
        last = keys[index]
        ordered.append(((*last, place), index))
    return ordered

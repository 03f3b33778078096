"""The bytes of an answer as they are kept and handed on: compressed when they are many, as they are when they are few."""

from __future__ import annotations

import sys
from dataclasses import dataclass

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["LEVEL", "PACK_FROM", "Body", "BodyBroken", "pack", "unpack", "zstd"]

# Below this, compressing costs more than it saves.
PACK_FROM = 64 * 1024
# zstd's own default: fiftyfold on a list of jobs, at some 300 MB a second.
LEVEL = 3


class BodyBroken(Exception):  # noqa: N818 - said of the body
    """What was to be a packed body is none, or is not of the size that it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """``data`` is zstd (RFC 8878) when ``compressed``; ``size`` is the number of bytes that it stands for."""

    data: bytes
    compressed: bool
    size: int


def pack(data: bytes) -> Body:
    """Keep ``data``, compressed from 64 KiB on."""
    if len(data) < PACK_FROM:
        return Body(data=data, compressed=False, size=len(data))
    return Body(data=zstd.compress(data, LEVEL), compressed=True, size=len(data))


def unpack(body: Body) -> bytes:
    """Return the bytes again; raise BodyBroken when they are not exactly ``body.size``, of which no more than that is ever unpacked."""
    if not body.compressed:
        data = body.data
    else:
        reader = zstd.ZstdDecompressor()
        try:
            # One byte more than there should be: a body that has more is seen, and its rest is never unpacked.
            data = reader.decompress(body.data, body.size + 1)
        except zstd.ZstdError as error:
            raise BodyBroken("no zstd frame") from error
        if not reader.eof or reader.unused_data:
            raise BodyBroken("not exactly one zstd frame of that size")
    if len(data) != body.size:
        raise BodyBroken("not of the size that it says")
    return data

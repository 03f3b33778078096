"""Content codings of request bodies (RFC 9110 section 8.4.1), none of which slurmrestd takes: undone here, within bounds."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from backports import zstd

from gateway.errors import BadRequest, TooLarge, UnsupportedCoding

CODINGS = ("gzip", "deflate", "zstd")
_NAMES = {**{name: name for name in CODINGS}, "x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_PIECE = 64 * 1024
# What is undone on the loop at once; more goes to a thread, for a few bytes may stand for megabytes.
_AT_ONCE = 64 * 1024
_ZLIB_WINDOWS = {"gzip": 31, "deflate": 15}  # RFC 1952, RFC 1950: the largest windows
_ZSTD_WINDOW = 23  # 8 MiB: what RFC 9659 section 3 lets a sender ask for


class _Engine(Protocol):
    """Undoes one coding piece by piece."""

    def step(self, data: bytes, room: int) -> tuple[bytes, bool]:
        """Take ``data``; return up to ``room`` bytes, and whether there may be more without more data. Raise zlib.error or ZstdError."""
        ...

    def is_over(self) -> bool | None:
        """Tell whether the end was seen; None if something came behind it."""
        ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._engine = zlib.decompressobj(window)
        self._behind = False

    def step(self, data: bytes, room: int) -> tuple[bytes, bool]:
        if self._engine.eof:
            self._behind = self._behind or bool(data)
            return b"", False
        content = self._engine.decompress(self._engine.unconsumed_tail + data, room)
        return content, len(content) == room and not self._engine.eof

    def is_over(self) -> bool | None:
        return None if self._behind or self._engine.unused_data else self._engine.eof


class _Zstd:
    def __init__(self) -> None:
        self._engine = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})
        self._behind = False

    def step(self, data: bytes, room: int) -> tuple[bytes, bool]:
        if self._engine.eof:
            self._behind = self._behind or bool(data)
            return b"", False
        return self._engine.decompress(data, room), not self._engine.eof and not self._engine.needs_input

    def is_over(self) -> bool | None:
        return None if self._behind or self._engine.unused_data else self._engine.eof


def content_coding(values: list[str]) -> str | None:
    """Return the one coding that a body comes in, or None; raise UnsupportedCoding for several, and for what is not undone here."""
    names = [name for value in values for part in value.split(",") if (name := part.strip(" \t").casefold()) not in {"", "identity"}]
    if not names:
        return None
    if len(names) > 1 or names[0] not in _NAMES:
        raise UnsupportedCoding("content_coding", headers=(("Accept-Encoding", ", ".join(CODINGS)),))
    return _NAMES[names[0]]


async def decoded(pieces: AsyncIterator[bytes], coding: str, *, limit: int) -> list[bytes]:
    """Return the body that ``pieces`` stand for; raise TooLarge above ``limit`` bytes, BadRequest for what is not in that coding.

    It is undone as it arrives, so that no more than the result and one piece is ever held.
    """
    engine: _Engine = _Zstd() if coding == "zstd" else _Zlib(_ZLIB_WINDOWS[coding])
    content: list[bytes] = []
    left = limit
    try:
        async for piece in pieces:
            first, more = engine.step(piece, min(_AT_ONCE, left + 1))
            rest = await asyncio.to_thread(_drained, engine, left - len(first)) if more and len(first) <= left else []
            left -= len(first) + sum(map(len, rest))
            if left < 0:
                raise TooLarge(f"more than {limit} bytes in {coding}", detail=f"The body has more than {limit} bytes when it is not compressed.")
            content += [first, *rest]
    except (zlib.error, zstd.ZstdError):
        raise _malformed(coding) from None
    if not engine.is_over():
        raise _malformed(coding)
    return [part for part in content if part]


def _drained(engine: _Engine, left: int) -> list[bytes]:
    """Return all that can come without more data; stop at the first byte that is more than ``left``."""
    content = []
    more = True
    while more and left >= 0:
        part, more = engine.step(b"", min(_PIECE, left + 1))
        left -= len(part)
        content.append(part)
    return content


def _malformed(coding: str) -> BadRequest:
    return BadRequest(
        "content_malformed",
        detail=f"The body is not in the coding {coding}, breaks off, or has something behind its end. Nothing was sent.",
        hint="Send one whole gzip member, zlib stream (deflate) or zstd frame with a window of 8 MiB at most; or send it without Content-Encoding.",
    )

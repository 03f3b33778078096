"""Bodies that are kept: small ones as they are, large ones compressed as they arrive, on threads, so that the loop never pays for megabytes."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from gateway.slurm.body import LEVEL, PACK_FROM, Body, zstd

_PIECE = 256 * 1024
# Gathered before a thread is asked, for each hop costs as much as compressing some ten kilobytes.
_BATCH = 1024 * 1024
# Slurm's lists shrink a hundredfold at this level (5,000 jobs, 15 MB: in 0.14 s).
_GZIP_LEVEL = 6
_GZIP_WINDOW = 31  # zlib's largest window, with gzip's header (RFC 1952)
_ENDS = 4096


class TooLargeToKeep(Exception):  # noqa: N818 - it says what the body is, and is no error
    """The body does not fit into what may be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A body that has arrived, its digest, and its first and last bytes, where its time is looked for."""

    body: Body
    digest: str
    ends: bytes


class Packer:
    """Takes one body in. ``grow`` is told of each byte more that is held, and may raise TooLargeToKeep.

    A body of a known length (``expect``) that will not fit into ``most`` bytes by the look of its beginning is given up at once.
    """

    def __init__(self, threads: Executor, grow: Callable[[int], None], most: int = sys.maxsize) -> None:
        self._most = most
        self._expected = 0
        self._pressed = 0
        self._held = 0
        self._threads = threads
        self._grow = grow
        self._hash = hashlib.blake2b(digest_size=16)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._compressor: zstd.ZstdCompressor | None = None
        self._packed: list[bytes] = []
        self._size = 0
        self._first = b""
        self._last = b""

    def expect(self, length: int | None) -> None:
        """Note how many bytes will come, if that is known."""
        self._expected = length or 0

    async def add(self, piece: bytes) -> None:
        """Take a piece; raise TooLargeToKeep when it is one too many."""
        self._size += len(piece)
        if len(self._first) < _ENDS:
            self._first += piece[: _ENDS - len(self._first)]
        self._last = piece[-_ENDS:] if len(piece) >= _ENDS else (self._last + piece)[-_ENDS:]
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= _BATCH or (self._compressor is None and self._size >= PACK_FROM):
            await self._press(end=False)

    async def finish(self) -> Packed:
        """Return the whole; raise TooLargeToKeep."""
        if self._compressor is None:
            data = b"".join(self._waiting)
            self._grow(len(data))
            self._hash.update(data)
            body = plain(data)
        else:
            await self._press(end=True)
            body = Body(data=b"".join(self._packed), compressed=True, size=self._size)
        return Packed(body=body, digest=self._hash.hexdigest(), ends=self._first + b"\n" + self._last)

    async def _press(self, *, end: bool) -> None:
        if self._compressor is None:
            self._compressor = zstd.ZstdCompressor(level=LEVEL)
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        loop = asyncio.get_running_loop()
        pressed = await loop.run_in_executor(self._threads, _pressed, self._compressor, self._hash, pieces, end)
        self._grow(len(pressed))
        self._packed.append(pressed)
        self._pressed += sum(map(len, pieces))
        self._held += len(pressed)
        if self._expected * self._held > self._most * self._pressed and self._pressed >= _BATCH:
            raise TooLargeToKeep


def _pressed(compressor: zstd.ZstdCompressor, digest: Any, pieces: list[bytes], end: bool) -> bytes:  # noqa: ANN401, FBT001 - hashlib names no type for its objects
    parts = []
    for piece in pieces:
        digest.update(piece)
        parts.append(compressor.compress(piece))
    if end:
        parts.append(compressor.flush())
    return b"".join(parts)


def plain(data: bytes) -> Body:
    """Return a body that is kept as it is."""
    return Body(data=data, compressed=False, size=len(data))


def pieces(body: Body) -> Iterator[bytes]:
    """Yield the uncompressed body piece by piece; each step takes up to a millisecond."""
    if not body.compressed:
        yield body.data
        return
    unpacker = zstd.ZstdDecompressor()
    data = body.data
    while not unpacker.eof:
        yield unpacker.decompress(data, max_length=_PIECE)
        data = b""


def digest_of(data: bytes) -> str:
    """Return the digest that ``Packer`` gives a body."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def to_gzip(body: Body, most: int = sys.maxsize) -> bytes:
    """Return the body compressed by gzip; takes long for a large one.

    Raise TooLargeToKeep when it has more than ``most`` bytes: gzip does not look as far back as zstd.
    """
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    parts = []
    size = 0
    for piece in pieces(body):
        parts.append(compressor.compress(piece))
        size += len(parts[-1])
        if size > most:
            raise TooLargeToKeep
    return b"".join([*parts, compressor.flush()])


def to_zstd(body: Body, _most: int = sys.maxsize) -> bytes:
    """Return the body compressed by zstd, which a large one is already."""
    return body.data if body.compressed else zstd.compress(body.data, level=LEVEL)


async def unpacked(body: Body, threads: Executor) -> AsyncIterator[bytes]:
    """Yield the uncompressed body piece by piece, each made on a thread."""
    loop = asyncio.get_running_loop()
    rest = pieces(body)
    while piece := await loop.run_in_executor(threads, next, rest, b""):
        yield piece

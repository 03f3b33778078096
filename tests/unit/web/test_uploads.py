"""Which bodies are there whole, and how many at once."""

from __future__ import annotations

import asyncio
import gzip
from unittest.mock import Mock

import pytest
from aiohttp.streams import StreamReader

from gateway.config import Server
from gateway.web.uploads import Upload, Uploads, once
from tests.unit.web.conftest import Make

SETTINGS = Server.model_validate({"listen": "127.0.0.1:1", "max_chunked": 1, "body_timeout": "50ms"})
CHUNKED = ("Transfer-Encoding", "chunked")
MIB = 1024 * 1024


def arrived(content: bytes) -> StreamReader:
    reader = StreamReader(Mock(_reading_paused=False), limit=2**26, loop=asyncio.get_running_loop())
    reader.feed_data(content)
    reader.feed_eof()
    return reader


async def taken(uploads: Uploads, make: Make, content: bytes, *more: tuple[str, str], whole: int = 0) -> tuple[Upload, bytes]:
    length = [] if CHUNKED in more else [("Content-Length", str(len(content)))]
    async with uploads.of(make("POST", fields=[*length, *more], payload=arrived(content)), whole=whole) as upload:
        return upload, b"" if upload.pieces is None else b"".join([piece async for piece in upload.pieces])


@pytest.mark.parametrize(
    ("size", "whole", "held"), [(10, 0, True), (MIB, 0, True), (MIB + 1, 0, False), (MIB + 1, 2 * MIB, True), (3 * MIB, 2 * MIB, False)]
)
@pytest.mark.parametrize("more", [[], [CHUNKED], [("Content-Encoding", "gzip")]], ids=["length", "chunks", "gzip"])
async def test_a_body_is_there_whole_up_to_a_size(make: Make, size: int, whole: int, held: bool, more: list[tuple[str, str]]) -> None:
    content = b"x" * size
    sent = gzip.compress(content) if more and more[0][1] == "gzip" else content
    upload, found = await taken(Uploads(SETTINGS), make, sent, *more, whole=whole)
    assert (upload.length, found == content, upload.content == (content if held else None)) == (size, True, True)


async def test_a_turn_is_given_back_whatever_happens(make: Make) -> None:
    uploads = Uploads(SETTINGS)
    for _ in range(3):
        with pytest.raises(Exception, match="content_malformed"):
            await taken(uploads, make, b"no gzip", ("Content-Encoding", "gzip"))
        assert (await taken(uploads, make, b"abc", CHUNKED))[1] == b"abc"


async def test_a_body_of_one_piece_is_just_that() -> None:
    assert [piece async for piece in once(b"abc")] == [b"abc"]

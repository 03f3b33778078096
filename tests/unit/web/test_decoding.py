"""Undoing content codings: byte for byte, never more than the limit, and nothing that is not one whole body."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest, Refusal, TooLarge, UnsupportedCoding
from gateway.web.decoding import CODINGS, content_coding, decoded

MIB = 1024 * 1024
MAKE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}
JOB = b'{"job": {"name": "a"}, "script": "#!/bin/sh\\ntrue\\n"}'


async def arriving(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def undone(coding: str, *pieces: bytes, limit: int = MIB) -> bytes:
    return b"".join(await decoded(arriving(*pieces), coding, limit=limit))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("content", [b"", JOB, bytes(range(256)) * 3000], ids=["empty", "job", "large"])
async def test_a_body_comes_out_as_it_went_in_however_it_arrives(coding: str, content: bytes) -> None:
    sent = MAKE[coding](content)
    assert await undone(coding, sent) == content
    assert await undone(coding, *(sent[n : n + 7] for n in range(0, len(sent), 7))) == content


@pytest.mark.parametrize("coding", CODINGS)
async def test_the_limit_is_that_of_what_comes_out(coding: str) -> None:
    for size in (1000, 64 * 1024, 300_000):
        sent = MAKE[coding](b"x" * size)
        assert len(await undone(coding, sent, limit=size)) == size
        with pytest.raises(TooLarge):
            await undone(coding, sent, limit=size - 1)


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_bomb_bursts_at_the_limit_and_not_in_memory(coding: str) -> None:
    bomb = MAKE[coding](bytes(256 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            await undone(coding, *(bomb[n : n + 65536] for n in range(0, len(bomb), 65536)))
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def wide() -> bytes:
    """Return a frame that asks for a window of 128 MiB."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0})
    return compressor.compress(JOB) + compressor.flush()


MALFORMED: list[tuple[str, tuple[bytes, ...]]] = [
    *((coding, (JOB,)) for coding in CODINGS),
    *((coding, ()) for coding in CODINGS),
    *((coding, (MAKE[coding](JOB)[:-1],)) for coding in CODINGS),
    *((coding, (MAKE[coding](JOB) + b"x",)) for coding in CODINGS),
    *((coding, (MAKE[coding](JOB), b"x")) for coding in CODINGS),
    *((coding, (MAKE[coding](JOB) * 2,)) for coding in CODINGS),
    *((coding, (MAKE[coding](JOB), MAKE[coding](JOB))) for coding in CODINGS),
    ("gzip", (MAKE["gzip"](JOB)[:-4] + b"\0\0\0\0",)),
    ("gzip", (MAKE["deflate"](JOB),)),
    ("deflate", (MAKE["gzip"](JOB),)),
    ("zstd", (MAKE["gzip"](JOB),)),
    ("zstd", (wide(),)),
]


@pytest.mark.parametrize(("coding", "pieces"), MALFORMED)
async def test_what_is_not_one_whole_body_in_its_coding_is_refused(coding: str, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(BadRequest):
        await undone(coding, *pieces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(CODINGS), st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
async def test_garbage_is_refused_or_within_the_limit(coding: str, tail: bytes, place: int, value: int) -> None:
    sent = bytearray(MAKE[coding](JOB * 20)[:60] + tail)
    sent[min(place, len(sent) - 1)] = value
    try:
        assert len(await undone(coding, bytes(sent), limit=500)) <= 500
    except Refusal as refusal:
        assert refusal.status in {400, 413}  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([], None),
        ([""], None),
        (["identity"], None),
        (["Identity", ""], None),
        (["gzip"], "gzip"),
        (["GZip"], "gzip"),
        (["x-gzip"], "gzip"),
        ([" zstd\t"], "zstd"),
        (["identity, deflate"], "deflate"),
    ],
)
def test_one_coding_is_known(values: list[str], coding: str | None) -> None:
    assert content_coding(values) == coding


@pytest.mark.parametrize("values", [["br"], ["compress"], ["gzip, gzip"], ["gzip", "zstd"], ["gzip;q=1"], ["*"], ["gzip\x00"], ["chunked"]])
def test_several_codings_and_unknown_ones_are_refused_with_those_that_are_known(values: list[str]) -> None:
    with pytest.raises(UnsupportedCoding) as caught:
        content_coding(values)
    assert caught.value.headers == (("Accept-Encoding", "gzip, deflate, zstd"),)

"""Large replies: at the client's pace, in bounded memory, and never made to look whole when they are not."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

JOBS = "/slurm/v0.0.38/jobs"
BLOCK = b"0123456789abcdef" * 4096  # 64 KiB


def pours(blocks: int, *, announced: int | None = None) -> fakes.Behaviour:
    """Answer with so many blocks; announce them, or another number, or (0) nothing."""

    async def behaviour(request: fakes.Request) -> bool:
        length = blocks if announced is None else announced
        field = b"Content-Length: %d\r\n" % (length * len(BLOCK)) if length else b""
        await request.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + field + b"\r\n")
        for _ in range(blocks):
            await request.say(BLOCK)
        return announced is None

    return behaviour


async def start(house: House, version: str = "1.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await house.connect()
    request = fakes.encode("GET", JOBS, fakes.bearer(await house.token()))
    writer.write(request.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
    return reader, writer


@pytest.mark.parametrize("announced", [None, 0])
async def test_a_large_reply_arrives_byte_for_byte(house: House, announced: int | None) -> None:
    house.slurm.behaviour = pours(48, announced=announced)
    answer = await house.ask("GET", JOBS, fakes.bearer(await house.token()))
    assert (answer.status, answer.whole, answer.body) == (200, True, BLOCK * 48)


async def test_a_large_reply_carries_our_headers(house: House) -> None:
    house.slurm.behaviour = pours(4)
    answer = await house.ask("GET", JOBS, [*fakes.bearer(await house.token()), ("X-Request-ID", "a" * 32)])
    assert [answer.field(name) for name in ("x-request-id", "cache-control", "content-type", "content-length")] == [
        "a" * 32,
        "no-store",
        "application/json",
        str(4 * len(BLOCK)),
    ]


async def test_a_connection_that_carried_a_large_reply_whole_is_used_again(house: House) -> None:
    house.slurm.behaviour = pours(16)
    token = await house.token()
    for _ in range(3):
        await house.ask("GET", JOBS, fakes.bearer(token))
    assert house.slurm.connections == 1


async def test_a_slow_reader_holds_slurmrestd_back_and_little_memory(house: House) -> None:
    """Of a reply of 100 MB no more leaves slurmrestd than a few buffers hold, and no more is kept in the process."""
    poured = 0

    async def behaviour(request: fakes.Request) -> bool:
        nonlocal poured
        await request.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(1600):
            await request.say(BLOCK)
            poured += 1
        return True

    house.slurm.behaviour = behaviour
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        reader, writer = await start(house)
        await fakes.read_head(reader)
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # the client stops reading altogether
        seen = -1
        while seen != poured:
            seen = poured
            await asyncio.sleep(0.05)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0 < poured < 64
    assert grown < 4 * 2**20
    reader._transport.resume_reading()  # type: ignore[attr-defined]  # and goes on
    total = 0
    while piece := await reader.read(2**20):
        total += len(piece)
    writer.close()
    assert total == 104857600


async def test_a_client_that_goes_away_in_the_middle_frees_the_connection(build: Build) -> None:
    house = await build(clusters__main={"pool": 1})
    house.slurm.script = [pours(1600)]
    reader, writer = await start(house)
    await reader.readexactly(1000)
    writer.transport.abort()
    answer = await house.ask("GET", "/slurm/v0.0.38/ping", fakes.bearer(await house.token()))
    assert answer.status == 200
    await fakes.until(lambda: house.slurm.open <= 1)


async def test_a_client_that_does_not_read_is_given_up(build: Build) -> None:
    house = await build(server={"body_timeout": "100ms"}, clusters__main={"pool": 1})
    house.slurm.script = [pours(1600)]
    reader, writer = await start(house)
    await fakes.read_head(reader)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    answer = await house.ask("GET", "/slurm/v0.0.38/ping", fakes.bearer(await house.token()))
    writer.close()
    assert answer.status == 200


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_large_reply_with_a_length_that_breaks_off_is_cut_off(house: House, version: str) -> None:
    house.slurm.behaviour = pours(8, announced=16)
    reader, writer = await start(house, version)
    answer = await fakes.read_answer(reader)
    writer.close()
    assert (answer.status, answer.whole) == (200, False)


CUT_CHUNKS = [b"", b"5", b"5\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\nX-A: b\r\n"]


@pytest.mark.parametrize("came", CUT_CHUNKS)
async def test_a_reply_in_chunks_that_breaks_off_is_cut_off(house: House, came: bytes) -> None:
    house.slurm.behaviour = fakes.replies(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + came, close=True)
    reader, writer = await start(house)
    answer = await fakes.read_answer(reader)
    writer.close()
    assert (answer.whole, b"hello".startswith(answer.body)) == (False, True)


async def test_a_large_reply_that_stalls_is_cut_off(build: Build) -> None:
    house = await build(clusters__main={"read_timeout": "50ms"})

    async def stalls(request: fakes.Request) -> bool:
        await request.say(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", BLOCK)
        await request.reader.read()
        return False

    house.slurm.behaviour = stalls
    answer = await house.ask("GET", JOBS, fakes.bearer(await house.token()))
    assert (answer.status, answer.whole) == (200, False)


async def test_a_small_reply_that_stalls_is_a_timeout(build: Build) -> None:
    house = await build(clusters__main={"read_timeout": "50ms"})

    async def stalls(request: fakes.Request) -> bool:
        await request.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"{")
        await request.reader.read()
        return False

    house.slurm.behaviour = stalls
    answer = await house.ask("GET", JOBS, fakes.bearer(await house.token()))
    assert (answer.status, answer.reason) == (504, "upstream_timeout")


async def test_whatever_cut_a_reply_off_the_next_request_is_answered(build: Build) -> None:
    house = await build(clusters__main={"pool": 1})
    house.slurm.script = [pours(8, announced=16)]
    await house.ask("GET", JOBS, fakes.bearer(await house.token()))
    assert (await house.ask("GET", JOBS, fakes.bearer(await house.token()))).body == fakes.OK

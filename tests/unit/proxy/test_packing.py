from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from backports import zstd

from gateway.proxy.packing import Packed, Packer, TooLargeToKeep, digest_of, to_gzip, to_zstd, unpacked
from gateway.slurm.body import PACK_FROM, Body, pack, unpack

LINE = b'{"job_id":1,"name":"a job"},'


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def packed(threads: ThreadPoolExecutor, data: bytes, piece: int = 100_000) -> tuple[Packed, int]:
    """Pack ``data`` in pieces; return it with the number of bytes that were counted as held."""
    held = 0

    def grow(more: int) -> None:
        nonlocal held
        held += more

    packer = Packer(threads, grow)
    for start in range(0, len(data), piece):
        await packer.add(data[start : start + piece])
    return await packer.finish(), held


@pytest.mark.parametrize("size", [0, 1, 1000, PACK_FROM - 1])
async def test_a_small_body_is_kept_as_it_is(threads: ThreadPoolExecutor, size: int) -> None:
    data = (LINE * 3000)[:size]
    found, held = await packed(threads, data)
    assert (found.body, held) == (Body(data=data, compressed=False, size=size), size)


@pytest.mark.parametrize("size", [PACK_FROM, 300_000, 5_000_000])
@pytest.mark.parametrize("piece", [1500, 300_000])
async def test_a_large_body_is_kept_compressed_and_comes_back_whole(threads: ThreadPoolExecutor, size: int, piece: int) -> None:
    data = (LINE * (size // len(LINE) + 1))[:size]
    found, held = await packed(threads, data, piece)
    assert (found.body.compressed, found.body.size, unpack(found.body)) == (True, size, data)
    assert held == len(found.body.data) < size / 20


@pytest.mark.parametrize("size", [0, 1000, 300_000])
async def test_the_digest_is_that_of_the_plain_body(threads: ThreadPoolExecutor, size: int) -> None:
    data = os.urandom(size)
    found, _ = await packed(threads, data)
    assert found.digest == digest_of(data)


@pytest.mark.parametrize("size", [100, 6000, 300_000])
@pytest.mark.parametrize("piece", [7, 100_000])
async def test_the_first_and_the_last_bytes_are_shown(threads: ThreadPoolExecutor, size: int, piece: int) -> None:
    data = b"FIRST" + b"x" * size + b"LAST"
    found, _ = await packed(threads, data, piece)
    assert found.ends.startswith(b"FIRST")
    assert found.ends.endswith(b"LAST")
    assert len(found.ends) <= 2 * 4096 + 1


@pytest.mark.parametrize("size", [1000, 300_000])
async def test_a_body_that_may_not_be_held_is_given_up(threads: ThreadPoolExecutor, size: int) -> None:
    def grow(_more: int) -> None:
        raise TooLargeToKeep

    async def pack() -> None:
        packer = Packer(threads, grow)
        await packer.add(b"x" * size)
        await packer.finish()

    with pytest.raises(TooLargeToKeep):
        await pack()


@pytest.mark.parametrize("size", [1000, 300_000])
async def test_what_clients_get_is_the_body_in_their_coding(threads: ThreadPoolExecutor, size: int) -> None:
    data = (LINE * 20_000)[:size]
    body = (await packed(threads, data))[0].body
    assert gzip.decompress(to_gzip(body)) == data
    assert zstd.decompress(to_zstd(body)) == data
    assert b"".join([piece async for piece in unpacked(body, threads)]) == data


async def test_the_plain_body_comes_in_pieces_that_a_slow_client_can_take_one_by_one(threads: ThreadPoolExecutor) -> None:
    body = (await packed(threads, LINE * 200_000))[0].body
    assert max([len(piece) async for piece in unpacked(body, threads)]) <= 256 * 1024


async def test_a_body_that_will_not_fit_is_given_up_by_the_look_of_its_beginning(threads: ThreadPoolExecutor) -> None:
    packer = Packer(threads, lambda _: None, most=4 * 1024 * 1024)
    packer.expect(150 * 1024 * 1024)

    async def pack_three_mebibytes() -> None:
        for _ in range(12):
            await packer.add(os.urandom(256 * 1024))

    with pytest.raises(TooLargeToKeep):
        await pack_three_mebibytes()


async def test_a_large_body_that_shrinks_is_not_given_up(threads: ThreadPoolExecutor) -> None:
    packer = Packer(threads, lambda _: None, most=1024 * 1024)
    packer.expect(20 * len(LINE) * 40_000)
    for _ in range(20):
        await packer.add(LINE * 40_000)
    assert (await packer.finish()).body.size == 20 * len(LINE) * 40_000


def test_what_only_zstd_can_press_is_not_pressed_by_gzip_without_bound() -> None:
    body = pack(os.urandom(200_000) * 20)
    assert len(body.data) < 400_000
    with pytest.raises(TooLargeToKeep):
        to_gzip(body, 1_000_000)

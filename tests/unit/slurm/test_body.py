from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.body import PACK_FROM, Body, BodyBroken, pack, unpack


@given(st.binary(max_size=300), st.integers(1, 2000))
def test_what_is_packed_comes_out_as_it_was(piece: bytes, times: int) -> None:
    assert unpack(pack(piece * times)) == piece * times


def test_few_bytes_are_kept_as_they_are() -> None:
    few = bytes(PACK_FROM - 1)
    assert pack(few) == Body(data=few, compressed=False, size=len(few))


def test_many_bytes_are_compressed() -> None:
    packed = pack(bytes(PACK_FROM))
    assert packed.compressed
    assert (len(packed.data) < 100, packed.size) == (True, PACK_FROM)


PACKED = pack(b"x" * PACK_FROM)


@pytest.mark.parametrize(
    "broken",
    [
        replace(PACKED, size=PACKED.size - 1),
        replace(PACKED, size=PACKED.size + 1),
        replace(PACKED, size=0),
        replace(PACKED, data=PACKED.data[:-1]),
        replace(PACKED, data=PACKED.data + PACKED.data),
        replace(PACKED, data=b"no zstd"),
        replace(PACKED, data=b""),
        Body(data=b"abc", compressed=False, size=2),
    ],
)
def test_what_is_not_of_the_size_that_it_says_is_refused(broken: Body) -> None:
    with pytest.raises(BodyBroken):
        unpack(broken)


def test_no_more_is_unpacked_than_there_should_be() -> None:
    # 64 MiB of zeros in some kilobytes, said to be one byte: the rest is not looked at.
    bomb = pack(bytes(64 * 1024**2))
    with pytest.raises(BodyBroken):
        unpack(replace(bomb, size=1))


def test_what_does_not_compress_is_kept_whole() -> None:
    noise = os.urandom(PACK_FROM * 2)
    assert unpack(pack(noise)) == noise

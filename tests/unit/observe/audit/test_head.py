from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.audit.head import SIZE, Head, Seal, Step, decode, encode
from tests.unit.observe.audit.conftest import KEY, OTHER_KEY

HEAD = Head(trail="0" * 16 + "." + "1" * 16, seq=7, line="a" * 64, size=900, inode=12, signed=5)
LARGEST = replace(HEAD, seq=2**63, size=2**63, inode=2**64, signed=2**63, due="foreign_lines", next=Step(seq=2**63, line="b" * 64, size=2**63))


@pytest.mark.parametrize("head", [HEAD, LARGEST, replace(HEAD, due="torn")])
def test_a_head_is_read_back_and_always_takes_the_same_room(head: Head) -> None:
    raw = encode(head, KEY)
    assert (decode(raw, KEY), len(raw), raw[-1:]) == ((head, Seal.GOOD), SIZE, b"\n")


@pytest.mark.parametrize("raw", [b"", b"\0" * SIZE, b"\n"])
def test_nothing_is_told_from_something_wrong(raw: bytes) -> None:
    assert decode(raw, KEY) == (None, Seal.MISSING)


@given(at=st.integers(0, SIZE - 1), byte=st.integers(0, 255))
def test_a_head_that_was_changed_is_not_believed(at: int, byte: int) -> None:
    raw = bytearray(encode(HEAD, KEY))
    raw[at] = byte
    head, seal = decode(bytes(raw), KEY)
    assert (head, seal) == (HEAD, Seal.GOOD) or seal is not Seal.GOOD


@given(st.binary(max_size=300))
def test_whatever_is_read_nothing_is_raised(raw: bytes) -> None:
    for content in (raw, b"{" + raw + b',"mac":"' + b"0" * 64 + b'"}\n'):
        assert decode(content, KEY)[1] is not Seal.GOOD


def test_another_key_and_none_are_said() -> None:
    assert decode(encode(HEAD, OTHER_KEY), KEY) == (HEAD, Seal.OTHER_KEY)
    assert decode(encode(HEAD, OTHER_KEY), None) == (HEAD, Seal.UNCHECKED)


@pytest.mark.parametrize(
    "change", [{"trail": 'x","seq":1'}, {"line": "\u00e9" * 64}, {"line": "A" * 64}, {"due": 'a"'}, {"next": Step(seq=1, line="", size=1)}]
)
def test_what_no_gateway_writes_is_not_believed_under_whatever_key(change: dict[str, Any]) -> None:
    raw = encode(replace(HEAD, **{name: value for name, value in change.items() if not isinstance(value, str) or value.isascii()}), OTHER_KEY)
    if "\u00e9" in str(change):
        raw = raw.replace(b"a" * 64, ("\u00e9" * 32).encode())
    assert decode(raw, KEY) == (None, Seal.BROKEN)

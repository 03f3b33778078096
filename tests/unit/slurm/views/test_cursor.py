from __future__ import annotations

import base64
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.views.cursor import CursorBroken, decode, encode, in_order

NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(NUMBERS, st.text(max_size=64), st.integers(0, 1000))
def test_a_cursor_leads_back_to_its_position(first: int, second: str, place: int) -> None:
    cursor = encode("jobs", (first, second, place))
    assert decode("jobs", (int, str), cursor) == (first, second, place)


@given(NUMBERS, st.text(max_size=64))
def test_a_cursor_needs_no_escape_in_a_url(first: int, second: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", encode("jobs", (first, second, 0)))


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
def test_whatever_is_sent_for_a_cursor_is_one_or_is_refused(cursor: str) -> None:
    try:
        position = decode("jobs", (int,), cursor)
    except CursorBroken:
        return
    assert tuple(map(type, position)) == (int, int)


def word(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        encode("nodes", (1, 0)),
        word(("jobs", ("a", 0))),
        word(("jobs", (1,))),
        word(("jobs", (1, 0, 0))),
        word(("jobs", (1, True))),
        word(("jobs", (1, 1.0))),
        word(("jobs", (1, None))),
        word({"jobs": 1}),
        "A" * 10_000,
        "",
        "=",
        "ä",
    ],
)
def test_a_cursor_of_another_list_or_of_no_list_is_refused(cursor: str) -> None:
    with pytest.raises(CursorBroken):
        decode("jobs", (int,), cursor)


def test_keys_are_put_in_order_and_equal_ones_are_told_apart() -> None:
    assert in_order([(5,), (3,), (5,), (4,)]) == [((3, 0), 1), ((4, 0), 3), ((5, 0), 0), ((5, 1), 2)]

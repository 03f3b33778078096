from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.ber import NotBerError, elements, head


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("", None),
        ("30", None),
        ("3000", (0x30, 2, 2)),
        ("300c", (0x30, 2, 14)),
        ("3084", None),
        ("30840000000c", (0x30, 6, 18)),
        ("30820100", (0x30, 4, 260)),
    ],
)
def test_a_head_tells_where_its_value_is(data: str, found: tuple[int, int, int] | None) -> None:
    assert head(bytes.fromhex(data)) == found


@pytest.mark.parametrize("data", ["3080", "3085000000000c", "30ff", "1f0100", "ff01"])
def test_shapes_that_ldap_does_not_use_are_refused(data: str) -> None:
    with pytest.raises(NotBerError):
        head(bytes.fromhex(data))


def test_elements_are_told_one_by_one() -> None:
    assert elements(bytes.fromhex("020101" + "0400" + "0a840000000102")) == [(2, b"\x01"), (4, b""), (10, b"\x02")]


@pytest.mark.parametrize("data", ["02", "0202", "020201", "02010104"])
def test_an_element_that_is_cut_short_is_refused(data: str) -> None:
    with pytest.raises(NotBerError):
        elements(bytes.fromhex(data))


@given(st.binary(max_size=64))
def test_any_bytes_are_elements_to_the_last_or_are_refused(data: bytes) -> None:
    try:
        found = elements(data)
    except NotBerError:
        return
    assert sum(len(value) + 2 for _, value in found) <= len(data)
    assert b"".join(value for _, value in found) in data or len(found) > 1


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=300)), max_size=5))
def test_what_was_written_is_read(wanted: list[tuple[int, bytes]]) -> None:
    written = b"".join(bytes([tag, 0x84]) + len(value).to_bytes(4, "big") + value for tag, value in wanted)
    assert elements(written) == wanted

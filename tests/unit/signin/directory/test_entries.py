from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.directory.entries import Entry


def entry(*values: bytes) -> Entry:
    return Entry(dn="uid=x", attributes={"uidnumber": values})


@pytest.mark.parametrize(("values", "text"), [([b"alice"], "alice"), ([], None), ([b"a", b"b"], None), (["älice".encode()], None), ([b"\xff"], None)])
def test_a_text_is_the_one_value_in_ascii(values: list[bytes], text: str | None) -> None:
    assert entry(*values).text("uidNumber") == text


@pytest.mark.parametrize(
    ("value", "uid"),
    [
        (b"1001", 1001),
        (b"0", 0),
        (b"4294967294", 2**32 - 2),
        (b"4294967295", None),
        (b"-1", None),
        (b"", None),
        (b"12x", None),
        (b" 12", None),
        (b"12\n", None),
        ("１２".encode(), None),  # noqa: RUF001 - full-width digits
        (b"99999999999", None),
    ],
)
def test_a_uid_is_a_number_that_linux_has(value: bytes, uid: int | None) -> None:
    assert entry(value).uid("uidNumber") == uid


@given(st.lists(st.binary(max_size=16), max_size=3))
def test_any_values_are_a_uid_or_none(values: list[bytes]) -> None:
    uid = entry(*values).uid("UIDNUMBER")
    assert uid is None or 0 <= uid < 2**32 - 1

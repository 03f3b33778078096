from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.views import values

OTHERS = [b"", b"null", b"true", b"[]", b"{}", b"[1]", b'{"a": 1}', b"1.5", b"-"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(b'"a"', "a"), (b'"\\/\\u00e4"', "/ä"), (b'"\xff"', "\ufffd"), (b'""', ""), (b"1", None), *((other, None) for other in OTHERS)],
)
def test_a_text_is_told_and_nothing_else_is(value: bytes, told: str | None) -> None:
    assert values.text(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(b'"RUNNING"', ("RUNNING",)), (b'["A", "B"]', ("A", "B")), (b'["\xff"]', ("\ufffd",)), (b"[]", ()), (b"[1]", ()), (b"null", ()), (b"", ())],
)
def test_words_are_one_or_a_list(value: bytes, told: tuple[str, ...]) -> None:
    assert values.words(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"7", 7),
        (b'{"set": true, "infinite": false, "number": 7}', 7),
        (b'{"set": false, "infinite": false, "number": 7}', None),
        (b'{"set": true, "infinite": true, "number": 7}', None),
        (b'"7"', None),
        *((other, None) for other in OTHERS),
    ],
)
def test_an_integer_is_told_in_every_versions_way(value: bytes, told: int | None) -> None:
    assert values.integer(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b'{"set": true, "infinite": false, "number": 1.50e3}', b"1.50e3"),
        (b'{"set": false, "infinite": true, "number": 0}', b"infinite"),
        (b'{"set": false, "infinite": false, "number": 0}', b""),
        (b'{"set": true, "infinite": false, "number": 0, "more": 1}', None),
        (b'{"set": true}', None),
        (b'{"\xff": true}', None),
        *((other, None) for other in OTHERS),
    ],
)
def test_a_number_keeps_its_very_digits(value: bytes, told: bytes | None) -> None:
    assert values.number(value) == told


def test_members_are_those_of_an_object() -> None:
    members = values.members(b'{"a": {"b": 1}}')
    assert members is not None
    assert bytes(members["a"]) == b'{"b": 1}'


def test_a_member_whose_name_is_not_utf8_does_not_hide_the_others() -> None:
    assert set(values.members(b'{"\xff": 1, "a": 2}') or ()) == {"\ufffd", "a"}


@pytest.mark.parametrize("value", [b"", b"[]", b"1", b"null", b'"a"'])
def test_what_is_no_object_has_no_members(value: bytes) -> None:
    assert values.members(value) is None


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(TREES)
def test_compact_json_says_the_same_on_one_line(tree: object) -> None:
    compact = values.compact(json.dumps(tree, indent=2, ensure_ascii=True).encode())
    assert b"\n" not in compact
    assert json.loads(compact) == tree


def test_compact_json_keeps_numbers_and_escapes_as_they_were_written() -> None:
    assert values.compact(b'{"a": 1.50e+3,\n "b": "\\/ \\u00e4", "c": 123456789012345678901234567890 }') == (
        b'{"a":1.50e+3,"b":"\\/ \\u00e4","c":123456789012345678901234567890}'
    )

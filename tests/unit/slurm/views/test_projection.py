from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.views.projection import at, objects, tops, tree
from gateway.slurm.views.reply import Reply


def shown(item: str, *fields: str) -> bytes:
    columns = Reply(f'{{"jobs": [{item}]}}'.encode(), "jobs").columns(tops(fields))
    return b"".join(objects(fields, columns, [0]))


def test_fields_come_in_the_order_in_which_they_are_asked_for_and_as_they_are() -> None:
    assert shown('{"a": 1.50, "b": "\\/", "c": {"d":  1}}', "c", "a") == b'{"c":{"d":  1},"a":1.50}'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("t.a",), {"t": {"a": 1}}),
        (("t.a", "x", "t.b.c"), {"t": {"a": 1, "b": {"c": 2}}, "x": 3}),
        (("t.b", "t.b.c"), {"t": {"b": {"c": 2, "d": 4}}}),
        (("t.b.c", "t.b"), {"t": {"b": {"c": 2, "d": 4}}}),
        (("t.nothing", "x"), {"x": 3}),
        (("x.y",), {}),
        (("l.y",), {}),
        (("nothing",), {}),
    ],
)
def test_a_dot_leads_inside_and_the_shape_is_kept(fields: tuple[str, ...], expected: object) -> None:
    item = '{"t": {"a": 1, "b": {"c": 2, "d": 4}}, "x": 3, "l": [{"y": 1}]}'
    assert json.loads(shown(item, *fields)) == expected


def test_a_member_and_a_part_of_it_are_the_member() -> None:
    assert tree(["a.b", "a", "a.c", "d.e"]) == {"a": None, "d": {"e": None}}


@pytest.mark.parametrize(
    ("path", "value"), [((), b'{"a": {"b": 1}}'), (("a",), b'{"b": 1}'), (("a", "b"), b"1"), (("x",), b""), (("a", "b", "c"), b""), (("x", "y"), b"")]
)
def test_a_path_leads_to_a_value_or_to_nothing(path: tuple[str, ...], value: bytes) -> None:
    assert at(b'{"a": {"b": 1}}', path) == value


ITEMS = st.dictionaries(st.sampled_from("abcd"), st.integers() | st.text(max_size=5) | st.dictionaries(st.sampled_from("ab"), st.integers()))


@given(ITEMS, st.lists(st.sampled_from("abcde"), min_size=1, unique=True))
def test_what_is_shown_is_what_was_asked_for_and_is_there(item: dict[str, object], fields: list[str]) -> None:
    assert json.loads(shown(json.dumps(item, indent=2), *fields)) == {name: item[name] for name in fields if name in item}

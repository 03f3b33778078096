from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.jobfile.places import DEEPEST, Path, Place, Places, of_json, of_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=25)
LAYOUTS = st.sampled_from([None, 0, 1, 4])


def values_of(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, tree
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from values_of(value, (*path, name))
    if isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from values_of(value, (*path, number))


def at(text: str, place: Place | None) -> str:
    assert place is not None
    assert place.column is not None
    return "\n".join(text.split("\n")[place.line - 1 :])[place.column - 1 :]


def decoded(text: str) -> Any:
    return json.JSONDecoder().raw_decode(text)[0]


@given(tree=TREES, indent=LAYOUTS, ascii_only=st.booleans())
def test_the_place_of_each_value_in_json_is_its_first_character(tree: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    places = of_json(text)
    for path, value in values_of(tree):
        assert decoded(at(text, places.values[path])) == value


@given(tree=TREES, indent=LAYOUTS)
def test_the_place_of_each_name_in_json_is_its_quote(tree: Any, indent: int | None) -> None:
    text = json.dumps(tree, indent=indent)
    places = of_json(text)
    for path, _ in values_of(tree):
        if path and isinstance(path[-1], str):
            assert decoded(at(text, places.of_name(path))) == path[-1]


@given(st.text() | st.text(alphabet='{}[],:"\\ab1\n '))
def test_whatever_a_text_is_nothing_is_raised(text: str) -> None:
    of_json(text)
    of_yaml(text)


def test_a_text_of_brackets_alone_costs_neither_memory_nor_time() -> None:
    assert len(of_json("[" * 1_000_000).values) == DEEPEST + 1


def test_what_is_nested_too_deeply_has_the_place_of_what_it_is_in() -> None:
    places = of_json("[" * 100 + "]" * 100)
    assert places.of((0,) * 99) == Place(line=1, column=DEEPEST + 1)


def test_lines_end_as_on_any_system() -> None:
    places = of_json('{\r\n  "job": {\r\n    "tasks": 2}}')
    assert (places.of(("job", "tasks")), places.of_name(("job", "tasks"))) == (Place(line=3, column=14), Place(line=3, column=5))


def test_a_value_that_is_not_there_has_the_place_of_what_it_would_be_in() -> None:
    assert of_json('{\n "job": {}}').of(("job", "environment")) == Place(line=2, column=9)


def test_nothing_is_known_of_nothing() -> None:
    assert Places().of(("job",)) is None


@given(tree=st.dictionaries(st.text(alphabet="abcxyz_", min_size=1), TREES, min_size=1), flow=st.sampled_from([True, False, None]))
def test_the_place_of_each_value_in_yaml_is_where_yaml_says_that_it_begins(tree: Any, flow: bool | None) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    places = of_yaml(text)
    for path, place in _composed(yaml.compose(text, Loader=yaml.SafeLoader)):
        assert places.values[path] == place


def _composed(node: Any, path: Path = ()) -> Iterator[tuple[Path, Place]]:
    yield path, Place(line=node.start_mark.line + 1, column=node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _composed(value, (*path, str(name.value)))
    if isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _composed(value, (*path, number))


YAML = """# a job
job:
  name: one
  tasks: 2
  argv: [a, *x]
  environment:
  - PATH=/bin
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [(("job",), 3, 3), (("job", "tasks"), 4, 10), (("job", "argv", 1), 5, 13), (("job", "environment"), 7, 3), (("job", "environment", 0), 7, 5)],
)
def test_values_in_yaml_are_found(path: Path, line: int, column: int) -> None:
    assert of_yaml(YAML).of(path) == Place(line=line, column=column)


def test_names_in_yaml_are_found() -> None:
    assert of_yaml(YAML).of_name(("job", "tasks")) == Place(line=4, column=3)


def test_a_bomb_of_aliases_is_not_written_out() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert len(of_yaml(text).values) < 100

"""JSON and YAML become trees, and what is wrong with them has its place."""

from __future__ import annotations

import json
from functools import partial

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import JobFileError
from gateway.client.jobfile.trees import DEEPEST, of_json, of_yaml

MOST = 1_000_000


def read(text: str) -> object:
    return of_yaml(text, "job.yaml", most=MOST)


@pytest.mark.parametrize(
    ("text", "line", "column", "says", "hint"),
    [
        ('{"a": 1,\n}', 2, 1, "no JSON", "Is there a comma too many before it?"),
        ("{'a': 1}", 1, 2, "no JSON", "JSON takes double quotes only."),
        ('{"a": 1} # job', 1, 10, "no JSON", "JSON has no comments; YAML has: call the file NAME.yaml."),
        ('{"a" 1}', 1, 6, "no JSON", "Correct that place; a comma, a quote or a brace may be missing just before it."),
        ('{"b": {"a": 1},\n "a": "a",\n "a": 2}', 3, 2, '"a" stands twice', "Keep one of them."),
        ('[{"a": 1}, {"\\u0061": 1, "a": 2}]', 1, 26, '"a" stands twice', "Keep one of them."),
    ],
)
def test_broken_json_has_its_place_and_a_hint(text: str, line: int, column: int, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        of_json(text, "job.json")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"job.json:{line}:{column}: {says}")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('{"a": NaN}', "NaN is no JSON", "Correct the number."),
        ('{"a": -Infinity}', "-Infinity is no JSON", "Correct the number."),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits", "Correct the number."),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply", "A job file has four levels or five."),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply", "A job file has four levels or five."),
    ],
)
def test_json_that_no_slurm_takes_is_refused(text: str, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        of_json(text, "job.json")
    assert says in str(caught.value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("on", "on"),
        ("2027-01-01", "2027-01-01"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("-5", -5),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!int 1", 1),
        ("|\n    two\n    lines\n", "two\nlines\n"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    assert read(f"x: {text}\n") == {"x": value}


def test_what_is_a_text_to_slurm_is_one_whatever_it_looks_like() -> None:
    tree = read("job:\n  name: 1.10\n  account: 007\n  tasks: 2\n  environment: {A: 1, B: yes, C: , D: 1e3}\n")
    assert tree == {"job": {"name": "1.10", "account": "007", "tasks": 2, "environment": {"A": "1", "B": "yes", "C": "", "D": "1e3"}}}


def test_an_alias_is_what_its_anchor_is() -> None:
    assert read("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


INDENTATION = "Look at the indentation; no tabs in it, and quotes around texts with ': ' or ' #' in them."
LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ("a: 1\nb: [1\n", 3, "no YAML", INDENTATION),
        ("a: 1\n\tb: 2\n", 2, "no YAML", INDENTATION),
        ("a: 1\nb: 2\na: 3\n", 3, '"a" stands twice', "Keep one of them."),
        ("a: 1\n---\nb: 1\n", 2, "a second document", "Put each job into a file of its own."),
        ("a: !!python/object:os.system x\n", 1, "the tag", "Take it away."),
        ("a: !!binary x\n", 1, "the tag", "Take it away."),
        ("a: !mine [1]\n", 1, "the tag", "Take it away."),
        ("a: .nan\n", 1, "JSON has no number for .nan", "Write a number, or put it into quotes."),
        ("a: -.inf\n", 1, "JSON has no number for -.inf", "Write a number, or put it into quotes."),
        ("a: 1e999\n", 1, "JSON has no number for 1e999", "Write a number, or put it into quotes."),
        ("? [a]\n: 1\n", 1, "a name in a mapping must be a text", "Write a plain name before the ':'."),
        ("a: &a {b: 1}\nc: {<<: *a}\n", 2, "<< is no part", "Write out what is to be merged."),
        ("a: &a [*a]\n", 1, "stands inside what it is an alias of", "Write it out."),
        ("a: *b\n", 1, "there is no anchor &b", "Write the anchor before it."),
        (LAUGHS, 6, "with its aliases written out it is too large", "Use fewer aliases."),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), 1, "nested too deeply", "A job file has four levels or five."),
    ],
)
def test_yaml_that_is_no_job_has_its_place_and_a_hint(text: str, line: int, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(text)
    assert says in str(caught.value)
    assert (caught.value.line, caught.value.hint) == (line, hint), caught.value


@pytest.mark.parametrize("text", ["", "# nothing\n", "\x01", "a: \x07", "[" * 10_000, "{a: " * 10_000])
def test_what_is_no_yaml_at_all_is_refused(text: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(text)
    assert caught.value.hint


@pytest.mark.parametrize("loader", ["CLoader", "Loader"])
def test_it_does_not_matter_whether_libyaml_is_there(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if loader == "Loader":
        monkeypatch.delattr(yaml, "CLoader", raising=False)
    assert read("a: [1, b]\nc: '2'\n") == {"a": [1, "b"], "c": "2"}
    with pytest.raises(JobFileError, match=r"job\.yaml:2:"):
        read("a: 1\nb: }\n")


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Cn", "Co"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("uvwxyz", min_size=1, max_size=5), JSONS, max_size=4))
def test_what_is_json_is_the_same_in_yaml(tree: dict[str, object]) -> None:
    text = json.dumps(tree, ensure_ascii=False)
    assert of_json(text, "x.json") == tree
    assert of_yaml(text, "x.yaml", most=MOST) == tree


@given(st.text(max_size=200) | st.text(st.sampled_from("{}[]:,-'\"&*!|>#% \n\tab01"), max_size=60))
def test_any_text_is_a_tree_or_an_error_with_a_hint(text: str) -> None:
    for reads in (of_json, partial(of_yaml, most=MOST)):
        hint = "none was needed"
        try:
            reads(text, "x")
        except JobFileError as error:
            hint = error.hint
        assert hint

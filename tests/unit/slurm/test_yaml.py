from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.yaml import is_collection, is_yaml

KILLS = [
    "hello",
    "1111",
    "!!bool x",
    "!foo bar",
    "a: b\n--- x\n",
    "--- x",
    "--- |\n a: b",
    "'a: b'",
    '"a: b"',
    "a #: b",
    "# a: b\nx",
    "&a x",
    "*a",
    "a:b",
]
ODD = ["", "# nothing", "\ufeff", "a: b\n...\nfoo", "a: b\u2028--- x", "%YAML 1.1\n--- x", "\n\nx\n", "> a: b", "-x", "?x"]
FINE = [
    "job: {}",
    "---\njob:\n  name: a\n",
    "{a: b}",
    "[1]",
    "- 1",
    "? [a]\n: b",
    '"job": {}',
    "'job' : {}",
    "# c\n---\n# d\njob: {}\n...\n",
    "a b: c",
    "--- {}",
]


@pytest.mark.parametrize("text", [*KILLS, *ODD])
def test_what_may_be_a_mere_scalar_is_none(text: str) -> None:
    assert not is_collection(text.encode())


@pytest.mark.parametrize("text", FINE)
def test_what_submits_a_job_is_one(text: str) -> None:
    assert is_collection(text.encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_other_encodings_are_not_looked_into(encoding: str) -> None:
    assert not is_collection("job: {}".encode(encoding))


@given(st.binary())
def test_nothing_upsets_it(content: bytes) -> None:
    assert is_collection(content) in {True, False}


@pytest.mark.parametrize(("content_type", "expected"), [("application/x-yaml", True), ("text/YAML", True), ("a/json", False), (None, False)])
def test_yaml_is_known_by_its_type(content_type: str | None, expected: bool) -> None:
    assert is_yaml(content_type) is expected

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.repair.fatal import fatal_field

FATAL = [
    (36, b'{"job": {"argv": ["a"]}, "script": "x"}', "argv"),
    (38, b'{"jobs": [{"name": "a"}, {"name": "b", "ARGV": []}], "script": "x"}', "ARGV"),
    (38, b'{"job": {"\\u0061rgv": []}}', "argv"),
    (37, b'{"JOB": {"batch_features": "a"}}', "batch_features"),
    (38, b'{"job": {"name": "a"}, "job": {"argv": []}, "job": {}}', "argv"),
    (38, b'{"job": {"argv": [], "argv": null}}', "argv"),
    (42, b'{"job": {"group_id": "hpc-users"}}', "group_id"),
]
HARMLESS = [
    (38, b'{"job": {"environment": {"argv": "a"}}, "script": "argv"}'),
    (38, b'{"argv": ["a"], "job": {}}'),
    (42, b'{"job": {"argv": ["a"]}}'),
    (42, b'{"job": {"group_id": "100"}}'),
    (42, b'{"job": {"group_id": -1}}'),
    (42, b'{"job": {"group_id": 100.5}}'),
    (38, b'{"job": {"group_id": "hpc-users"}}'),
    (43, b'{"job": {"group_id": "hpc-users"}}'),
    (38, b'{"job": {"argv": '),
    (38, b'["argv"]'),
    (38, b'{"job": 1, "jobs": [1, "argv"]}'),
    (38, b"[" * 100_000 + b'"argv"'),
]


@pytest.mark.parametrize(("version", "content", "name"), FATAL)
def test_a_field_that_ends_slurmrestd_is_named(version: int, content: bytes, name: str) -> None:
    assert fatal_field(version, content, is_yaml=False) == name


@pytest.mark.parametrize(("version", "content"), HARMLESS)
def test_what_harms_nobody_is_let_through(version: int, content: bytes) -> None:
    assert fatal_field(version, content, is_yaml=False) is None


@pytest.mark.parametrize("content", [b"job:\n  argv: [a]\n", b"job: {argv: [a]}", b'{"job": {"argv": []}}', b"job:\n  'ARGV' : []"])
def test_it_is_seen_in_yaml_as_well(content: bytes) -> None:
    assert (fatal_field(38, content, is_yaml=True) or "").lower() == "argv"


def test_yaml_for_a_version_that_survives_it_is_let_through() -> None:
    assert fatal_field(42, b"job:\n  argv: [a]\n", is_yaml=True) is None


@given(st.binary(max_size=200), st.integers(0, 50), st.booleans())
def test_whatever_comes_it_never_raises(content: bytes, version: int, is_yaml: bool) -> None:
    fatal_field(version, b'{"job": {"argv"' + content, is_yaml=is_yaml)

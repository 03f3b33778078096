"""A body and what it is called, repaired together."""

from __future__ import annotations

import json

import pytest

from gateway.slurm.repair.body import Mended, repair_body

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
OLD = b'{"job": {"environment": {"PATH": "/bin"}}, "script": "#!/bin/sh"}'


def test_a_job_file_under_another_name_is_repaired_in_both() -> None:
    mended = repair_body(OLD, FORM, "v0.0.42")
    assert (mended.content_type, mended.repairs) == (JSON, ("content-type", "environment"))
    assert mended.content is not None
    assert json.loads(mended.content)["job"]["environment"] == ["PATH=/bin"]


def test_what_needs_no_repair_is_not_written_anew() -> None:
    assert repair_body(OLD, JSON, "v0.0.38") == Mended(content_type=JSON)


@pytest.mark.parametrize(
    ("content_type", "version"), [(JSON, None), ("application/yaml", "v0.0.42"), ("application/json; charset=latin-1", "v0.0.42")]
)
def test_what_is_no_submission_in_json_stays_as_it_is(content_type: str, version: str | None) -> None:
    assert repair_body(OLD, content_type, version) == Mended(content_type=content_type)


def test_it_is_told_why_something_was_left_alone() -> None:
    mended = repair_body(b'{"job": {"script": "a", "environment": {}}, "script": "b"}', JSON, "v0.0.42")
    assert (mended.content, mended.repairs, mended.problem) == (None, (), "two scripts")

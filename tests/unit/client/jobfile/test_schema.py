from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import NotUnderstoodError
from gateway.client.jobfile.checking import check
from gateway.client.jobfile.places import Places
from gateway.client.jobfile.schema import submission_of
from tests.unit.client.jobfile.documents import document, submission


def test_the_newest_version_is_the_one_that_is_meant() -> None:
    told = document({"name": {"type": "string"}}, version="v0.0.9")
    told["paths"]["/slurm/v0.0.42/job/submit"] = told["paths"]["/slurm/v0.0.9/job/submit"]
    told["paths"]["/slurmdb/v0.0.99/job/submit"] = {}
    found = submission_of(told)
    assert (found.version, found.number, found.fields()) == ("v0.0.42", 42, frozenset({"name"}))


@pytest.mark.parametrize(("told", "release"), [("Slurm-24.11.5&openapi/slurmctld", "24.11"), ("dbv0.0.36", None), (5, None), (None, None)])
def test_the_release_is_told_where_the_document_does(told: Any, release: str | None) -> None:
    assert submission_of(document({}) | {"info": {"version": told}}).release == release


@pytest.mark.parametrize(
    "told", [None, 5, [], {}, {"paths": []}, {"paths": {"/slurm/v0.0.42/jobs": {}}}, {"paths": {"/slurm/v0.0.42/job/submit": 5}}]
)
def test_a_document_that_does_not_tell_is_not_understood(told: Any) -> None:
    with pytest.raises(NotUnderstoodError) as raised:
        submission_of(told)
    hint = "Ask your administrators: the cluster's own description of its API, /openapi/v3, is not as Slurm writes it."
    assert raised.value.hint == hint


def test_what_a_reference_names_is_taken_wherever_it_leads_in_the_document() -> None:
    found = submission({"tasks": {"$ref": "#/components/schemas/a/b~1c"}}, {"a/b~1c": {"$ref": "#/components/schemas/d"}, "d": {"type": "integer"}})
    assert found.fields() == {"tasks"}
    assert [problem.field for problem in check({"job": {"tasks": []}, "script": "#!"}, found, Places())] == [
        "job.environment",
        "job.current_working_directory",
        "job.tasks",
    ]


@pytest.mark.parametrize("reference", ["https://example.org/schema", "file:///etc/passwd", "#/paths", "#/components/schemas/nowhere", "", "#"])
def test_a_reference_that_leads_out_of_the_document_is_followed_nowhere(reference: str) -> None:
    assert "$ref" not in json.dumps(submission({"tasks": {"$ref": reference}}).schema["definitions"]["s0"]["properties"]["tasks"])


@pytest.mark.parametrize(
    "schemas",
    [
        {"a": {"$ref": "#/components/schemas/a"}},
        {"a": {"$ref": "#/components/schemas/b"}, "b": {"$ref": "#/components/schemas/a"}},
    ],
)
def test_references_that_lead_to_themselves_allow_anything(schemas: dict[str, Any]) -> None:
    found = submission({"tasks": {"$ref": "#/components/schemas/a"}}, schemas)
    assert not [problem for problem in check({"job": {"tasks": 1}, "script": "#!"}, found, Places()) if problem.field == "job.tasks"]


def test_a_schema_that_is_part_of_itself_is_said_to_have_no_end() -> None:
    found = submission({"tasks": {"$ref": "#/components/schemas/a"}}, {"a": {"allOf": [{"$ref": "#/components/schemas/a"}]}})
    with pytest.raises(NotUnderstoodError, match="has no end"):
        check({"job": {"tasks": 1}, "script": "#!"}, found, Places())


def test_more_schemas_than_any_slurm_has_are_refused() -> None:
    chain = {f"n{number}": {"items": {"$ref": f"#/components/schemas/n{number + 1}"}} for number in range(2000)} | {"n2000": {}}
    with pytest.raises(NotUnderstoodError, match="has no end"):
        submission({"tasks": {"$ref": "#/components/schemas/n0"}}, chain)


def test_patterns_of_the_document_are_never_run() -> None:
    assert "pattern" not in json.dumps(submission({"signal": {"type": "string", "pattern": "(a+)+$"}}).schema)


KEYWORDS = st.sampled_from(["type", "$ref", "properties", "items", "enum", "oneOf", "anyOf", "allOf", "nullable", "additionalProperties", "x"])
WORDS = st.sampled_from(["string", "array", "object", "#/components/schemas/a", "#/components/schemas/b", "job"]) | st.text()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(top=ANYTHING, one=ANYTHING, other=ANYTHING, job=ANYTHING)
def test_whatever_a_cluster_says_nothing_but_not_understood_is_raised(top: Any, one: Any, other: Any, job: Any) -> None:
    told = document({}) | {"components": {"schemas": {"a": one, "b": other, "job": top}}}
    with suppress(NotUnderstoodError):
        check({"job": job, "script": "#!/bin/sh"}, submission_of(told), Places())

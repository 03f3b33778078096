from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.errors import NotUnderstoodError
from gateway.client.jobfile.checking import MOST, Problem, check, kind_of, name_of, shown
from gateway.client.jobfile.places import Places, of_json
from tests.unit.client.jobfile.documents import NEW, OLD, submission

OLDER, NEWER = submission(OLD, version="v0.0.38"), submission(NEW)
GOOD = {"name": "one", "current_working_directory": "/tmp", "environment": ["PATH=/bin"]}


def found(fields: dict[str, Any], version: int = 42, **tops: Any) -> list[Problem]:
    """Return what is said of a job with these fields, but for what brings the rest of it up."""
    given_ = {**GOOD, **fields}
    if version == 38 and isinstance(given_["environment"], list):
        given_["environment"] = {"PATH": "/bin"}
    return check({"job": given_, "script": "#!/bin/sh\n", **tops}, NEWER if version == 42 else OLDER, Places())


def said(fields: dict[str, Any], version: int = 42, **tops: Any) -> list[tuple[str, str, str]]:
    return [(problem.severity, problem.field, problem.message) for problem in found(fields, version, **tops)]


@pytest.mark.parametrize("version", [38, 42])
def test_of_a_good_job_nothing_is_said(version: int) -> None:
    assert said({}, version) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tiem_limit": 5}, "unknown field; did you mean time_limit?"),
        ({"Tasks": 5}, "unknown field; did you mean tasks?"),
        ({"xyzzy": 5}, "unknown field"),
        ({"tasks": "many"}, 'is the text "many"; v0.0.42 takes a whole number'),
        ({"tasks": True}, "is true; v0.0.42 takes a whole number"),
        ({"tasks": [5]}, "is a list; v0.0.42 takes a whole number"),
        ({"name": ["x"]}, "is a list; v0.0.42 takes a text"),
        ({"hold": {}}, "is an object; v0.0.42 takes true or false"),
        ({"time_limit": "soon"}, 'is the text "soon"; v0.0.42 takes a number'),
        ({"environment": "PATH=/bin"}, 'is the text "PATH=/bin"; v0.0.42 takes a list'),
        ({"environment": []}, "is empty, and Slurm refuses that"),
        ({"mail_type": "SOMETIMES"}, 'the text "SOMETIMES" is none of its values'),
        ({"mail_type": "BEGINS"}, 'the text "BEGINS" is none of its values; did you mean BEGIN?'),
        ({"group_id": "users"}, "slurmrestd of this version ends when it is given this field, for everybody"),
        ({"current_working_directory": None}, "no working directory, without which Slurm refuses the job"),
        ({"current_working_directory": ""}, "no working directory, without which Slurm refuses the job"),
    ],
)
def test_what_slurm_24_11_refuses_or_loses_is_an_error(fields: dict[str, Any], message: str) -> None:
    (name,) = fields
    assert said(fields) == [("error", f"job.{name}", message)]


def test_a_value_in_a_list_and_a_member_of_a_number_have_their_places() -> None:
    assert said({"mail_type": ["END", "ENDS"]}) == [("error", "job.mail_type[1]", 'the text "ENDS" is none of its values; did you mean END?')]
    assert said({"time_limit": {"nubmer": 5}}) == [("error", "job.time_limit.nubmer", "unknown field; did you mean number?")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": "many"}, 'is the text "many"; v0.0.38 takes a whole number'),
        ({"tasks": None}, "is null; v0.0.38 takes a whole number"),
        ({"ntasks": "many"}, 'is the text "many"; v0.0.38 takes a whole number'),
        ({"flags": ["x"]}, "unknown field; did you mean gres_flags?"),
        ({"argv": ["x"]}, "slurmrestd of this version ends when it is given this field, for everybody"),
        ({"cpu_binding": "none"}, "is in the description of v0.0.38, but Slurm refuses it"),
        ({"get_user_environment": True}, "is true; v0.0.38 takes a number of seconds"),
        ({"open_mode": "sideways"}, 'is the text "sideways"; v0.0.38 takes one of append, truncate'),
        ({"gres_flags": "other"}, 'the text "other" is none of its values'),
        ({"nodes": [1, 2]}, "is a list; v0.0.38 takes a number, or a text like 1-4"),
        ({"time_limit": [5]}, "is a list; v0.0.38 takes a whole number"),
        ({"begin_time": 5}, "is the number 5; v0.0.38 takes a text like 2027-01-31T08:00:00 or now+1hour"),
    ],
)
def test_what_slurm_22_05_refuses_or_loses_is_an_error(fields: dict[str, Any], message: str) -> None:
    (name,) = fields
    assert said(fields, 38) == [("error", f"job.{name}", message)]


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"tasks": "5"}, 42),
        ({"tasks": "5"}, 38),
        ({"tasks": 5.0}, 42),
        ({"tasks": None}, 42),
        ({"name": 5}, 42),
        ({"name": None}, 38),
        ({"hold": "yes"}, 42),
        ({"hold": 1}, 38),
        ({"current_working_directory": None}, 38),
    ],
)
def test_what_slurm_takes_for_something_else_is_a_warning(fields: dict[str, Any], version: int) -> None:
    assert [problem.severity for problem in found(fields, version) if problem.field == f"job.{next(iter(fields))}"][:1] == ["warning"]


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"time_limit": 5}, 42),
        ({"time_limit": "5"}, 42),
        ({"time_limit": None}, 42),
        ({"memory_per_node": "5G"}, 42),
        ({"begin_time": "now+1hour"}, 42),
        ({"deadline": "2030-01-31"}, 42),
        ({"required_nodes": "c1,c2"}, 42),
        ({"nodes": 2}, 42),
        ({"mail_type": "END"}, 42),
        ({"mail_type": ["end"]}, 42),
        ({"power_flags": "x"}, 42),
        ({"nodes": "1-2"}, 38),
        ({"Tasks": 5}, 38),
        ({"ntasks": 5}, 38),
        ({"job_name": "x"}, 38),
        ({"umask": "022"}, 38),
        ({"time_limit": "1-00:00:00"}, 38),
        ({"open_mode": "APPEND"}, 38),
        ({"gres_flags": "DISABLE-BINDING"}, 38),
    ],
)
def test_what_slurm_takes_beyond_its_description_is_not_called_wrong(fields: dict[str, Any], version: int) -> None:
    assert said(fields, version) == []


@pytest.mark.parametrize(
    ("fields", "version", "message"),
    [
        ({"environment": {"PATH": "/bin"}}, 42, "is an object; v0.0.42 takes a list: the gateway brings it up"),
        ({"environment": ["A=b"]}, 42, None),
        ({"time_limit": "01:30:00"}, 42, "is a text; v0.0.42 takes a number: the gateway brings it up"),
        ({"ntasks": 5}, 42, "is called tasks in v0.0.42: the gateway brings it up"),
        ({"gres": "gpu:1"}, 42, "becomes tres_per_node in v0.0.42: the gateway brings it up"),
        ({"spread_job": True}, 42, "becomes flags in v0.0.42: the gateway brings it up"),
        ({"required_nodes": ["c1"]}, 38, "becomes nodelist in v0.0.38: the gateway brings it up"),
    ],
)
def test_an_older_or_newer_shape_is_a_note(fields: dict[str, Any], version: int, message: str | None) -> None:
    (name,) = fields
    assert said(fields, version) == ([] if message is None else [("note", f"job.{name}", message)])


def test_what_a_field_is_called_elsewhere_still_needs_the_right_type() -> None:
    assert ("error", "job.ntasks", 'is the text "many"; v0.0.42 takes a whole number') in said({"ntasks": "many"})


def test_two_names_of_one_thing_that_say_different_things_are_told() -> None:
    assert ("error", "job.ntasks", "says something else than tasks") in said({"ntasks": 5, "tasks": 4})


def test_no_environment_is_a_note_for_the_gateway_gives_one() -> None:
    assert said({"environment": None}) == [("note", "job.environment", "no environment: the gateway gives the job one with PATH alone")]


@pytest.mark.parametrize(
    ("tree", "field", "message"),
    [
        ([], "", "is a list, not an object with a job in it"),
        ({"script": "#!"}, "", "no job"),
        ({"job": 5, "script": "#!"}, "job", "is a number, not an object"),
        ({"job": GOOD}, "job", "no script, without which Slurm refuses the job"),
        ({"job": GOOD, "script": ""}, "script", "is empty: there is nothing to run"),
        ({"job": GOOD, "scirpt": "x", "script": "#!"}, "scirpt", "unknown field; did you mean script?"),
        ({"job": GOOD, "tasks": 5, "script": "#!"}, "tasks", "unknown field; it belongs into 'job'"),
        ({"job": GOOD, "jobs": [GOOD], "script": "#!"}, "jobs", "stands beside 'job', and one of the two is lost or refused"),
        (
            {"job": {**GOOD, "script": "#!a"}, "script": "#!b"},
            "job.script",
            "is another script than the one beside the job, and one of the two is lost",
        ),
        ({"jobs": [GOOD, {**GOOD, "tasks": "x"}], "script": "#!"}, "jobs[1].tasks", 'is the text "x"; v0.0.42 takes a whole number'),
    ],
)
def test_a_submission_that_is_none_is_an_error(tree: Any, field: str, message: str) -> None:
    assert [(problem.field, problem.message) for problem in check(tree, NEWER, Places()) if problem.severity == "error"] == [(field, message)]


def test_the_seeds_shape_is_a_note() -> None:
    notes = check({"jobs": GOOD, "script": "#!/bin/sh"}, NEWER, Places())
    assert [(note.severity, note.field, note.message) for note in notes] == [
        ("note", "jobs", "is an object; v0.0.42 calls one job 'job': the gateway brings it up")
    ]


def test_a_script_in_the_job_is_a_note_up_to_v0_0_38() -> None:
    job = {**GOOD, "environment": {"A": "b"}, "script": "#!/bin/sh"}
    assert [(note.severity, note.field) for note in check({"job": job}, OLDER, Places())] == [("note", "job.script")]


def test_problems_have_places_and_come_in_the_order_of_the_file() -> None:
    text = '{\n "script": "#!/bin/sh",\n "job": {\n  "tasks": "x",\n  "current_working_directory": "/",\n  "environment": ["A=b"],\n  "nmae": 5}}'
    assert [(problem.line, problem.column, problem.field) for problem in check(json.loads(text), NEWER, of_json(text))] == [
        (4, 12, "job.tasks"),
        (7, 3, "job.nmae"),
    ]


def test_every_problem_has_a_hint() -> None:
    problems = found({"xyzzy": 1, "tasks": "x", "mail_type": "SOMETIMES", "environment": {"A": "b"}, "group_id": "g", "name": 5})
    assert len(problems) == 6
    assert all(problem.hint.endswith((".", "?")) for problem in problems)


def test_of_a_file_with_endless_problems_some_are_told() -> None:
    assert len(found({f"x{number}": 1 for number in range(1000)})) == MOST


@pytest.mark.parametrize(
    ("value", "name", "words"),
    [
        (None, "null", "null"),
        (True, "true", "true"),
        ("x", "a text", 'the text "x"'),
        (5, "a number", "the number 5"),
        (5.5, "a number", "the number 5.5"),
        ([], "a list", "a list"),
        ({}, "an object", "an object"),
        ("x" * 50, "a text", "a text"),
    ],
)
def test_values_are_named_in_words(value: Any, name: str, words: str) -> None:
    assert (kind_of(value), shown(value)) == (name, words)


def test_paths_are_written_as_people_write_them() -> None:
    assert name_of(("jobs", 0, "environment", 2)) == "jobs[0].environment[2]"


KEYS = st.sampled_from([*NEW, *OLD, "ntasks", "signal", "job", "jobs", "set"])
ANYTHING: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
for _ in range(3):
    ANYTHING = ANYTHING | st.lists(ANYTHING, max_size=3) | st.dictionaries(KEYS, ANYTHING, max_size=4)


@given(tree=ANYTHING | st.fixed_dictionaries({"job": ANYTHING, "script": ANYTHING}), version=st.sampled_from([OLDER, NEWER]))
def test_whatever_a_file_says_nothing_is_raised(tree: Any, version: Any) -> None:
    check(tree, version, Places())


def test_a_description_that_doubles_with_each_reference_has_no_end() -> None:
    doubling = {f"d{level}": {"anyOf": [{"$ref": f"#/components/schemas/d{level + 1}"}] * 2} for level in range(60)}
    told = submission({**NEW, "comment": {"$ref": "#/components/schemas/d0"}}, {**doubling, "d60": {"type": "integer"}})
    with pytest.raises(NotUnderstoodError, match="has no end"):
        check({"job": {"comment": "x", "current_working_directory": "/"}, "script": "#!/bin/sh"}, told, Places())


def test_of_very_many_mistakes_the_first_are_told_and_no_time_is_spent_on_the_others() -> None:
    begun = time.process_time()
    problems = check({"job": {f"field{number}": 1 for number in range(100_000)}, "script": "#!/bin/sh"}, NEWER, Places())
    assert (len(problems), time.process_time() - begun < 5) == (200, True)

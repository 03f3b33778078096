"""Fields that are set on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client.errors import JobFileError
from gateway.client.jobfile.changes import change
from gateway.client.jobfile.values import ENDLESS, number

NAME = "Name a field of the job, as in --set partition=debug or --set environment.GREETING=hello."


def changed(tree: dict[str, Any], **changes: str) -> dict[str, Any]:
    change(tree, [(name.replace("__", "."), value) for name, value in changes.items()])
    return tree


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("partition", "debug", "debug"),
        ("name", "1.10", "1.10"),
        ("comment", '{"a": 1}', '{"a": 1}'),
        ("tasks", "4", 4),
        ("hold", "true", True),
        ("nodes", "1-2", "1-2"),
        ("time_limit", "1:30", number(2)),
        ("time_limit", "90", number(90)),
        ("time_limit", "UNLIMITED", ENDLESS),
        ("time_limit", '{"number": 3}', {"number": 3}),
        ("memory_per_node", "4G", number(4096)),
        ("priority", "7", number(7)),
        ("argv", '["a", "b"]', ["a", "b"]),
        ("mail_type", "END,FAIL", "END,FAIL"),
    ],
)
def test_a_value_has_the_shape_of_its_field(name: str, said: str, value: object) -> None:
    assert changed({"job": {}}, **{name: said}) == {"job": {name: value}}


def test_a_variable_is_set_in_an_environment_of_either_form_or_in_none() -> None:
    assert changed({"job": {"environment": {"A": "0", "B": "2"}}}, environment__A="1") == {"job": {"environment": {"A": "1", "B": "2"}}}
    assert changed({"job": {"environment": ["A=0", "B=2"]}}, job__environment__A="1") == {"job": {"environment": ["B=2", "A=1"]}}
    assert changed({"job": {}}, environment__A="1") == {"job": {"environment": {"A": "1"}}}


def test_the_script_is_where_it_was() -> None:
    assert changed({"job": {"script": "a"}}, script="b") == {"job": {"script": "b"}}
    assert changed({"job": {}, "script": "a"}, script="b") == {"job": {}, "script": "b"}


def test_the_seeds_one_job_called_jobs_and_one_of_several_are_reached() -> None:
    assert changed({"jobs": {"name": "a"}}, name="b") == {"jobs": {"name": "b"}}
    assert changed({"jobs": [{}, {}]}, jobs__1__name="b") == {"jobs": [{}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("tree", "name", "value", "says", "hint"),
    [
        (
            {"job": {}},
            "partion",
            "x",
            "there is no field partion",
            "Did you mean partition? A field of a version that is not known here is written job.partion.",
        ),
        (
            {"job": {}},
            "job-name",
            "x",
            "there is no field job-name",
            "Did you mean name? A field of a version that is not known here is written job.job-name.",
        ),
        ({"job": {}}, "zzzzzz", "x", "there is no field zzzzzz", "A field of a version that is not known here is written job.zzzzzz."),
        ({"job": {}}, "a..b", "x", "that is no name", NAME),
        ({"jobs": [{}]}, "name", "x", "the file has several jobs", "Say which one, from 0: --set jobs.0.name=…"),
        ({"jobs": [{}]}, "jobs.1.name", "x", "nothing at 1", NAME),
        ({"jobs": [{}]}, "jobs.x", "x", "nothing at x", NAME),
        ({"job": {"name": "a"}}, "job.name.b", "x", "nothing at b", NAME),
        ({"job": {}}, "time_limit", "soon", "it is no time", "Correct the value."),
        ({"job": {}}, "memory_per_cpu", "much", "it is no amount", "Correct the value."),
    ],
)
def test_what_cannot_be_set_is_said_with_a_hint(tree: dict[str, Any], name: str, value: str, says: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        change(tree, [(name, value)])
    assert says in str(caught.value)
    assert caught.value.hint == hint


def test_a_field_that_is_not_known_here_may_be_named_in_full() -> None:
    assert changed({"job": {}}, job__brand_new="1") == {"job": {"brand_new": 1}}


def test_a_job_that_is_held_has_no_priority_which_would_end_the_hold() -> None:
    assert changed({"job": {"priority": 7}}, hold="true") == {"job": {"hold": True}}
    assert changed({"jobs": [{"priority": 7}]}, jobs__0__hold="true") == {"jobs": [{"hold": True}]}
    assert changed({"job": {"priority": 7}}, hold="false") == {"job": {"priority": 7, "hold": False}}

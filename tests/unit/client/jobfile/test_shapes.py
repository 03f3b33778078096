"""What the client knows of the gateway's repairs is what the gateway does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.client.jobfile.dialect import OLD
from gateway.client.jobfile.shapes import ALSO, FLAGS, SHAPES, brought_up, is_spelling
from gateway.slurm.repair import repair_submission
from gateway.slurm.repair.fields import _FLAGS, RULES
from gateway.slurm.repair.fields import OLD as GATEWAYS_OLD

VERSIONS = range(36, 46)
FIELDS = sorted({shape.field for shape in SHAPES} | {"environment", "flags", "signal", *(field for field, _ in FLAGS.values())})
NUMBERS = st.fixed_dictionaries({}, optional={"set": st.booleans(), "infinite": st.booleans(), "number": st.integers(-1, 2_000_000_000)})
WORDS = st.sampled_from(
    [
        "5",
        "05",
        "x",
        "1-00:00:00",
        "01:30",
        "unlimited",
        "-1",
        "END",
        "end",
        "END,FAIL",
        "ALL",
        "none",
        "NONE,END",
        "TIME_LIMIT_80",
        "exclusive",
        "true",
        "user",
        "MCS",
        "oversubscribe",
        "append",
        "gpu:2",
        "gres/gpu:a100:1",
        "gpu:2,shard:1",
        "USR1@60",
        "B:USR1@60",
        "RB:10",
        "USR1",
        "@60",
        "disable-binding",
        "SPREAD_JOB",
        "TRUNCATE",
        "BEGIN",
        "c1,c2",
        "A=b",
        "",
        "a b",
    ]
)
SCALARS = WORDS | st.integers(-1, 2_000_000_000) | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | NUMBERS | st.dictionaries(WORDS.filter(lambda word: word and "=" not in word), WORDS, max_size=2)


def repairs(job: dict[str, Any], version: int) -> set[str]:
    """Return the names of what the gateway repairs in a job that has an environment in its form."""
    done = repair_submission(f"v0.0.{version}", json.dumps({"job": job, "script": "#!/bin/sh"}).encode())
    return set(done.repairs)


def test_the_same_fields_are_known_as_the_same_in_the_same_versions() -> None:
    assert OLD == GATEWAYS_OLD
    assert {(shape.field, shape.to, shape.first, shape.last) for shape in SHAPES} == {(rule.field, rule.to, rule.first, rule.last) for rule in RULES}


def test_the_same_fields_are_flags() -> None:
    assert {flag: (field, json.dumps(value).encode()) for flag, (field, value) in FLAGS.items()} == _FLAGS


@given(field=st.sampled_from(FIELDS), value=VALUES, version=st.sampled_from(VERSIONS))
def test_a_value_is_said_to_be_brought_up_when_the_gateway_does_it(field: str, value: Any, version: int) -> None:
    job = {"environment": {"A": "b"} if version <= OLD else ["A=b"]} | {field: value}
    assume((field, bool(value)) != ("environment", False))  # whatever its form, Slurm refuses an empty one
    mine = bool(brought_up(job, version))
    gateways = bool(repairs(job, version) - {"environment-default"})
    assert mine == gateways


WARNING = {"kill_warning_signal": "USR1", "kill_warning_delay": {"set": True, "number": 60}}


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        (WARNING, 38),
        (WARNING | {"kill_warning_delay": 60}, 38),
        (WARNING | {"kill_warning_flags": ["RESERVATION_JOB"]}, 38),
        ({"minimum_nodes": 1, "maximum_nodes": 2}, 38),
        ({"signal": "B:USR1@60"}, 42),
    ],
)
def test_what_several_fields_say_together_is_brought_up(fields: dict[str, Any], version: int) -> None:
    job = {"environment": {"A": "b"} if version <= OLD else ["A=b"]} | fields
    assert (set(brought_up(job, version)), bool(repairs(job, version))) == (set(fields), True)


@pytest.mark.parametrize("fields", [{"kill_warning_signal": "USR1"}, WARNING | {"kill_warning_flags": ["OTHER"]}, {"minimum_nodes": 1}])
def test_what_has_no_older_form_is_not(fields: dict[str, Any]) -> None:
    assert brought_up(fields, 38) == {}
    assert repairs({"environment": {"A": "b"}} | fields, 38) == set()


def test_a_signal_for_the_batch_shell_alone_is_not_for_22_05_refuses_what_becomes_of_it() -> None:
    assert brought_up(WARNING | {"kill_warning_flags": ["BATCH_JOB"]}, 38) == {}


def test_spellings_are_told_from_forms() -> None:
    assert (is_spelling("ntasks", "tasks"), is_spelling("gres", "tres_per_node"), ALSO["ntasks"], "msc_label" in ALSO) == (
        True,
        False,
        "tasks",
        False,
    )

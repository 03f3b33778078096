from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.repair.submission import DEFAULT_PATH, repair_submission

VERSIONS = [f"v0.0.{number}" for number in (36, 37, 38, 39, 40, 41, 42, 43, 44, 45)]
OLD, NEW = VERSIONS[:3], VERSIONS[3:]
SCRIPT = "#!/bin/sh\nhostname\n"
OLD_JOB = {
    "script": SCRIPT,
    "job": {
        "name": "a",
        "environment": {"PATH": "/bin", "A": "b=c"},
        "current_working_directory": "/tmp",
        "standard_output": "/tmp/o",
        "time_limit": 5,
        "memory_per_cpu": 100,
        "tasks": 2,
        "nodes": [1, 2],
        "mail_type": "END,FAIL",
        "exclusive": "user",
        "nodelist": "n1",
        "signal": "USR1@30",
        "kill_on_invalid_dependency": True,
    },
}
NEW_JOB = {
    "job": {
        "script": SCRIPT,
        "name": "a",
        "environment": ["PATH=/bin", "A=b=c"],
        "current_working_directory": "/tmp",
        "standard_output": "/tmp/o",
        "time_limit": {"set": True, "infinite": False, "number": 5},
        "memory_per_cpu": {"set": True, "infinite": False, "number": 100},
        "tasks": 2,
        "nodes": "1-2",
        "mail_type": ["END", "FAIL"],
        "shared": ["user"],
        "required_nodes": ["n1"],
        "open_mode": ["APPEND"],
        "begin_time": {"set": False, "infinite": False, "number": 0},
    }
}


def repaired(version: str, body: object) -> tuple[Any, tuple[str, ...]]:
    result = repair_submission(version, json.dumps(body).encode())
    return json.loads(result.content), result.repairs


def untouched(version: str, content: bytes) -> str | None:
    result = repair_submission(version, content)
    assert result.content is content
    assert result.repairs == ()
    return result.problem


@pytest.mark.parametrize("version", OLD)
def test_a_job_of_the_older_form_goes_to_an_older_version_byte_for_byte(version: str) -> None:
    assert untouched(version, json.dumps(OLD_JOB, indent=3).encode()) is None


@pytest.mark.parametrize("version", NEW)
def test_a_job_of_the_newer_form_goes_to_a_newer_version_byte_for_byte(version: str) -> None:
    body = {"job": {name: value for name, value in NEW_JOB["job"].items() if name != "begin_time"}}
    assert untouched(version, json.dumps(body, indent=3).encode()) is None


@pytest.mark.parametrize("version", ["v0.0.40", "v0.0.42", "v0.0.45"])
def test_a_job_of_the_older_form_goes_to_a_newer_version(version: str) -> None:
    body, names = repaired(version, OLD_JOB)
    assert body["script"] == SCRIPT
    assert body["job"]["environment"] == ["PATH=/bin", "A=b=c"]
    assert body["job"]["mail_type"] == ["END", "FAIL"]
    assert body["job"]["required_nodes"] == "n1"
    assert body["job"]["flags"] == ["KILL_INVALID_DEPENDENCY"]
    assert "exclusive" in body["job"] if version == "v0.0.40" else body["job"]["shared"] == ["user"]
    assert {"environment", "mail_type", "required_nodes", "flags", "signal"} <= set(names)


@pytest.mark.parametrize("version", OLD)
def test_a_job_of_the_newer_form_goes_to_an_older_version(version: str) -> None:
    body, names = repaired(version, NEW_JOB)
    assert body["script"] == SCRIPT
    assert body["job"] == {
        "name": "a",
        "current_working_directory": "/tmp",
        "standard_output": "/tmp/o",
        "tasks": 2,
        "nodes": "1-2",
        "environment": {"PATH": "/bin", "A": "b=c"},
        "time_limit": 5,
        "memory_per_cpu": 100,
        "mail_type": "END,FAIL",
        "open_mode": "append",
        "exclusive": "user",
        "nodelist": "n1",
    }
    assert names[:2] == ("script", "environment")


@pytest.mark.parametrize("version", VERSIONS)
def test_one_job_in_the_place_of_several_is_called_job(version: str) -> None:
    environment = {"PATH": "/bin"} if version in OLD else ["PATH=/bin"]
    body, names = repaired(version, {"jobs": {"environment": environment}, "script": SCRIPT})
    assert body == {"job": {"environment": environment}, "script": SCRIPT}
    assert names == ("job",)


@pytest.mark.parametrize("version", NEW)
def test_several_jobs_in_the_place_of_one_are_called_jobs(version: str) -> None:
    body, names = repaired(version, {"job": [{"environment": ["A=b"]}, {"environment": {"A": "b"}}], "script": SCRIPT})
    assert body == {"jobs": [{"environment": ["A=b"]}, {"environment": ["A=b"]}], "script": SCRIPT}
    assert names == ("jobs", "environment")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("job", [{}, {"environment": None}])
def test_a_missing_environment_is_filled(version: str, job: dict[str, object]) -> None:
    body, names = repaired(version, {"job": job, "script": SCRIPT})
    assert body["job"]["environment"] == ({"PATH": DEFAULT_PATH} if version in OLD else [f"PATH={DEFAULT_PATH}"])
    assert names == ("environment-default",)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_environment_that_slurm_makes_is_not_filled(version: str) -> None:
    assert untouched(version, b'{"job": {"get_user_environment": 1}, "script": "x"}') is None


@pytest.mark.parametrize("version", OLD)
def test_each_part_of_a_heterogeneous_job_is_repaired(version: str) -> None:
    body, names = repaired(version, {"jobs": [{"script": SCRIPT, "environment": ["A=b"]}, {}]})
    assert body == {"jobs": [{"environment": {"A": "b"}}, {"environment": {"PATH": DEFAULT_PATH}}], "script": SCRIPT}
    assert names == ("script", "environment", "environment-default")


def test_a_script_in_both_places_with_one_text_is_taken_for_one() -> None:
    body, names = repaired("v0.0.38", {"script": SCRIPT, "job": {"script": SCRIPT, "environment": {"A": "b"}}})
    assert body == {"script": SCRIPT, "job": {"environment": {"A": "b"}}}
    assert names == ("script",)


@pytest.mark.parametrize(
    ("version", "content"),
    [
        ("v0.0.38", b'{"job": {"environment": ["A=b"]}, "jobs": [{}], "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": "b"}, "script": "y"}, "script": "x"}'),
        ("v0.0.42", b'{"jobs": [{"script": "y"}, {}], "script": "x"}'),
        ("v0.0.38", b'{"jobs": [{"environment": ["A=b"]}, {"script": "y"}]}'),
        ("v0.0.38", b'{"jobs": [{"script": "y"}, {"script": "y"}]}'),
        ("v0.0.42", b'{"job": {"environment": {"A=B": "b"}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"": "b"}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": 1}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": null}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": "A=b"}, "script": "x"}'),
        ("v0.0.38", b'{"job": {"environment": ["A=b", "A=c"]}, "script": "x"}'),
        ("v0.0.38", b'{"job": {"environment": ["A=b", "B"]}, "script": "x"}'),
        ("v0.0.38", b'{"job": {"environment": ["=b"]}, "script": "x"}'),
        ("v0.0.38", b'{"job": {"environment": ["A=b", 1]}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": "b"}, "environment": {"A": "c"}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": "b", "\\u0041": "c"}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": "b"}}, "script": "x", "script": "y"}'),
        ("v0.0.42", b'{"job": {"environment": {"A": "b"}, "ntasks": 1, "tasks": 2}, "script": "x"}'),
        ("v0.0.36", b'{"job": {"environment": ["A=b"], "ntasks": 1, "tasks": 2}, "script": "x"}'),
        ("v0.0.36", b'{"job": {"Environment": {"A": "b"}}, "script": "x"}'),
        ("v0.0.42", b'{"job": {"ENVIRONMENT": ["A=b"], "ntasks": 1}, "script": "x"}'),
    ],
)
def test_what_can_be_read_in_two_ways_goes_on_as_it_came(version: str, content: bytes) -> None:
    assert untouched(version, content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"script": "x"}',
        b'{"job": 1}',
        b'{"job": null}',
        b'{"jobs": []}',
        b'{"jobs": [1]}',
        b'{"jobs": "x"}',
        b'{"job": {}',
        b'{"job": {}} x',
        b'{"job": {"a": NaN}}',
        b'{"job": {"a": Infinity}}',
        b'{"job": {"a": 01}}',
        b'{"job": {"a": "\xff"}}',
        b"\xef\xbb\xbf" + b'{"job": {}}',
        b'{"job": {"script": 1}}',
        b"job:\n  name: x\n",
        b'{"job":' * 100_000,
        b"[" * 4_000_000,
        b'{"job": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"jobs": [' + b"{}," * 200 + b"{}]}",
        b'\x00{"job": {}}',
        b'{"job": {"environment": {"A": "\\ud800"}}, "script": "x"}',
    ],
    ids=lambda content: repr(content[:24]),
)
@pytest.mark.parametrize("version", ["v0.0.36", "v0.0.42"])
def test_what_is_no_job_goes_on_as_it_came(version: str, content: bytes) -> None:
    assert untouched(version, content) is None


@pytest.mark.parametrize("version", ["", "latest", "v0.0.35", "v0.0.", "v0.0.42x", "v1.0.0", "v0.0.99999", "v0.0.٣٦", "V0.0.42"])
def test_another_version_is_none_that_we_know(version: str) -> None:
    assert untouched(version, b'{"job": {}, "script": "x"}') is None


@pytest.mark.parametrize("version", ["v0.0.36", "v0.0.42"])
@pytest.mark.parametrize("number", [b"9" * 4_000_000, b"1.10", b"1e400", b"123456789012345678901234567890", b"-0"], ids=lambda n: repr(n[:12]))
def test_a_number_keeps_each_digit(version: str, number: bytes) -> None:
    result = repair_submission(version, b'{"job": {"x": ' + number + b', "y": [' + number + b', {"z": "\\u00e4\\/"}]}, "script": "x"}')
    assert result.repairs == ("environment-default",)
    assert b'"x":' + number + b',"y":[' + number + b', {"z": "\\u00e4\\/"}]' in result.content


def test_fields_that_are_not_known_pass_unchanged() -> None:
    body, _ = repaired("v0.0.42", {"job": {"x": [{"environment": {"A": 1}}], "environment": {"A": "b"}}, "more": 1, "script": SCRIPT})
    assert body == {"job": {"x": [{"environment": {"A": 1}}], "environment": ["A=b"]}, "more": 1, "script": SCRIPT}


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1, max_size=8)
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(TEXT, children, max_size=3)),
    max_leaves=8,
)
MAIL = st.lists(st.sampled_from(["BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT"]), min_size=2, unique=True)
OLD_FIELDS = st.fixed_dictionaries(
    {"environment": st.dictionaries(NAMES, TEXT, min_size=1, max_size=4)},
    optional={
        "name": TEXT,
        "tasks": st.integers(1, 100),
        "time_limit": st.integers(1, 10_000),
        "memory_per_cpu": st.integers(1, 10_000),
        "mail_type": MAIL.map(",".join),
        "exclusive": st.sampled_from(["exclusive", "oversubscribe", "user", "mcs"]),
        "signal": st.sampled_from(["USR1@30", "10@5"]),
        "spread_job": st.just(value=True),
        "kill_on_invalid_dependency": st.booleans(),
        "gres_flags": st.sampled_from(["disable-binding", "enforce-binding"]),
        "nodelist": st.sampled_from(["n1", "n1,n2"]),
        "comment": JSONS,
    },
)
NUMBERS = st.integers(1, 10_000).map(lambda number: {"set": True, "infinite": False, "number": number})
NEW_FIELDS = st.fixed_dictionaries(
    {"environment": st.dictionaries(NAMES, TEXT, min_size=1, max_size=4).map(lambda pairs: [f"{name}={value}" for name, value in pairs.items()])},
    optional={
        "name": TEXT,
        "tasks": st.integers(1, 100),
        "time_limit": NUMBERS,
        "memory_per_cpu": NUMBERS,
        "mail_type": MAIL,
        "shared": st.sampled_from(["none", "oversubscribe", "user", "mcs"]).map(lambda word: [word]),
        "required_nodes": st.lists(st.sampled_from(["n1", "n2"]), min_size=1, unique=True),
        "flags": st.lists(st.sampled_from(["SPREAD_JOB", "KILL_INVALID_DEPENDENCY", "GRES_BINDING_ENFORCED"]), min_size=1, unique=True),
        "comment": JSONS,
    },
)


def meaning(job: dict[str, Any]) -> dict[str, Any]:
    """Return ``job`` with its numbers plain and its lists of names sorted, for neither changes what it means."""
    job = {name: value["number"] if isinstance(value, dict) and set(value) == {"set", "infinite", "number"} else value for name, value in job.items()}
    for name in ("environment", "flags", "mail_type"):
        if isinstance(job.get(name), list):
            job[name] = sorted(job[name])
    if isinstance(job.get("required_nodes"), list):
        job["required_nodes"] = ",".join(job["required_nodes"])
    return job


@given(OLD_FIELDS, st.sampled_from(OLD), st.sampled_from(["v0.0.40", "v0.0.41", "v0.0.42", "v0.0.44"]))
def test_a_job_that_went_up_comes_down_with_the_same_meaning(job: dict[str, Any], old: str, new: str) -> None:
    up, _ = repaired(new, {"job": job, "script": SCRIPT})
    down, _ = repaired(old, up)
    assert down["script"] == SCRIPT
    assert meaning(down["job"]) == meaning(job)


@given(NEW_FIELDS, st.sampled_from(OLD), st.sampled_from(["v0.0.42", "v0.0.44"]))
def test_a_job_that_went_down_comes_up_with_the_same_meaning(job: dict[str, Any], old: str, new: str) -> None:
    down, _ = repaired(old, {"job": {**job, "script": SCRIPT}})
    up, _ = repaired(new, down)
    assert up["script"] == SCRIPT
    assert meaning(up["job"]) == meaning(job)


@given(st.sampled_from(VERSIONS), st.one_of(OLD_FIELDS, NEW_FIELDS))
def test_what_was_repaired_needs_no_repair(version: str, job: dict[str, Any]) -> None:
    once = repair_submission(version, json.dumps({"jobs": job, "script": SCRIPT}).encode())
    assert once.repairs
    again = repair_submission(version, once.content)
    assert again.content is once.content


@given(st.text(), st.binary())
def test_whatever_comes_goes_on(version: str, content: bytes) -> None:
    untouched(version, content)


@given(st.sampled_from(VERSIONS), st.dictionaries(st.sampled_from(["job", "jobs", "script", "x"]), JSONS))
def test_whatever_json_comes_goes_on(version: str, body: dict[str, Any]) -> None:
    result = repair_submission(version, json.dumps(body).encode())
    json.loads(result.content)

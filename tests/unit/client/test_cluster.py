"""Jobs, nodes and partitions as each version of Slurm's API tells of them: recorded on 22.05.8 and 24.11.5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.cluster import Job, Node, Partition, exit_code, items, number, words
from gateway.client.errors import NotUnderstoodError

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "recorded").glob("*.json"))}
EVERY = pytest.mark.parametrize("told", RECORDED.values(), ids=RECORDED.keys())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["set", "infinite", "number", "id", "signal", "current", "x"]), inner)
    ),
    max_leaves=8,
)


def jobs(told: dict[str, Any], name: str, *, accounted: bool = False) -> list[Job]:
    kept = told["accounted" if accounted else "jobs"][name]
    return sorted((Job.of_accounting(item) if accounted else Job.of(item) for item in kept), key=lambda job: job.array_task or job.id)


@EVERY
@pytest.mark.parametrize(
    ("name", "state", "code"), [("ok", "COMPLETED", 0), ("three", "FAILED", 3), ("killed", "FAILED", 128 + 9), ("cancelled", "CANCELLED", 0)]
)
def test_a_job_that_has_ended_says_how_as_a_shell_would(told: dict[str, Any], name: str, state: str, code: int) -> None:
    [job] = jobs(told, name)
    assert (job.state, job.exit_code, job.name) == (state, code, name)
    assert job.is_over
    assert job.succeeded is (name == "ok")
    assert job.submitted_at is not None
    assert job.ended_at is not None
    assert job.ended_at >= job.submitted_at > 1_700_000_000


@EVERY
@pytest.mark.parametrize(("name", "state", "code"), [("ok", "COMPLETED", 0), ("killed", "FAILED", 128 + 9), ("cancelled", "CANCELLED", 0)])
def test_accounting_says_the_same(told: dict[str, Any], name: str, state: str, code: int) -> None:
    [job], [live] = jobs(told, name, accounted=True), jobs(told, name)
    assert (job.state, job.exit_code, job.user) == (state, code, "adele")
    assert (job.id, job.name, job.partition, job.nodes, job.ended_at, job.submitted_at) == (
        live.id, live.name, live.partition, live.nodes, live.ended_at, live.submitted_at,
    )  # fmt: skip


@pytest.mark.parametrize("version", RECORDED)
def test_an_exit_code_that_accounting_does_not_tell_is_not_made_up(version: str) -> None:
    [job] = jobs(RECORDED[version], "three", accounted=True)
    assert job.state == "FAILED"
    assert job.exit_code == (3 if version.startswith("24.11") else None)


@EVERY
@pytest.mark.parametrize("accounted", [False, True])
def test_tasks_of_an_array_are_jobs_with_its_number_and_theirs(told: dict[str, Any], accounted: bool) -> None:
    tasks = jobs(told, "array", accounted=accounted)
    assert [task.array_task for task in tasks] == ["0", "1", "2"]
    assert len({task.array_job_id for task in tasks}) == 1
    assert [task.state for task in tasks] == ["COMPLETED", "FAILED", "FAILED"]


@EVERY
def test_tasks_that_wait_are_one_job(told: dict[str, Any]) -> None:
    [waiting] = jobs(told, "heldarray")
    assert (waiting.array_job_id, waiting.array_task, waiting.reason) == (waiting.id, "3-9%2", "JobHeldUser")
    assert not waiting.is_over
    [accounted] = jobs(told, "heldarray", accounted=True)
    assert (accounted.array_job_id, accounted.array_task) == (waiting.id, None)


@EVERY
def test_parts_of_a_heterogeneous_job_know_each_other(told: dict[str, Any]) -> None:
    parts = jobs(told, "het")
    assert [(part.name, part.het_job_id, part.het_offset) for part in parts] == [("het0", parts[0].id, 0), ("het1", parts[0].id, 1)]
    assert parts[1].id == parts[0].id + 1


@EVERY
def test_a_plain_job_is_no_task_and_no_part(told: dict[str, Any]) -> None:
    [job] = jobs(told, "ok")
    assert (job.array_job_id, job.array_task, job.het_job_id, job.het_offset) == (None, None, None, None)


@EVERY
def test_a_job_that_waits_has_neither_ended_nor_an_exit_code(told: dict[str, Any]) -> None:
    [job] = jobs(told, "held")
    assert (job.state, job.exit_code, job.ended_at, job.started_at, job.nodes) == ("PENDING", None, None, None, None)


@pytest.mark.parametrize("version", RECORDED)
def test_the_owner_is_named_but_in_the_oldest_version(version: str) -> None:
    [job] = jobs(RECORDED[version], "ok")
    assert job.user == (None if version.endswith("v0.0.36") else "adele")
    assert job.user_id == 70006


@EVERY
def test_time_limits_are_minutes_and_none_where_there_is_none(told: dict[str, Any]) -> None:
    assert [jobs(told, name)[0].time_limit for name in ("cancelled", "ok")] == [20, None]
    assert [jobs(told, name, accounted=True)[0].time_limit for name in ("cancelled", "ok")] == [20, None]


@EVERY
def test_nodes_and_partitions_are_told_alike(told: dict[str, Any]) -> None:
    [node] = [Node.of(item) for item in told["nodes"]]
    assert (node.name, node.states[0], node.cpus) == ("demo", "IDLE", 32)
    assert node.partitions in {("main",), ()}  # which the oldest version does not tell
    [partition] = [Partition.of(item) for item in told["partitions"]]
    assert (partition.name, partition.nodes, partition.total_nodes, partition.total_cpus, partition.time_limit) == ("main", "demo", 1, 32, None)


@pytest.mark.parametrize(
    ("states", "over"),
    [
        ("COMPLETED", True), (["COMPLETED"], True), (["COMPLETED", "COMPLETING"], False), ("COMPLETING", False), (["FAILED", "REQUEUED"], False),
        (["TIMEOUT"], True), (["PENDING", "SPECIAL_EXIT"], False), (["OUT_OF_MEMORY"], True), (["RUNNING", "SIGNALING"], False), ("completed", True),
        ("RUNNING,COMPLETING", False),
    ],
)  # fmt: skip
def test_a_job_is_over_when_nothing_of_it_goes_on(states: object, over: bool) -> None:
    assert Job.of({"job_id": 1, "job_state": states}).is_over is over


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (0, 0), (256, 1), (3 << 8, 3), (9, 137), (9 | 0x80, 137), (65280, 255), (-1, None), (None, None), (4294967294, None), ("3", None),
        (True, None), ({"status": ["ERROR"], "return_code": {"set": True, "infinite": False, "number": 7}}, 7),
        ({"status": "SIGNALED", "return_code": None, "signal": {"signal_id": 15, "name": "Terminated"}}, 143),
        ({"status": "SIGNALED", "return_code": None, "signal": {"signal_id": {"set": True, "number": 15}}}, 143),
        ({"signal": {"id": {"set": False, "number": 0}}, "return_code": {"set": True, "number": 2}}, 2),
        ({"signal": {"id": {"set": True, "number": 4000}}, "return_code": {"set": True, "number": 2}}, 2),
        ({}, None),
    ],
)  # fmt: skip
def test_an_exit_code_is_what_a_shell_says(told: object, code: int | None) -> None:
    assert exit_code(told) == code


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (5, 5.0), (1.5, 1.5), ({"set": True, "infinite": False, "number": 5}, 5.0), ({"set": False, "infinite": False, "number": 5}, None),
        ({"set": True, "infinite": True, "number": 5}, None), (4294967295, None), (4294967294, None), (65534, None), (2**64 - 2, None), (True, None),
        ("5", None), (None, None), (float("nan"), None), (float("inf"), None), (10**400, None), ({"number": 5}, None),
    ],
)  # fmt: skip
def test_a_number_is_none_where_slurm_says_that_there_is_none(told: object, found: float | None) -> None:
    assert number(told) == found


@pytest.mark.parametrize(
    "told", [{}, {"job_id": 0, "job_state": "RUNNING"}, {"job_id": "5", "job_state": "RUNNING"}, {"job_id": 5}, {"job_id": -1, "job_state": "X"}]
)
def test_what_is_no_job_is_not_taken_for_one(told: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        Job.of(told)
    assert caught.value.hint == "Is this Slurm's API?"


@pytest.mark.parametrize("tree", [None, [], {}, {"jobs": {}}, {"jobs": [1]}, {"jobs": None}, "jobs"])
def test_what_has_no_list_is_not_understood(tree: object) -> None:
    with pytest.raises(NotUnderstoodError):
        items(tree, "jobs")


@given(st.dictionaries(st.sampled_from(list(RECORDED["24.11-v0.0.42"]["jobs"]["ok"][0])), JSON))
def test_whatever_is_told_of_a_job_makes_one_or_is_not_understood(told: dict[str, Any]) -> None:
    for made in (Job.of, Job.of_accounting):
        try:
            job = made(told)
        except NotUnderstoodError:
            continue
        assert job.id > 0
        assert job.state


@given(st.dictionaries(st.sampled_from(["name", "state", "nodes", "cpus", "partition", "maximums", "partitions", "state_flags"]), JSON))
def test_whatever_is_told_of_nodes_and_partitions_makes_one_or_is_not_understood(told: dict[str, Any]) -> None:
    for made in (Node.of, Partition.of):
        try:
            made(told)
        except NotUnderstoodError:
            continue


@pytest.mark.parametrize(("told", "found"), [("A,B", ("A", "B")), (["A", 1, "B"], ("A", "B")), ("", ()), (None, ()), ({"A": 1}, ()), (5, ())])
def test_words_are_one_several_or_a_list(told: object, found: tuple[str, ...]) -> None:
    assert words(told) == found


@pytest.mark.parametrize(
    ("state", "code", "reason", "why"),
    [
        ("FAILED", 181, "JobLaunchFailure", "JobLaunchFailure"),
        ("FAILED", 181, "RaisedSignal", "JobLaunchFailure"),
        ("FAILED", 137, "JobLaunchFailure", None),
        ("FAILED", 137, "RaisedSignal", None),
        ("FAILED", 181, "NonZeroExitCode", None),
        ("FAILED", 1, "NodeDown", "NodeDown"),
        ("TIMEOUT", 0, "TimeLimit", None),
        ("CANCELLED", 0, "JobHeldUser", None),
        ("PENDING", None, "Resources", None),
        ("FAILED", 3, None, None),
    ],
)
def test_why_a_job_failed_is_told_where_its_state_and_exit_code_do_not(state: str, code: int | None, reason: str | None, why: str | None) -> None:
    """A script that ended itself by signal 9 has JobLaunchFailure on 22.05; one that could not begin has RaisedSignal on 24.11."""
    assert Job(id=7, name="x", user="alice", state=state, exit_code=code, reason=reason).failure == why


@pytest.mark.parametrize(
    ("code", "failure"),
    [({"return_code": 3, "signal": {"signal_id": 0}}, None), ({"return_code": 0, "signal": {"signal_id": 53}}, "JobLaunchFailure")],
)
def test_what_a_job_waited_for_is_not_why_it_failed(code: object, failure: str | None) -> None:
    told = {"job_id": 7, "state": {"current": "FAILED", "reason": "QOSMaxJobsPerUserLimit"}, "exit_code": code}
    job = Job.of_accounting(told)
    assert (job.accounted, job.failure) == (True, failure), job

"""How a job is told: what Slurm says of what has not happened yet is no fact."""

from __future__ import annotations

import pytest

from gateway.cli import shown
from gateway.cli.tables import Cell, Styled, When
from gateway.client.cluster import Job

NOW = 1000.0


def job(state: object = "RUNNING", **more: object) -> Job:
    return Job.of({"job_id": 7, "name": "x", "job_state": state, **more})


def details(found: Job) -> dict[str, Cell]:
    return {name: value for name, value in shown.details(found, NOW) if value is not None}


@pytest.mark.parametrize(
    ("more", "label"),
    [
        ({}, "7"),
        ({"array_job_id": 5, "array_task_id": 2}, "5_2"),
        ({"array_job_id": 5, "array_task_string": "2"}, "5_2"),
        ({"array_job_id": 5, "array_task_string": "2-4%1"}, "5_[2-4%1]"),
        ({"het_job_id": {"set": True, "number": 6}, "het_job_offset": {"set": True, "number": 1}}, "6+1"),
        ({"het_job_id": 0, "array_job_id": 0, "array_task_id": 0}, "7"),
    ],
)
def test_a_job_is_called_what_people_call_it(more: dict[str, object], label: str) -> None:
    assert shown.label(job(**more)) == label


@pytest.mark.parametrize(
    ("state", "more", "said"),
    [
        ("PENDING", {"state_reason": "Priority"}, "(Priority)"),
        ("RUNNING", {"state_reason": "None", "nodes": "n1"}, "n1"),
        ("COMPLETED", {"nodes": "n1", "exit_code": 0}, "n1"),
        ("FAILED", {"nodes": "n1", "exit_code": 768, "state_reason": "NonZeroExitCode"}, "exit 3"),
        ("FAILED", {"nodes": "n1", "exit_code": 181 * 256, "state_reason": "JobLaunchFailure"}, "(JobLaunchFailure)"),
        ("TIMEOUT", {"nodes": "n1", "exit_code": 0, "state_reason": "TimeLimit"}, "(TimeLimit)"),
        ("CANCELLED", {"state_reason": "JobHeldUser"}, None),
    ],
)
def test_it_is_told_where_or_why(state: str, more: dict[str, object], said: str | None) -> None:
    assert shown.where_or_why(job(state, **more)) == said


def test_a_start_that_is_only_planned_is_no_start() -> None:
    found = job("PENDING", start_time=2000)
    assert shown.document(found)["started_at"] is None
    assert details(found)["May start"] == When(seconds=2000)
    assert "Started" not in details(found)


def test_what_was_cancelled_before_it_ran_has_not_run() -> None:
    found = job("CANCELLED", start_time=900, end_time=900, nodes="")
    assert ("Ran for" in details(found), "Started" in details(found), "Exit code" in details(found)) == (False, False, False)


def test_the_end_of_what_runs_is_only_its_limit() -> None:
    found = job("RUNNING", start_time=900, end_time=9000)
    assert (shown.document(found)["ended_at"], details(found)["Ran for"]) == (None, "1:40")


@pytest.mark.parametrize("told", [-1, 4294967295, 4294967294, {"set": False, "infinite": True, "number": 0}, None])
def test_no_limit_is_none(told: object) -> None:
    found = job(time_limit=told)
    assert (shown.document(found)["time_limit"], details(found)["Time limit"]) == (None, "none")


def test_flags_stand_beside_the_state() -> None:
    found = job(["RUNNING", "COMPLETING"])
    assert shown.row(found, NOW, users=False)[3] == Styled(text="RUNNING+COMPLETING", style="green")


def test_errors_are_told_where_they_are_not_in_the_output() -> None:
    assert "Errors" not in details(job(standard_output="/a", standard_error="/a"))
    assert details(job(standard_output="/a", standard_error="/b"))["Errors"] == "/b"


@pytest.mark.parametrize(
    ("more", "said"), [({"memory_per_node": 10}, "10 MiB a node"), ({"memory_per_cpu": {"set": True, "number": 5}}, "5 MiB a CPU")]
)
def test_memory_is_told_as_it_was_asked_for(more: dict[str, object], said: str) -> None:
    assert details(job(**more))["Memory"] == said

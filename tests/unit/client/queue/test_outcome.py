"""How jobs are and have ended: one, arrays of which Slurm forgets some tasks before the others, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client.cluster import Job
from gateway.client.queue.outcome import Outcome, Outcomes, belonging


def job(job_id: int, *states: str, code: int = 0, **more: Any) -> Job:
    return Job.of({"job_id": job_id, "job_state": list(states), "exit_code": {"return_code": code}, **more})


@pytest.mark.parametrize(
    ("jobs", "over", "state", "code"),
    [
        ([job(1, "COMPLETED")], True, "COMPLETED", 0),
        ([job(1, "FAILED", code=3)], True, "FAILED", 3),
        ([job(1, "PENDING")], False, "PENDING", None),
        ([job(1, "RUNNING")], False, "RUNNING", None),
        ([job(1, "PENDING", "REQUEUED")], False, "PENDING", None),
        ([job(1, "FAILED", "SPECIAL_EXIT")], False, "FAILED", None),
        ([job(1, "NODE_FAIL", "REQUEUED")], False, "NODE_FAIL", None),
        ([job(1, "COMPLETED"), job(2, "RUNNING"), job(3, "PENDING")], False, "RUNNING", None),
        ([job(1, "COMPLETED"), job(2, "TIMEOUT")], True, "TIMEOUT", 0),
    ],
    ids=str,
)
def test_a_job_is_as_its_parts_are(jobs: list[Job], *, over: bool, state: str, code: int | None) -> None:
    assert Outcomes().of(1, jobs) == Outcome(over=over, state=state, exit_code=code)


def test_a_task_that_failed_and_is_forgotten_counts_when_the_others_have_ended() -> None:
    outcomes = Outcomes()
    assert not outcomes.of(1, [job(1, "RUNNING"), job(2, "FAILED", code=1)]).over
    assert outcomes.of(1, [job(1, "COMPLETED")]) == Outcome(over=True, state="FAILED", exit_code=1)


def test_a_task_that_ended_unseen_is_waited_for_no_longer() -> None:
    outcomes = Outcomes()
    assert not outcomes.of(1, [job(1, "RUNNING"), job(2, "RUNNING")]).over
    assert outcomes.of(1, [job(1, "COMPLETED")]).over


def test_an_array_and_a_heterogeneous_job_go_by_one_id() -> None:
    jobs = [job(5, "RUNNING", array_job_id=4), job(4, "RUNNING"), job(7, "RUNNING", het_job_id=4), job(8, "RUNNING", array_job_id=0)]
    assert [one.id for one in belonging(4, jobs)] == [5, 4, 7]

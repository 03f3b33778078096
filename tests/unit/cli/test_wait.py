"""``wait``: each end as it comes, and one exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.cli import person
from gateway.client.cluster import Job
from gateway.client.errors import JobForgottenError, WaitTimeoutError
from tests.unit.cli.conftest import Run


class Gateway:
    """Knows some jobs that have ended, and one that never does."""

    def __init__(self) -> None:
        self.interrupted = False

    def accounted(self, job_id: int) -> list[Job]:
        raise JobForgottenError(f"accounting knows no job {job_id}", hint="")

    def wait(self, job_id: int, **_: Any) -> list[Job]:
        if self.interrupted:
            raise KeyboardInterrupt
        if job_id == 404:
            raise JobForgottenError("there is no job 404", hint="Look at the number.")
        if job_id == 99:
            raise WaitTimeoutError("still", hint="", jobs=[Job(id=99, name="long", user="alice", state="RUNNING")])
        return [Job(id=job_id, name="hello", user="alice", state="FAILED" if job_id else "COMPLETED", exit_code=job_id)]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()

    @contextmanager
    def given(*_: object, **__: object) -> Iterator[Gateway]:
        yield made

    monkeypatch.setattr(person, "gateway_of", given)
    monkeypatch.setattr(person, "renew_if_short", lambda *_: None)
    return made


@pytest.mark.usefixtures("gateway")
def test_each_end_is_a_line_and_the_largest_exit_code_is_ours(run: Run) -> None:
    ran = run("wait", 2, 5)
    assert (ran.code, ran.out) == (5, "Job 2 (hello) FAILED, exit code 2\nJob 5 (hello) FAILED, exit code 5\n")
    told = [json.loads(line) for line in run("wait", 2, 5, "--json").out.splitlines()]
    assert told[1] == {"job_id": 5, "name": "hello", "state": "FAILED", "exit_code": 5}


@pytest.mark.usefixtures("gateway")
def test_the_time_may_be_up_first(run: Run) -> None:
    ran = run("wait", 3, 99, "--timeout", "1s")
    assert (ran.code, ran.out) == (124, "Job 3 (hello) FAILED, exit code 3\n")
    assert "the time is up, and job 99 not at an end\nhint: Go on waiting: slurm-gateway wait 99." in ran.err


def test_to_stop_waiting_is_not_to_stop_the_jobs(run: Run, gateway: Gateway) -> None:
    gateway.interrupted = True
    ran = run("wait", 3)
    assert (ran.code, ran.err) == (130, "Stopped waiting; the jobs go on.\n")


@pytest.mark.usefixtures("gateway")
def test_a_job_that_nobody_knows_is_an_error(run: Run) -> None:
    ran = run("wait", 404)
    assert (ran.code, ran.err) == (1, "slurm-gateway: there is no job 404\nhint: Look at the number.\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x"], "'x' is no job: write 7, 7_3 for a task of an array, 7+1 for a part of a heterogeneous job\nhint: 'slurm-gateway wait --help'"),
        (["0"], "'0' is no job: write 7, 7_3 for a task of an array, 7+1 for a part of a heterogeneous job\nhint: 'slurm-gateway wait --help'"),
        (["٣"], "is no job: write 7, 7_3 for a task of an array"),
        (["4294967296"], "is no job: write 7, 7_3 for a task of an array"),
        (["9" * 30], "is no job: write 7, 7_3 for a task of an array"),
        (["3", "--timeout", "soon"], "'soon' is no time such as 30s, 5m or 1h\nhint: 'slurm-gateway wait --help'"),
        ([], "the following arguments are required: ID\nhint: "),
    ],
)
def test_what_cannot_be_meant_is_said_with_a_hint(words: list[str], says: str, run: Run) -> None:
    ran = run("wait", *words)
    assert (ran.code, says in ran.err) == (2, True), ran.err

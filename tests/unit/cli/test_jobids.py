"""Jobs as people write them, and the tasks that Slurm writes together."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.cli.jobids import JobId, job_id, tasks_of, whole_or_tasks
from gateway.client.cluster import Job


def job(number: int, **more: object) -> Job:
    return Job.of({"job_id": number, "name": "x", "job_state": "PENDING", **more})


@pytest.mark.parametrize(
    ("text", "wanted"), [("7", JobId(job=7)), ("7_3", JobId(job=7, task=3)), ("7_0", JobId(job=7, task=0)), (" 7+1 ", JobId(job=7, part=1))]
)
def test_a_job_is_read_as_it_is_written(text: str, wanted: JobId) -> None:
    assert job_id(text) == wanted
    assert str(wanted) == text.strip()


@given(some.text())
def test_whatever_is_written_is_a_job_or_refused(text: str) -> None:
    try:
        assert str(job_id(text)).isascii()
    except ArgumentTypeError:
        return


@pytest.mark.parametrize(
    ("told", "tasks"),
    [
        ("3", [3]),
        ("3-5", [3, 4, 5]),
        ("1,3,5-9:2%4", [1, 3, 5, 7, 9]),
        ("0-4:0", [0, 1, 2, 3, 4]),
        ("1,2,...", None),
        ("1-999999999", None),
        ("", None),
    ],
)
def test_tasks_are_read_as_slurm_writes_them(told: str, tasks: list[int] | None) -> None:
    assert tasks_of(told) == tasks


@given(some.text(alphabet="0123456789-,:%.x", max_size=12))
def test_whatever_slurm_writes_breaks_nothing(told: str) -> None:
    tasks = tasks_of(told)
    assert tasks is None or all(task >= 0 for task in tasks)


def test_the_parts_of_a_heterogeneous_job_go_together() -> None:
    parts = [job(7, het_job_id=7, het_job_offset=0), job(8, het_job_id=7, het_job_offset=1)]
    assert set(whole_or_tasks([*parts, job(9)], [])) == {JobId(job=7), JobId(job=9)}


def test_an_array_that_is_not_all_meant_is_its_tasks() -> None:
    meant = job(7, array_job_id=7, array_task_string="3-4")
    other = job(8, array_job_id=7, array_task_id=1)
    assert list(whole_or_tasks([meant], [other])) == [JobId(job=7, task=3), JobId(job=7, task=4)]
    assert list(whole_or_tasks([meant], [])) == [JobId(job=7)]

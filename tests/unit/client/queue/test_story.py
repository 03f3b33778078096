"""The seed's story word by word, and the notes beside it."""

from __future__ import annotations

import pytest

from gateway.client.queue.story import line, note, summary
from gateway.client.queue.telling import QueueEvent


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (QueueEvent(kind="check"), "Routine check"),
        (QueueEvent(kind="in_progress", job_id=90, file="a"), "Job still in progress: 90"),
        (QueueEvent(kind="submitting", file="slurm-job3.json"), "Submitting job: slurm-job3.json"),
        (QueueEvent(kind="submitted", job_id=91, file="a"), "Job Submitted: Job ID : 91"),
        (
            QueueEvent(kind="taken", files=("slurm-job1.json", "slurm-job2.json")),
            "Completed Jobs/Already Submitted ['slurm-job1.json', 'slurm-job2.json']",
        ),
        (QueueEvent(kind="empty"), "No more jobs in queue"),
        (QueueEvent(kind="ended", job_id=91), None),
        (QueueEvent(kind="submitting", file="\x1b[2J\n.json"), "Submitting job: ?[2J .json"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_the_story_is_the_seeds(event: QueueEvent, expected: str | None) -> None:
    assert line(event) == expected


def test_of_many_files_the_last_ones_are_named() -> None:
    said = line(QueueEvent(kind="taken", files=tuple(f"job{number}.json" for number in range(100, 200)), total=200))
    assert said is not None
    assert said.startswith("Completed Jobs/Already Submitted ['... 180 more', 'job180.json', ")
    assert said.endswith("'job199.json']")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (QueueEvent(kind="started"), None),
        (QueueEvent(kind="started", files=("a.txt", "b.csv")), "No job files by their names, and left alone: a.txt, b.csv"),
        (QueueEvent(kind="started", files=("a", "b", "c", "d", "e")), "No job files by their names, and left alone: a, b, c and 2 more"),
        (QueueEvent(kind="ended", file="a", job_id=9, state="COMPLETED", exit_code=0), None),
        (QueueEvent(kind="ended", file="a", job_id=9, state="FAILED", exit_code=3), "Job 9 (a) ended: FAILED, exit code 3"),
        (
            QueueEvent(kind="ended", file="a", job_id=9, state="FAILED", exit_code=181, reason="JobLaunchFailure"),
            "Job 9 (a) ended: FAILED (JobLaunchFailure), exit code 181",
        ),
        (QueueEvent(kind="ended", file="a", job_id=9, state="CANCELLED"), "Job 9 (a) ended: CANCELLED"),
        (
            QueueEvent(kind="ended", file="a", job_id=9, state="UNKNOWN"),
            "Job 9 (a) is known to nobody any more; how it ended is not known",
        ),
        (QueueEvent(kind="retrying", file="a", attempt=2), "a is submitted again, for the second time"),
        (QueueEvent(kind="retrying", file="a", attempt=4), "a is submitted again, for the 4th time"),
        (
            QueueEvent(kind="set_aside", file="a", to="a.1", reason="refused", message="it is empty", hint="Write."),
            "Set aside: a is set-aside/a.1 now: it is empty\nhint: Write.",
        ),
        (
            QueueEvent(kind="set_aside", file="a", to="a", reason="refused", message="a:2:1: no JSON", hint="Write."),
            "Set aside: a is set-aside/a now: 2:1: no JSON\nhint: Write.",
        ),
        (
            QueueEvent(kind="set_aside", file="a", to="a", reason="refused", message="a is empty", hint="Write."),
            "Set aside: a is set-aside/a now: is empty\nhint: Write.",
        ),
        (
            QueueEvent(kind="set_aside", file="a", to="a", reason="unknown", message="lost", hint="Look."),
            "Not known whether it was submitted: a is set-aside/a now: lost\nhint: Look.",
        ),
        (QueueEvent(kind="waiting", message="down", hint="Wait.", seconds=4.0), "Waiting: down; asking again in 4 s\nhint: Wait."),
        (QueueEvent(kind="recovered"), "Going on"),
        (QueueEvent(kind="limited", file="a", message="limit"), "Slurm takes no more jobs for now: limit; a waits for one to end"),
        (
            QueueEvent(kind="changed", file="a"),
            "a was written to after it had been submitted, and is not submitted again\nhint: Give it another name to have it submitted.",
        ),
        (QueueEvent(kind="halted", file="a"), "Nothing more is submitted, since a failed"),
        (QueueEvent(kind="stopped", jobs=()), "Stopped. No job is in Slurm.\nhint: Start the queue again: it goes on where it was."),
        (
            QueueEvent(kind="stopped", jobs=(), files=("a",)),
            "Stopped. No job is in Slurm, but a may be.\nhint: Start the queue again: it goes on where it was.",
        ),
        (
            QueueEvent(kind="stopped", jobs=(1,), files=("a", "b")),
            "Stopped. 1 job goes on in Slurm, and 2 files may be there too.\nhint: Start the queue again: it goes on where it was.",
        ),
        (QueueEvent(kind="stopped", jobs=(1,)), "Stopped. 1 job goes on in Slurm.\nhint: Start the queue again: it goes on where it was."),
        (QueueEvent(kind="stopped", jobs=(1, 2)), "Stopped. 2 jobs go on in Slurm.\nhint: Start the queue again: it goes on where it was."),
    ],
    ids=str,
)
def test_what_the_seed_did_not_know_is_a_note(event: QueueEvent, expected: str | None) -> None:
    assert note(event) == expected


def test_how_many_files_are_where() -> None:
    assert summary({"waiting": 2, "completed": 3, "failed": 0, "set_aside": 1}) == "3 completed, 1 set aside, 2 waiting"
    assert summary({}) == "no job files"

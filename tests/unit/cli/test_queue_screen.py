"""How a queue shows itself: JSON, plain lines, or lines above a bar."""

from __future__ import annotations

import io
import json
import sys

import pytest

from gateway.cli.queue_screen import Bar, Json, Plain, screen
from gateway.client.queue.telling import QueueEvent


class Tty(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


EVENTS = (
    QueueEvent(kind="started", counts={"waiting": 2}),
    QueueEvent(kind="check", counts={"waiting": 2}),
    QueueEvent(kind="submitting", file="a.json"),
    QueueEvent(kind="submitted", file="a.json", job_id=90),
    QueueEvent(kind="ended", file="a.json", job_id=90, state="FAILED", exit_code=3),
    QueueEvent(kind="finished", counts={"failed": 1, "waiting": 1}),
)
STORY = ["Routine check", "Submitting job: a.json", "Job Submitted: Job ID : 90"]


def shown(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, err: io.StringIO, *, as_json: bool = False) -> None:
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with screen(as_json=as_json) as told:
        for event in EVENTS:
            told.show(event)


def test_who_gets_what(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(screen(as_json=True), Json)
    assert isinstance(screen(as_json=False), Plain)
    monkeypatch.setattr(sys, "stderr", Tty())
    assert isinstance(screen(as_json=False), Bar)


def test_json_is_a_line_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    shown(monkeypatch, out, err, as_json=True)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == [event.kind for event in EVENTS]
    assert {json.loads(line)["at"] for line in out.getvalue().splitlines()} == {"1970-01-01T00:00:00Z"}
    assert err.getvalue() == ""


def test_the_story_goes_out_and_notes_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    shown(monkeypatch, out, err)
    assert out.getvalue().splitlines() == STORY
    assert err.getvalue() == "Job 90 (a.json) ended: FAILED, exit code 3\n"


def test_a_bar_leaves_the_story_in_a_file_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), Tty()
    shown(monkeypatch, out, err)
    assert out.getvalue().splitlines() == STORY
    assert "1/2" in err.getvalue()
    assert "Job 90 (a.json) ended: FAILED, exit code 3" in err.getvalue()


def test_on_a_terminal_the_story_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Tty(), Tty()
    shown(monkeypatch, out, err)
    both = out.getvalue() + err.getvalue()
    assert all(line in both for line in STORY)
    assert err.getvalue().endswith("\x1b[2K")  # the bar is gone


def test_when_somebody_is_asked_the_bar_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Tty(), Tty()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    bar = Bar()
    with bar:
        bar.show(EVENTS[1])
        bar.make_room()
        assert bar._bar is None
        bar.make_room()
        bar.show(EVENTS[3])
        assert "1 in Slurm" in err.getvalue()


@pytest.mark.parametrize(("file", "said"), [("a.sh", ""), ("a.json", "a.json: Brought up to the cluster's version: time_limit.\n")])
def test_what_was_repaired_is_told_of_what_a_person_wrote(monkeypatch: pytest.MonkeyPatch, file: str, said: str) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    Plain().show(QueueEvent(kind="submitted", file=file, job_id=90, repaired=("time_limit",)))
    assert err.getvalue() == said


def test_what_to_do_about_jobs_that_could_not_be_started_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    with screen(as_json=False) as told:
        for number in (1, 2):
            told.show(QueueEvent(kind="ended", file="a", job_id=number, state="FAILED", exit_code=181, reason="JobLaunchFailure"))
    where = "Are the job's folder (--chdir) and that of its output (--output) there, on the cluster?"
    assert err.getvalue().splitlines() == [
        "Job 1 (a) ended: FAILED (JobLaunchFailure), exit code 181",
        f"hint: Its node could not start the script. {where}",
        "Job 2 (a) ended: FAILED (JobLaunchFailure), exit code 181",
    ]

"""Cancelling, and telling honestly what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gateway.cli import terminal
from tests.saying import Asked, FakeGateway, Says, refuses
from tests.unit.cli.conftest import Run

UNKNOWN = Says(status=404, body={"errors": [{"description": "Unable to find JobId", "error_number": 2017}]})
FORGOTTEN = "8: Slurm knows no job 8, or not any more, and accounting cannot be asked: The fake serves nothing at GET /slurmdb/latest/job/8."
DONE = Says(body={"errors": []})


def job(number: int, state: str, **more: object) -> dict[str, object]:
    return {"job_id": number, "name": "x", "user_name": "alice", "job_state": state, "partition": "main", **more}


def shows(*jobs: dict[str, object]) -> Says:
    return Says(body={"jobs": list(jobs)})


def array(number: int, *jobs: dict[str, object]) -> list[dict[str, object]]:
    return [{**one, "array_job_id": number} for one in jobs]


def choosing(*jobs: dict[str, object]) -> Callable[[Asked], Says]:
    """Answer a list as the gateway does when a state is asked for."""

    def answer(asked: Asked) -> Says:
        wanted = asked.query.get("state", "").replace("PD", "PENDING").split(",")
        return shows(*(one for one in jobs if wanted == [""] or one["job_state"] in wanted))

    return answer


@pytest.mark.parametrize("after", ["CANCELLED", "COMPLETING", ["CANCELLED", "COMPLETING"], ["RUNNING", "COMPLETING"]])
def test_a_job_is_cancelled_and_looked_at(run: Run, gateway: FakeGateway, after: str) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")), shows(job(7, after)))
    gateway.on("DELETE /slurm/latest/job/7", DONE)
    ran = run("cancel", 7)
    assert (ran.code, ran.out, ran.err) == (0, "7: cancelled\n", "")


def test_each_of_several_is_told_and_one_failure_is_enough(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")), shows(job(7, "CANCELLED")))
    gateway.on("GET /slurm/latest/job/8", UNKNOWN)
    gateway.on("GET /slurm/latest/job/9", shows(job(9, "PENDING")), shows(job(9, "CANCELLED")))
    for number in (7, 9):
        gateway.on(f"DELETE /slurm/latest/job/{number}", DONE)
    ran = run("cancel", 7, 8, 9)
    assert (ran.code, ran.out) == (1, "7: cancelled\n9: cancelled\n")
    what, hint = ran.err.splitlines()
    assert (what.startswith("8: Slurm knows no job 8"), hint.startswith("hint: Slurm forgets a job some minutes after its end")) == (True, True)


def test_what_is_over_is_not_cancelled_and_said_so(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "COMPLETED")))
    ran = run("cancel", 7)
    assert (ran.code, ran.out, gateway.paths("DELETE")) == (0, "7: had ended already (COMPLETED)\n", [])


def test_a_yes_that_did_nothing_is_no_success(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING", user_name="bob")))
    gateway.on("DELETE /slurm/latest/job/7", DONE)
    ran = run("cancel", 7)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "7: was not cancelled: it is bob's\nhint: Only whom it belongs to and operators of Slurm can cancel it.\n"


def test_one_of_mine_that_stays_is_said(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")))
    gateway.on("DELETE /slurm/latest/job/7", DONE)
    ran = run("cancel", 7)
    assert (ran.code, ran.err) == (1, "7: was not cancelled: it is RUNNING\nhint: Try again; if it stays, ask your administrators.\n")


def test_a_part_that_stays_is_cancelled_with_the_whole(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "PENDING", het_job_id=7, het_job_offset=0), job(8, "PENDING", het_job_id=7, het_job_offset=1)))
    gateway.on("DELETE /slurm/latest/job/7+1", DONE)
    ran = run("cancel", "7+1")
    assert (ran.code, ran.err) == (1, "7+1: was not cancelled by itself\nhint: Cancel all of it: slurm-gateway cancel 7\n")


def test_a_refusal_is_told_with_its_hint(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")))
    gateway.on("DELETE /slurm/latest/job/7", refuses(403, "not_permitted", "The policy forbids it.", "Ask for it."))
    ran = run("cancel", 7)
    assert (ran.code, ran.err) == (1, "7: was not cancelled: The policy forbids it.\nhint: Ask for it.\n")


def test_a_task_is_cancelled_alone(run: Run, gateway: FakeGateway) -> None:
    gateway.on(
        "GET /slurm/latest/job/7",
        shows(*array(7, job(7, "PENDING", array_task_string="3-9"))),
        shows(*array(7, job(7, "PENDING", array_task_string="3,5-9"))),
    )
    gateway.on("DELETE /slurm/latest/job/7_4", DONE)
    assert run("cancel", "7_4").out == "7_4: cancelled\n"


@pytest.mark.parametrize("words", [(), ("--all", 7), ("--state", "PD", 7), ("--all", "--state", "PD")])
def test_it_must_be_clear_which_jobs(run: Run, gateway: FakeGateway, words: tuple[object, ...]) -> None:
    ran = run("cancel", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "slurm-gateway: which jobs?\nhint: Name them (slurm-gateway cancel 7 8), or give --all or --state alone.\n"
    assert gateway.asked == []


def test_without_a_terminal_all_needs_to_be_agreed_to_beforehand(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", choosing(job(7, "RUNNING"), job(8, "PENDING")))
    ran = run("cancel", "--all")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "slurm-gateway: 2 jobs would be cancelled, and nobody is there to agree\nhint: Look with --dry-run, then give --yes.\n"
    assert gateway.paths("DELETE") == []


@pytest.mark.parametrize(("answer", "code", "cancelled"), [("y", 0, ["/slurm/latest/job/7"]), ("n", 1, []), ("what", 1, [])])
def test_on_a_terminal_it_is_asked(
    run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, cancelled: list[str]
) -> None:
    gateway.on("GET /slurm/latest/jobs", choosing(job(7, "PENDING")))
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "PENDING")), shows(job(7, "CANCELLED")))
    gateway.on("DELETE /slurm/latest/job/7", DONE)
    asked: list[str] = []

    def line(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr(terminal, "is_there", lambda: True)
    monkeypatch.setattr(terminal, "line", line)
    ran = run("cancel", "--state", "PD")
    assert (ran.code, asked, gateway.paths("DELETE")) == (code, ["Cancel 1 job? [y/N] "], cancelled)
    assert "PENDING" in ran.err
    if code:
        assert ran.err.splitlines()[-2:] == [
            "slurm-gateway: nothing was cancelled",
            "hint: Answer y to cancel, or name the jobs: slurm-gateway cancel ID.",
        ]


def test_a_dry_run_changes_nothing(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", choosing(job(7, "RUNNING"), job(8, "COMPLETED")))
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")))
    ran = run("cancel", "--all", "--dry-run")
    assert (ran.code, ran.out, gateway.paths("DELETE")) == (0, "7: would be cancelled (RUNNING)\n", [])


def test_a_dry_run_tells_what_would_not_be_done(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "COMPLETED")))
    gateway.on("GET /slurm/latest/job/8", UNKNOWN)
    gateway.on("GET /slurm/latest/job/9", refuses(403, "not_permitted", "No.", "Ask."))
    ran = run("cancel", "--dry-run", 7, 8, 9)
    assert (ran.code, ran.out) == (1, "7: has ended already (COMPLETED)\n")
    assert [line for line in ran.err.splitlines() if not line.startswith("hint: ")] == [FORGOTTEN, "9: was not cancelled: No."]


def test_those_in_a_state_are_not_more_than_those(run: Run, gateway: FakeGateway) -> None:
    tasks = array(7, job(7, "PENDING", array_task_string="3-4%1"), job(9, "RUNNING", array_task_id=1))
    gateway.on("GET /slurm/latest/jobs", choosing(*tasks))
    gateway.on("GET /slurm/latest/job/7", shows(*tasks))
    assert run("cancel", "--state", "PD", "--dry-run").out == "7_3: would be cancelled (PENDING)\n7_4: would be cancelled (PENDING)\n"
    assert run("cancel", "--all", "--dry-run").out == "7: would be cancelled (RUNNING)\n"


def test_tasks_that_slurm_does_not_tell_in_full_are_not_guessed(run: Run, gateway: FakeGateway) -> None:
    tasks = array(7, job(7, "PENDING", array_task_string="1,3,5,..."), job(9, "RUNNING", array_task_id=2))
    gateway.on("GET /slurm/latest/jobs", choosing(*tasks))
    ran = run("cancel", "--state", "PD", "--yes")
    assert (ran.code, gateway.paths("DELETE")) == (1, [])
    assert ran.err == (
        "slurm-gateway: Slurm does not tell which tasks of 7 wait\n"
        "hint: Name the tasks (slurm-gateway cancel 7_3), or all of it: slurm-gateway cancel 7\n"
    )


def test_no_jobs_to_cancel_are_no_failure(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", shows())
    ran = run("cancel", "--all")
    assert (ran.code, ran.out, ran.err) == (0, "", "No jobs.\n")


def test_json_has_what_became_of_each(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", shows(job(7, "RUNNING")), shows(job(7, "CANCELLED")))
    gateway.on("GET /slurm/latest/job/8", UNKNOWN)
    gateway.on("DELETE /slurm/latest/job/7", DONE)
    ran = run("cancel", "--json", 7, 8)
    jobs = json.loads(ran.out)["jobs"]
    assert (ran.code, ran.err) == (1, "")
    assert [(one["task"], one["result"], one["reason"]) for one in jobs] == [("7", "cancelled", None), ("8", "unknown", "job_forgotten")]
    assert jobs[1]["hint"].startswith("Slurm forgets a job")

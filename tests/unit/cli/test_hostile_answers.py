"""A gateway that is broken, or is none, answers what no gateway does: no command ends with a traceback, or has a terminal do what it says."""

from __future__ import annotations

import pytest

from tests.saying import FakeGateway, Says, recorded
from tests.unit.cli.conftest import Run

ESCAPE = "\x1b[2J\x9b31m\u202e"
TOKEN = "sgw_" + "b" * 49
SESSION = {"username": "alice", "kind": "session", "expires_at": "2030-01-01T00:00:00Z"}
JOB = {"job_id": 7, "name": "a", "user_name": "alice", "job_state": "RUNNING", "partition": "main"}
OTHERS = {**JOB, "user_name": f"bob{ESCAPE}"}
NO_DATE = (("Date", "Fri, 31 Dec 9999 23:59:59 -2359"),)


def is_plain(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("command", [("jobs",), ("jobs", "--json"), ("job", "7"), ("job", "7", "--json")])
@pytest.mark.parametrize(
    "more",
    [
        {"submit_time": 1e18},
        {"start_time": 253_402_300_799},
        {"end_time": -1e300, "job_state": "FAILED"},
        {"array_job_id": 7, "array_task_string": "²"},
        {"array_job_id": 7, "array_task_string": "9" * 5000},
        {"time_limit": 1e300, "exit_code": 1e300},
        {"job_state": f"RUNNING{ESCAPE}", "name": ESCAPE, "nodes": "\ud800"},
    ],
)
def test_a_job_that_cannot_be_is_shown_as_far_as_it_can_be(run: Run, gateway: FakeGateway, command: tuple[str, ...], more: dict[str, object]) -> None:
    for path in ("jobs", "job/7"):
        gateway.on(f"GET /slurm/latest/{path}", Says(body={"jobs": [JOB | more]}))
    ran = run(*command)
    assert (ran.code, ran.err, is_plain(ran.out)) == (0, "", True)


def test_an_array_of_more_tasks_than_there_can_be_is_one_whose_tasks_are_not_told(run: Run, gateway: FakeGateway) -> None:
    tasks = ",".join(["1-4000000"] * 2000)
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [JOB | {"array_job_id": 7, "array_task_string": tasks}]}))
    assert run("job", "7_3", "--json").code == 0


@pytest.mark.parametrize(
    ("asked", "after"), [(JOB | {"job_state": f"RUNNING{ESCAPE}"}, JOB), (JOB, OTHERS), (JOB, JOB | {"job_state": ESCAPE}), (OTHERS, OTHERS)]
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_became_of_a_job_is_told_on_lines_of_their_own(
    run: Run, gateway: FakeGateway, asked: object, after: object, dry: tuple[str, ...]
) -> None:
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [asked]}), Says(body={"jobs": [after]}))
    gateway.on("DELETE /slurm/latest/job/7", Says(body={"errors": []}))
    ran = run("cancel", "7", *dry)
    assert (ran.out + ran.err != "", is_plain(ran.out + ran.err)) == (True, True)


@pytest.mark.parametrize(
    "more",
    [
        {"expires_at": "9999-12-31T23:59:59-23:59"},
        {"expires_at": "0001-01-01T00:00:00+23:59", "idle_expires_at": 5},
        {"scopes": 5},
        {"scopes": {"a": ESCAPE}, "username": ESCAPE, "kind": [ESCAPE]},
        {"url": 5, "site": None},
    ],
)
def test_whoami_of_somebody_who_cannot_be(run: Run, gateway: FakeGateway, more: dict[str, object]) -> None:
    gateway.on("GET /auth/session", Says(body=SESSION | more, headers=NO_DATE))
    ran = run("whoami")
    assert (ran.code, is_plain(ran.out)) == (0, True)


def test_a_gateway_does_not_say_which_site_it_is(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /auth/session", Says(body=SESSION | {"url": "https://bank.example.org", "site": "work"}))
    assert "bank" not in run("whoami").out


@pytest.mark.parametrize("token", [ESCAPE, "\ud800", f"{TOKEN}\n", "", " "])
@pytest.mark.parametrize("words", [(), ("--json",), ("--output", "token")])
def test_what_is_no_token_is_neither_shown_nor_kept(
    run: Run, gateway: FakeGateway, token: str, words: tuple[str, ...], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    gateway.on("POST /auth/tokens", Says(status=201, body={"token": token, "id": "1", "name": "n"}))
    ran = run("tokens", "create", "--name", "n", *words)
    assert (ran.code, ran.out, ran.err) == (1, "", "slurm-gateway: the answer has no token\nhint: Is this the gateway's address?\n")


@pytest.mark.parametrize("code", [256, -1, 1e300, 65536])
def test_no_exit_code_of_a_job_becomes_a_success(run: Run, gateway: FakeGateway, code: float) -> None:
    failed = JOB | {"job_state": "FAILED", "exit_code": {"return_code": code}}
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [failed]}))
    assert run("wait", "7").code == 1


def test_real_answers_are_read_as_ever(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", recorded("24.11", "jobs"))
    assert run("jobs").code == 0


def test_a_refusal_whose_number_is_a_list_is_a_refusal(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [JOB]}))
    gateway.on("DELETE /slurm/latest/job/7", Says(status=500, body={"errors": [{"error_number": [1], "error_code": {}, "description": "No."}]}))
    ran = run("cancel", "7")
    assert (ran.code, "7: was not cancelled: No.\n" in ran.err) == (1, True)

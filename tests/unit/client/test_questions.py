"""Questions of more than one call: waiting, whose jobs, versions that a gateway does not know, and what may be submitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.client import questions
from gateway.client.address import Address
from gateway.client.asking import Answer
from gateway.client.errors import GatewayError, JobFileError, JobForgottenError, SlurmRefusedError, WaitTimeoutError
from gateway.client.jobfile import JobFile
from gateway.client.questions import Standing
from gateway.secret import Secret
from tests.unit.client.driving import Clock, drive, ok, problem, slurm, where
from tests.unit.client.test_calls import DONE, SIGNED_IN

NO_CALL = problem("slurm_refused", 404, detail="Slurm's REST API has no such call")
DOCUMENT = ok({"paths": {"/slurm/v0.0.38/ping": {}}})


class Carrier:
    def __init__(self) -> None:
        self.address = Address.of("https://gateway.example.org")
        self.token: Secret | None = None


def standing(clock: Clock | None = None) -> Standing:
    return Standing(Carrier(), where(clock))


def jobs(*states: str, waited: str | None = None) -> Answer:
    tree = {"jobs": [{"job_id": 5 + place, "job_state": state} for place, state in enumerate(states)]}
    return ok(tree) if waited is None else ok(tree, x_gateway_waited=waited)


# Who one is.


def test_signing_in_and_out_changes_who_one_is() -> None:
    person = standing()
    drive(questions.login(person, "Alice", "geheim", "1"), [ok(SIGNED_IN)])
    assert (person.username, person.carrier.token is not None) == ("alice", True)
    assert drive(questions.username(person), []).result == "alice"
    drive(questions.logout(person), [DONE])
    assert (person.username, person.carrier.token) == (None, None)


def test_my_jobs_are_those_of_whoever_the_token_is() -> None:
    person = standing()
    driven = drive(questions.jobs(person), [ok({"username": "alice"}), jobs("RUNNING")])
    assert [question.path for question in driven.asked] == ["/auth/session", "/slurm/latest/jobs"]
    assert ("user", "alice") in driven.asked[1].query
    assert len(drive(questions.jobs(person), [jobs()]).asked) == 1  # who we are is known by now
    assert all(name != "user" for name, _ in drive(questions.jobs(person, everybody=True), [jobs()]).asked[0].query)
    assert ("user", "bob") in drive(questions.jobs(person, user="bob"), [jobs()]).asked[0].query


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ü", "a\r\nX: y", "\udcff"])
def test_a_token_that_cannot_be_one_is_refused_at_once_and_not_shown(token: str) -> None:
    with pytest.raises(GatewayError) as caught:
        questions.token_of(token)
    assert caught.value.reason == "bad_token"
    assert "sgw_" in caught.value.hint
    assert not token or token not in str(caught.value)


# Waiting.


def test_a_wait_is_asked_again_until_the_job_has_ended() -> None:
    driven = drive(
        questions.wait(standing(), 5), [jobs("PENDING", waited="timeout"), jobs("RUNNING", waited="timeout"), jobs("COMPLETED", waited="met")]
    )
    assert [job.state for job in driven.result] == ["COMPLETED"]
    assert driven.pauses == []  # the gateway has waited


def test_all_tasks_of_an_array_and_all_jobs_are_waited_for() -> None:
    driven = drive(questions.wait(standing(), 5, 9), [jobs("COMPLETED", "RUNNING", waited="timeout"), jobs("COMPLETED", "FAILED"), jobs("FAILED")])
    assert [job.state for job in driven.result] == ["COMPLETED", "FAILED", "FAILED"]
    assert [question.path.rpartition("/")[2] for question in driven.asked] == ["5", "5", "9"]


def test_where_the_gateway_does_not_wait_it_is_asked_with_pauses_that_grow() -> None:
    clock = Clock()
    driven = drive(questions.wait(standing(clock), 5), [jobs("RUNNING")] * 8 + [jobs("COMPLETED")], clock=clock)
    assert [pause.seconds for pause in driven.pauses] == [1, 2, 4, 8, 15, 15, 15, 15]


def test_a_gateway_that_lets_nobody_wait_so_long_is_asked_for_less() -> None:
    refusal = problem("bad_request", 400, detail="'wait' is at most 5.")
    driven = drive(questions.wait(standing(), 5), [refusal, refusal, jobs("RUNNING"), jobs("COMPLETED")])
    assert [dict(question.query).get("wait") for question in driven.asked] == ["50", "10", None, None]
    assert driven.error is None


def test_a_request_that_is_bad_for_another_reason_is_told() -> None:
    driven = drive(questions.wait(standing(), 5), [problem("bad_request", 400)] * 3)
    assert driven.error is not None
    assert driven.error.reason == "bad_request"


def test_a_wait_ends_in_time() -> None:
    clock = Clock()
    conversation = questions.wait(standing(clock), 5, timeout=7)
    question = next(conversation)
    assert dict(question.query)["wait"] == "7"  # type: ignore[union-attr]
    clock.now += 7
    with pytest.raises(WaitTimeoutError) as caught:
        conversation.send(jobs("RUNNING", waited="timeout"))
    assert caught.value.reason == "wait_timeout"
    assert "job 5 is running still" in str(caught.value)
    assert caught.value.hint == "The job goes on. Wait for longer, or look at it: slurm-gateway job ID."


def test_a_wait_of_no_time_looks_once() -> None:
    driven = drive(questions.wait(standing(), 5, timeout=0), [jobs("RUNNING"), jobs("RUNNING")])
    assert len(driven.asked) == 1
    assert isinstance(driven.error, WaitTimeoutError)
    assert drive(questions.wait(standing(), 5, timeout=0), [jobs("COMPLETED")]).error is None


@pytest.mark.parametrize(
    ("until", "replies", "asked"),
    [
        ("started", [jobs("PENDING", waited="timeout"), jobs("RUNNING")], 2),
        ("started", [jobs("PENDING", "RUNNING")], 1),
        ("started", [jobs("CONFIGURING"), jobs("COMPLETED")], 2),
        ("changed", [jobs("RUNNING", waited="timeout"), jobs("RUNNING"), jobs("COMPLETED")], 3),
        ("changed", [jobs("RUNNING", waited="met")], 1),
        ("changed", [jobs("COMPLETED")], 1),
        ("SUSPENDED", [jobs("RUNNING"), jobs("SUSPENDED")], 2),
        ("running", [jobs("PENDING"), jobs("RUNNING")], 2),
        ("SUSPENDED", [jobs("RUNNING"), jobs("COMPLETED", waited="over")], 2),
        ("finished", [jobs("COMPLETING"), jobs("COMPLETED")], 2),
    ],
)
def test_what_is_waited_for_may_be_something_else_than_the_end(until: str, replies: list[Answer], asked: int) -> None:
    driven = drive(questions.wait(standing(), 5, until=until), [*replies, problem("internal_error", 500)])
    assert driven.error is None
    assert len(driven.asked) == asked


def test_accounting_that_is_late_is_asked_again_but_not_for_ever() -> None:
    running = ok({"jobs": [{"job_id": 5, "state": {"current": ["RUNNING"]}, "time": {}}]})
    done = ok({"jobs": [{"job_id": 5, "state": {"current": ["COMPLETED"]}, "time": {}}]})
    assert drive(questions.wait(standing(), 5), [slurm(404, 2017), running, slurm(404, 2017), done]).result[0].state == "COMPLETED"
    driven = drive(questions.wait(standing(), 5), [slurm(404, 2017), running] * 100)
    assert len(driven.asked) < 50
    assert isinstance(driven.error, JobForgottenError)
    assert driven.error.hint == "Slurm's administrators may end it in accounting: 'sacctmgr show runawayjobs'."


# Versions.


def test_a_gateway_that_does_not_know_the_newest_version_is_helped_once() -> None:
    person = standing()
    driven = drive(questions.ping(person), [NO_CALL, DOCUMENT, ok()])
    assert [question.path for question in driven.asked] == ["/slurm/latest/ping", "/openapi/v3", "/slurm/v0.0.38/ping"]
    assert drive(questions.ping(person), [ok()]).asked[0].path == "/slurm/v0.0.38/ping"


def test_a_submission_goes_on_in_the_version_that_was_learnt_with_its_key() -> None:
    driven = drive(questions.submit(standing(), b"{}", key="k"), [NO_CALL, DOCUMENT, ok({"job_id": 7})])
    assert driven.asked[2].path == "/slurm/v0.0.38/job/submit"
    assert ("Idempotency-Key", "k") in driven.asked[2].headers


def test_an_unknown_job_is_no_reason_to_learn_versions() -> None:
    driven = drive(questions.cancel(standing(), 5), [slurm(404, 2017)])
    assert len(driven.asked) == 1
    assert isinstance(driven.error, SlurmRefusedError)


def test_where_versions_cannot_be_learnt_the_first_refusal_is_told() -> None:
    driven = drive(questions.ping(standing()), [NO_CALL, problem("not_permitted", 403), problem("not_permitted", 403)])
    assert isinstance(driven.error, SlurmRefusedError)
    assert driven.error.status == 404


# Submitting.


@pytest.mark.parametrize("job", [b'{"job": 1}', {"job": 1}, JobFile(body=b'{"job": 1}')], ids=["bytes", "tree", "file"])
def test_what_is_submitted_may_have_several_forms(job: Any) -> None:
    [question] = drive(questions.submit(standing(), job), [ok({"job_id": 7})]).asked
    assert json.loads(question.body or b"") == {"job": 1}
    assert len(dict(question.headers)["Idempotency-Key"]) == 32


@pytest.mark.parametrize("named", [Path, str])
def test_a_file_is_read_and_one_that_cannot_be_is_a_line_and_a_hint(tmp_path: Path, named: Callable[[Path], Path | str]) -> None:
    path = tmp_path / "job.json"
    file = named(path)
    with pytest.raises(GatewayError) as caught:
        next(questions.submit(standing(), file))
    assert (caught.value.reason, caught.value.hint) == ("job_file_broken", "Look at its name and its rights.")
    path.write_text('{"job": {"name": "x", "environment": {"PATH": "/bin"}}, "script": "#!/bin/sh\\ntrue\\n"}')
    [question] = drive(questions.submit(standing(), file), [ok({"job_id": 7})]).asked
    assert json.loads(question.body or b"")["job"]["name"] == "x"
    path.write_text("{")
    with pytest.raises(JobFileError):
        next(questions.submit(standing(), file))

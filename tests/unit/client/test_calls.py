"""Each call as a conversation: what is asked, and what is made of the answers, those of something else too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.client import calls
from gateway.client.asking import Answer, Conversation
from gateway.client.calls import LATEST, Where
from gateway.client.errors import GatewayError, JobForgottenError, NotUnderstoodError, RefusedError, SlurmRefusedError, UnreachableError
from gateway.client.patience import Patience
from gateway.secret import Secret
from tests.unit.client.driving import Clock, Reply, drive, ok, page, problem, slurm, where

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "recorded").glob("*.json"))}
TOKEN = "sgw_" + "a" * 49
SIGNED_IN = {"token": TOKEN, "token_type": "Bearer", "expires_in": 43200, "expires_at": "2030-01-01T00:00:00Z", "username": "alice"}
DONE = Answer(status=204, headers={}, body=b"")
PASSWORD = Secret(b"geheim")


def login(clock: Clock | None = None) -> Conversation[calls.SignedIn]:
    return calls.login("alice", PASSWORD, "123456", Patience(clock=clock or Clock()))


ALL: dict[str, Callable[[Where], Conversation[Any]]] = {
    "login": lambda there: calls.login("alice", PASSWORD, "123456", there.patience),
    "session": calls.session,
    "logout": calls.logout,
    "stepup": lambda there: calls.stepup("123456", there),
    "tokens": calls.tokens,
    "create_token": lambda there: calls.create_token("ci", there),
    "revoke_token": lambda there: calls.revoke_token("ab", there),
    "ping": calls.ping,
    "jobs": calls.jobs,
    "job": lambda there: calls.job(5, there),
    "nodes": calls.nodes,
    "partitions": calls.partitions,
    "cancel": lambda there: calls.cancel(5, there),
    "newest": calls.newest,
    "submit": lambda there: calls.submit(b"{}", there, key="k"),
    "wait": lambda there: calls.wait(5, there),
}


@pytest.mark.parametrize("name", ALL)
def test_a_page_of_a_captive_portal_is_never_taken_for_an_answer(name: str) -> None:
    driven = drive(ALL[name](where()), [page(200)] * 3)
    assert isinstance(driven.error, NotUnderstoodError), driven.result
    assert driven.error.hint


@pytest.mark.parametrize("body", [b"null", b"5", b"[]", b'"x"', b'{"token": 5, "jobs": 1, "tokens": {}, "nodes": [1]}'])
@pytest.mark.parametrize("name", sorted(set(ALL) - {"session", "stepup", "ping", "cancel"}))
def test_json_of_something_else_is_not_understood(name: str, body: bytes) -> None:
    driven = drive(ALL[name](where()), [Answer(status=200, headers={"content-type": "application/json"}, body=body)] * 3)
    assert isinstance(driven.error, NotUnderstoodError), driven.result


@pytest.mark.parametrize(
    "name", ["session", "tokens", "ping", "jobs", "job", "nodes", "partitions", "wait", "cancel", "revoke_token", "logout", "submit"]
)
def test_what_can_be_done_twice_is_asked_again_after_a_break(name: str) -> None:
    driven = drive(ALL[name](where()), [UnreachableError("x", hint="h", sent=True)])
    assert len(driven.asked) == 2


@pytest.mark.parametrize("name", ["login", "stepup", "create_token"])
def test_what_cannot_be_done_twice_is_asked_once(name: str) -> None:
    driven = drive(ALL[name](where()), [UnreachableError("x", hint="h", sent=True)])
    assert len(driven.asked) == 1
    assert isinstance(driven.error, UnreachableError)


# Signing in.


def test_signing_in_sends_both_factors_and_gives_the_token() -> None:
    driven = drive(login(), [ok(SIGNED_IN)])
    [question] = driven.asked
    assert (question.method, question.path, question.anonymous, question.repeatable) == ("POST", "/auth/login", True, False)
    assert json.loads(question.body or b"") == {"username": "alice", "password": "geheim", "otp": "123456"}
    assert driven.result.token.reveal() == TOKEN.encode()
    assert (driven.result.username, driven.result.expires_in) == ("alice", 43200)
    assert "geheim" not in repr(driven.steps)
    assert TOKEN not in repr(driven.result)


@pytest.mark.parametrize(
    "reply",
    [
        UnreachableError("x", hint="h", sent=True), problem("throttled", 429, retry_after="1"), problem("credentials_refused", 401),
        problem("audit_unavailable", 503), problem("factor_unavailable", 503), problem("gateway_timeout", 504), problem("gateway_unavailable", 502),
        problem("store_unavailable", 503), page(503), page(502), problem("too_many_calls", 429),
    ],
)  # fmt: skip
def test_a_code_that_somebody_may_have_looked_at_is_never_sent_again(reply: Answer | GatewayError) -> None:
    for conversation in (login(), calls.stepup("123456", where())):
        driven = drive(conversation, [reply, ok(SIGNED_IN)])
        assert len(driven.asked) == 1
        assert driven.error is not None


@pytest.mark.parametrize("reply", [UnreachableError("x", hint="h", sent=False), problem("sign_in_busy", 503)])
def test_a_code_that_nobody_has_looked_at_is_sent_again(reply: Answer | GatewayError) -> None:
    assert drive(login(), [reply, ok(SIGNED_IN)]).result.username == "alice"


@pytest.mark.parametrize("token", [None, "", "a b", "a\r\nb", "ü", 5, ["x"]])
def test_a_token_that_could_not_be_sent_is_none(token: object) -> None:
    driven = drive(login(), [ok({**SIGNED_IN, "token": token})])
    assert isinstance(driven.error, NotUnderstoodError)
    assert str(driven.error) == "the answer has no token"


def test_a_password_that_is_no_utf8_is_told_without_showing_it() -> None:
    driven = drive(calls.login("alice", Secret(b"\xff\xfe"), "123456", Patience()), [])
    assert driven.error is not None
    assert driven.error.reason == "bad_request"
    assert driven.error.__cause__ is None


def test_signing_out_of_what_has_ended_is_done_and_asks_nobody_to_sign_in() -> None:
    driven = drive(calls.logout(where()), [problem("token_refused", 401)])
    assert (driven.error, driven.proofs) == (None, [])
    assert drive(calls.logout(where()), [DONE]).error is None
    driven = drive(calls.logout(where()), [problem("bad_request", 400)])
    assert isinstance(driven.error, RefusedError)


def test_a_token_for_scripts_is_asked_for_as_it_was_wanted() -> None:
    made = {
        "token": TOKEN,
        "id": "ab",
        "name": "ci",
        "expires_at": "2030-01-01T00:00:00Z",
        "expires_in": 60,
        "scopes": ["read"],
        "networks": ["192.0.2.7/32"],
    }
    driven = drive(calls.create_token("ci", where(), scopes=["read"], expires_in=60, networks=["192.0.2.7"]), [ok(made, status=201)])
    assert json.loads(driven.asked[0].body or b"") == {"name": "ci", "scopes": ["read"], "expires_in": 60, "networks": ["192.0.2.7"]}
    assert (driven.result.id, driven.result.scopes, driven.result.networks) == ("ab", ("read",), ("192.0.2.7/32",))
    driven = drive(calls.create_token("ci", where()), [ok(made, status=201)])
    assert json.loads(driven.asked[0].body or b"") == {"name": "ci"}


def test_an_id_stays_one_part_of_the_path() -> None:
    assert drive(calls.revoke_token("a/../b?c", where()), [DONE]).asked[0].path == "/auth/tokens/a%2F..%2Fb%3Fc"
    assert drive(calls.ping(where(cluster="a/b")), [ok()]).asked[0].path == "/clusters/a%2Fb/slurm/latest/ping"


# Jobs.


def test_a_submission_keeps_its_key_and_its_body_however_often_it_is_sent() -> None:
    replies: list[Reply] = [
        UnreachableError("x", hint="h", sent=True),
        problem("idempotency_under_way", 409, retry_after="2"),
        problem("gateway_unavailable", 502),
    ]
    driven = drive(calls.submit(b"{}", where(), key="k"), [*replies, ok({"job_id": 7}, x_gateway_repaired="script, environment")])
    assert len(set(driven.asked)) == 1
    assert len(driven.asked) == 4
    assert ("Idempotency-Key", "k") in driven.asked[0].headers
    assert (driven.result.job_id, driven.result.repaired) == (7, ("script", "environment"))


def test_what_slurm_warns_of_is_told() -> None:
    driven = drive(calls.submit(b"{}", where(), key="k"), [ok({"job_id": 7, "warnings": [{"description": "w"}], "errors": [{"error": "held"}, 5]})])
    assert driven.result.warnings == ("w", "held")


def test_a_value_that_slurm_only_warns_of_is_a_refusal_that_names_its_place() -> None:
    warned = [{"description": 'Expected a number but got "many"', "source": "#/job/tasks/"}]
    tree = {"errors": [], "warnings": warned, "hint": "Correct the fields that 'warnings' names."}
    driven = drive(calls.submit(b"{}", where(), key="k"), [ok(tree)])
    assert isinstance(driven.error, SlurmRefusedError)
    assert (str(driven.error), driven.error.hint) == ('job.tasks: Expected a number but got "many"', "Correct the fields that 'warnings' names.")
    driven = drive(calls.submit(b"{}", where(), key="k"), [ok({"warnings": warned})])
    assert isinstance(driven.error, SlurmRefusedError)
    assert driven.error.hint == "Correct what the warnings name."


def test_a_submission_whose_answer_names_no_job_says_why_and_where_to_look() -> None:
    driven = drive(calls.submit(b"{}", where(), key="k"), [ok({"job_id": 0, "hint": "No partition."})])
    assert isinstance(driven.error, NotUnderstoodError)
    assert driven.error.hint == "No partition."
    driven = drive(calls.submit(b"{}", where(), key="k"), [ok({})])
    assert isinstance(driven.error, NotUnderstoodError)
    assert driven.error.hint == "Look whether it is there: slurm-gateway jobs."


@pytest.mark.parametrize("version", RECORDED)
def test_to_cancel_what_has_ended_is_nothing(version: str) -> None:
    assert drive(calls.cancel(5, where()), [ok(RECORDED[version]["cancel-again"])]).error is None


@pytest.mark.parametrize("version", RECORDED)
def test_to_cancel_what_is_not_there_is_an_error_where_slurm_says_so(version: str) -> None:
    tree = RECORDED[version]["cancel-unknown"]
    driven = drive(calls.cancel(5, where()), [ok(tree, status=404 if version.startswith("22.05") else 200)])
    if version.endswith(("v0.0.40", "v0.0.41")):  # which say nothing of it at all
        assert driven.error is None
        return
    assert isinstance(driven.error, SlurmRefusedError)
    assert "Invalid job id specified" in str(driven.error)
    assert "jobs shows those that there are" in driven.error.hint


def test_to_cancel_what_cannot_be_is_an_error_that_says_what_to_look_at() -> None:
    driven = drive(calls.cancel(5, where()), [ok({"status": [{"error": {"code": 2002, "message": "Access/permission denied"}}]})])
    assert isinstance(driven.error, SlurmRefusedError)
    assert (str(driven.error), driven.error.hint) == ("Access/permission denied", "Check the number of the job, and that it is yours.")


def test_a_refusal_because_it_has_ended_already_is_none() -> None:
    assert drive(calls.cancel(5, where()), [slurm(409, 2021)]).error is None
    assert isinstance(drive(calls.cancel(5, where()), [slurm(403, 2002)]).error, SlurmRefusedError)


@pytest.mark.parametrize("version", RECORDED)
@pytest.mark.parametrize("asked", [lambda there: calls.job(5, there), lambda there: calls.wait(5, there)], ids=["job", "wait"])
def test_a_job_that_slurmctld_has_forgotten_is_looked_up_in_accounting(version: str, asked: Callable[[Where], Conversation[Any]]) -> None:
    unknown, accounted = ok(RECORDED[version]["unknown"], status=404), ok({"jobs": RECORDED[version]["accounted"]["killed"]})
    driven = drive(asked(where()), [unknown, accounted])
    assert [question.path for question in driven.asked] == ["/slurm/latest/job/5", "/slurmdb/latest/job/5"]
    jobs = driven.result[0] if isinstance(driven.result, tuple) else driven.result
    assert [(job.state, job.exit_code) for job in jobs] == [("FAILED", 137)]
    if isinstance(driven.result, tuple):
        assert driven.result[1] == "over"


@pytest.mark.parametrize("reply", [ok({"jobs": []}), problem("not_permitted", 403), slurm(500, 7000), page(200)])
def test_a_job_that_accounting_cannot_tell_of_is_forgotten(reply: Answer) -> None:
    driven = drive(calls.job(5, where()), [slurm(404, 2017), reply])
    assert isinstance(driven.error, JobForgottenError)
    assert driven.error.reason == "job_forgotten"
    assert driven.error.hint == (
        "Slurm forgets a job some minutes after its end (MinJobAge). Check the number: 'sacct -j ID' on a login node may know more."
    )


def test_of_a_job_that_was_started_again_the_last_time_counts() -> None:
    records = [
        {"job_id": 5, "state": {"current": [state]}, "time": {"submission": at}}
        for state, at in [("COMPLETED", 300), ("NODE_FAIL", 100), ("FAILED", 200)]
    ]
    assert [job.state for job in drive(calls.job(5, where()), [slurm(404, 2017), ok({"jobs": records})]).result] == ["COMPLETED"]


def test_while_slurmctld_does_not_answer_a_job_is_not_taken_for_forgotten() -> None:
    driven = drive(calls.job(5, where(patience=0)), [slurm(502, 1800)])
    assert isinstance(driven.error, SlurmRefusedError)
    assert len(driven.asked) == 1


def test_a_call_that_the_api_does_not_know_is_no_job_that_it_does_not_know() -> None:
    driven = drive(calls.job(5, where()), [problem("slurm_refused", 404, detail="No such call")])
    assert isinstance(driven.error, SlurmRefusedError)
    assert len(driven.asked) == 1


@pytest.mark.parametrize("job_id", ["5/../6", "5?x", ""])
def test_the_number_of_a_job_is_a_number(job_id: Any) -> None:
    for asked in (calls.job, calls.wait):
        with pytest.raises(ValueError, match="invalid literal"):
            next(asked(job_id, where()))
    driven = drive(calls.cancel(job_id, where()), [])
    assert driven.asked == []
    assert driven.error is not None
    assert driven.error.hint == "Give a number, as 7, or one of an array's tasks, as 7_3."


@pytest.mark.parametrize(("job_id", "path"), [(7, "7"), ("7_3", "7_3"), ("7_[4-9]", "7_%5B4-9%5D"), ("7+1", "7%2B1")])
def test_tasks_of_an_array_may_be_cancelled_by_themselves(job_id: int | str, path: str) -> None:
    [question] = drive(calls.cancel(job_id, where()), [ok()]).asked
    assert question.path == f"/slurm/latest/job/{path}"


def test_lists_are_asked_for_with_what_is_wanted_of_them() -> None:
    [question] = drive(calls.jobs(where(), user="alice", states=["R", "PD"]), [ok({"jobs": []})]).asked
    assert dict(question.query)["user"] == "alice"
    assert dict(question.query)["state"] == "R,PD"
    assert "job_state" in dict(question.query)["fields"]


def test_a_waiting_read_says_for_what_and_how_long_and_what_came_of_it() -> None:
    driven = drive(
        calls.wait(5, where(), until="started", seconds=20), [ok({"jobs": [{"job_id": 5, "job_state": "RUNNING"}]}, x_gateway_waited="met")]
    )
    assert driven.asked[0].query == (("wait", "20"), ("until", "started"))
    assert driven.asked[0].timeout > 20
    assert driven.result[1] == "met"


# Any call.


def test_any_call_gives_what_came_and_its_error_has_it_too() -> None:
    driven = drive(calls.call("get", "/x", where=where()), [page(200)])
    assert (driven.asked[0].method, driven.asked[0].repeatable, driven.result.body[:6]) == ("GET", True, b"<html>")
    driven = drive(calls.call("POST", "/x", body=b"{}", where=where()), [slurm(400, 2000)])
    assert driven.asked[0].repeatable is False
    assert driven.error is not None
    assert json.loads(driven.error.body or b"")["errors"]
    assert drive(calls.call("POST", "/x", headers=[("idempotency-key", "k")], body=b"{}", where=where()), [ok()]).asked[0].repeatable is True


# Versions.


@pytest.mark.parametrize("escaped", [False, True])
def test_the_newest_version_is_read_from_the_document(escaped: bool) -> None:
    text = json.dumps({"paths": {f"/slurm/v0.0.{number}/ping": {} for number in (9, 41, 42, 40)} | {"/slurmdb/v0.0.99/jobs": {}}})
    body = (text.replace("/", "\\/") if escaped else text).encode()
    driven = drive(calls.newest(where()), [Answer(status=200, headers={}, body=body)])
    assert (driven.result, driven.asked[0].path) == ("v0.0.42", "/openapi/v3")


def test_the_older_document_is_asked_for_where_the_other_is_not_there() -> None:
    old = ok({"paths": {"/slurm/v0.0.36/ping": {}}})
    driven = drive(calls.newest(where(cluster="b")), [slurm(404), old])
    assert (driven.result, [question.path for question in driven.asked]) == ("v0.0.36", ["/clusters/b/openapi/v3", "/clusters/b/openapi"])


def test_keys_are_new_each_time_and_can_be_sent() -> None:
    keys = {calls.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.isalnum() and len(key) == 32 for key in keys)
    assert Where().version == LATEST

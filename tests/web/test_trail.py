"""What is left behind: the audit trail, the log, the metrics; and that no secret is in any of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re

import pytest

from gateway.signin.account import Candidate
from gateway.store.audit_heads import AuditHeadStore
from gateway.store.engine import open_database
from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"
SUBMIT = "/slurm/v0.0.38/job/submit"
SUBMITTED = fakes.http(200, b'{"job_id":4711,"errors":[]}')


async def submit(house: House, fields: list[tuple[str, str]] | None = None) -> fakes.Answer:
    return await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *(fields or [])], b'{"job":{}}')


async def test_a_sign_in_is_in_the_trail(house: House) -> None:
    given = fakes.fresh_id()
    fields = [*fakes.basic("Alice", otp=await house.code()), ("X-Request-ID", given), ("X-Forwarded-For", "192.0.2.9"), ("User-Agent", "curl/8.0")]
    await house.ask("POST", "/auth/login", fields)
    (line,) = await house.audit()
    assert len(str(line["session"])) == 32
    assert {**line, "time": "", "session": ""} == {
        "time": "",
        "event": "sign_in",
        "request_id": given,
        "user": "alice",
        "address": "192.0.2.9",
        "client": "curl/8.0",
        "method": "POST",
        "path": "/auth/login",
        "kind": "session",
        "session": "",
        "factor": "totp",
    }


async def test_a_sign_in_names_the_session_that_it_opens(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    await house.ask("DELETE", "/slurm/v0.0.38/job/7", fakes.bearer(str(answer.json["token"])))
    (signed_in,), (request,) = await house.audit("sign_in"), await house.audit("request")
    assert (request["session"], request["kind"], request["cluster"]) == (signed_in["session"], "session", "main")


async def test_a_request_with_credentials_of_its_own_shares_its_id_with_its_sign_in(house: House) -> None:
    await house.ask("DELETE", "/slurm/v0.0.38/job/7", fakes.basic("alice", otp=await house.code()))
    signed_in, request = await house.audit()
    assert (request["request_id"], request["kind"], signed_in["kind"]) == (signed_in["request_id"], "one_shot", "one_shot")
    assert ("session" in request, "session" in signed_in) == (False, False)


async def test_a_client_that_calls_itself_by_a_token_leaves_it_nowhere(house: House) -> None:
    token = await house.token()
    await house.ask("POST", "/auth/login", [*fakes.basic("alice", otp=await house.code()), ("User-Agent", f"x {token}")])
    assert [line["client"] for line in await house.audit("sign_in")] == ["x (hidden)"]


async def test_a_sign_in_with_a_recovery_code_says_so(house: House) -> None:
    await house.ask("POST", "/auth/login", fakes.basic("alice", otp=(await house.enrol()).recovery_codes[0]))
    assert [line["factor"] for line in await house.audit("sign_in")] == ["recovery_code"]


CAUSES = {
    "user_unknown": ("zoe", fakes.PASSWORD, "123456"),
    "password_refused": ("alice", "wrong", "123456"),
    "code_wrong": ("alice", fakes.PASSWORD, "000000"),
    "not_in_required_group": ("dave", fakes.PASSWORD, None),
    "name_reserved": ("root", fakes.PASSWORD, None),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_refused_sign_in_is_in_the_trail_with_its_true_cause(house: House, cause: str) -> None:
    username, password, otp = CAUSES[cause]
    if username == "alice":
        await house.enrol()
    answer = await house.ask("POST", "/auth/login", fakes.basic(username, password, otp or await house.code(username)))
    (line,) = await house.audit()
    assert (line["event"], line["cause"], line["status"]) == ("refusal", cause, answer.status)
    assert line.get("user") == (None if cause == "user_unknown" else username)
    assert cause.encode() not in answer.body


async def test_a_password_that_was_typed_as_a_name_is_written_down_nowhere(house: House) -> None:
    await house.ask("POST", "/auth/login", fakes.basic("Not-a-name-but-a-password", "x", "123456"))
    lines = await house.audit()
    assert [line["cause"] for line in lines] == ["user_unknown"]
    assert "Not-a-name" not in repr(lines) + house.log


async def test_a_sign_out_is_in_the_trail(house: House) -> None:
    await house.ask("DELETE", "/auth/session", fakes.bearer(await house.token()))
    (line,) = await house.audit()
    assert (line["event"], line["user"]) == ("sign_out", "alice")


async def test_a_submission_is_in_the_trail_with_its_job(house: House) -> None:
    house.slurm.behaviour = fakes.replies(SUBMITTED)
    answer = await submit(house)
    (line,) = await house.audit()
    assert [line[key] for key in ("event", "request_id", "user", "method", "path", "status", "job_id")] == [
        "request", answer.field("x-request-id"), "alice", "POST", SUBMIT, 200, 4711,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "target"), [("DELETE", "/slurm/v0.0.38/job/7"), ("POST", "/slurmdb/v0.0.38/users"), ("GET", "/slurm/v0.0.39/reconfigure")]
)
async def test_each_request_that_changes_something_is_in_the_trail(house: House, method: str, target: str) -> None:
    await house.ask(method, target, fakes.bearer(await house.token()))
    assert [(line["method"], line["path"]) for line in await house.audit("request")] == [(method, target)]


async def test_the_trail_is_written_before_the_answer_goes_out(house: House) -> None:
    house.slurm.behaviour = fakes.replies(SUBMITTED)
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, fakes.bearer(await house.token()), b"{}"))
    await reader.readexactly(1)
    assert len(await house.audit("request")) == 1
    writer.close()


async def test_a_submission_whose_client_went_away_is_in_the_trail(house: House) -> None:
    gate = asyncio.Event()

    async def waits(request: fakes.Request) -> bool:
        await request.read_body()
        await gate.wait()
        await request.say(SUBMITTED)
        return True

    house.slurm.behaviour = waits
    _, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, fakes.bearer(await house.token()), b"{}"))
    await fakes.until(lambda: house.slurm.seen)
    writer.transport.abort()
    gate.set()
    await fakes.until(lambda: SUBMIT in house.log)
    # The log has said that its sender went; it goes on, and ends in the trail.
    await house.application.front.drain(fakes.LIMIT)
    assert [line["job_id"] for line in await house.audit("request")] == [4711]


async def test_a_submission_with_an_unknown_outcome_is_in_the_trail(house: House) -> None:
    house.slurm.behaviour = fakes.hangs_up()
    await submit(house)
    assert [(line["event"], line["reason"], line["user"]) for line in await house.audit()] == [("refusal", "upstream_broken", "alice")]


@pytest.mark.parametrize("stays", [True, False])
async def test_a_change_that_is_broken_off_is_in_the_trail_with_its_outcome_unknown(
    house: House, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    monkeypatch.setattr("gateway.web.front._GRACE", 0.01)
    house.slurm.behaviour = fakes.hangs()
    _, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, fakes.bearer(await house.token()), b"{}"))
    await fakes.until(lambda: house.slurm.seen)
    if not stays:
        writer.transport.abort()
        await fakes.until(lambda: "client_gone" in house.log)
    await house.application.front.close()
    writer.close()
    (line,) = await house.audit()
    assert [line[key] for key in ("event", "user", "path", "status", "reason")] == ["request", "alice", SUBMIT, 499, "outcome_unknown"]


async def test_a_change_by_get_whose_client_went_away_is_in_the_trail_once(house: House) -> None:
    gate = house.slurm.behaviour = fakes.Gate()
    _, writer = await house.connect()
    writer.write(fakes.encode("GET", "/slurm/v0.0.39/reconfigure", fakes.bearer(await house.token())))
    await fakes.until(lambda: house.slurm.seen)
    writer.transport.abort()
    await fakes.until(lambda: "client_gone" in house.log)
    gate.open.set()
    await house.application.front.close()
    assert [(line["event"], line["user"], line["path"]) for line in await house.audit()] == [("request", "alice", "/slurm/v0.0.39/reconfigure")]


async def test_a_guess_whose_sender_hangs_up_is_in_the_trail_with_its_cause(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gate, find = asyncio.Event(), asyncio.Event(), house.directory.find

    async def slowly(typed: str) -> Candidate:
        asked.set()
        await gate.wait()
        return await find(typed)

    monkeypatch.setattr(house.directory, "find", slowly)
    _, writer = await house.connect()
    writer.write(fakes.encode("GET", "/slurm/v0.0.38/ping", fakes.basic("alice", "a guess", otp="123456")))
    await asked.wait()
    writer.transport.abort()
    await fakes.until(lambda: "client_gone" in house.log)
    gate.set()
    await house.application.front.close()  # which waits for it
    assert [(line["event"], line["user"], line["cause"]) for line in await house.audit()] == [("refusal", "alice", "password_refused")]
    assert "never retrieved" not in house.log


@pytest.mark.parametrize(("typed", "noted"), [("hunter2", None), ("alice", "alice")])
async def test_a_name_that_nobody_has_is_not_written_down_when_it_has_to_wait_either(build: Build, typed: str, noted: str | None) -> None:
    house = await build(throttle={"account_address": 1})
    body = json.dumps({"username": typed, "password": "wrong", "otp": "123456"}).encode()
    assert [(await house.ask("POST", "/auth/login", body=body)).status for _ in range(2)] == [401, 429]
    assert [line.get("user") for line in await house.audit("refusal")] == [noted, noted]
    assert "hunter2" not in house.log


async def test_a_read_leaves_no_line(house: House) -> None:
    await house.ask("GET", PING, fakes.bearer(await house.token()))
    assert await house.audit() == []


async def test_a_sign_in_that_cannot_be_written_down_gets_no_token(build: Build) -> None:
    house = await build(audit={"file": "/dev/full"})
    answer = await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    assert (answer.status, answer.reason) == (503, "audit_unavailable")


async def test_a_submission_that_was_carried_is_answered_though_the_trail_is_full_and_the_log_tells(build: Build) -> None:
    house = await build(audit={"file": "/dev/full"})
    house.slurm.behaviour = fakes.replies(SUBMITTED)
    answer = await submit(house)
    assert (answer.status, answer.json["job_id"], "audit_lost" in house.log) == (200, 4711, True)


HOSTILE = "/slurm/v0.0.38/\xff\x1b[31m%0a{}\"',\\"


@pytest.mark.parametrize("where", ["path", "name", "agent", "method", "id"])
async def test_what_a_client_sends_cannot_break_a_line_of_the_trail_or_the_log(house: House, where: str) -> None:
    target = HOSTILE if where == "path" else PING
    fields = {
        "name": [("X-SLURM-USER-NAME", 'x"}{\xff\x7f'), *fakes.bearer(await house.token())],
        "agent": [("User-Agent", 'x"}\xff')],
        "id": [("X-Request-ID", 'x"}\xff')],
    }.get(where, [])
    await house.raw(fakes.encode("PROPFIND" if where == "method" else "GET", target, fields))
    for line in (*(await house.audit()), *map(json.loads, house.log.splitlines())):
        assert isinstance(line, dict)
    assert house.log.isascii()


async def test_no_secret_is_in_the_trail_the_log_or_the_metrics(house: House) -> None:
    """After every way in and out, right and wrong."""
    house.slurm.behaviour = fakes.replies(SUBMITTED)
    code, token = await house.code(), await house.token()
    wrong = "another password that somebody mistyped"
    for fields in (
        fakes.basic("alice", otp=code),
        fakes.basic("alice", otp=code),
        fakes.basic("alice", wrong, await house.code()),
        fakes.bearer(token),
        fakes.bearer(token + "x"),
        [("X-SLURM-USER-TOKEN", token), ("X-SLURM-USER-NAME", "bob")],
        [("Authorization", f"Bearer {token}\0")],
        [("Authorization ", f"Bearer {token}")],
    ):
        await house.raw(fakes.encode("POST", SUBMIT, fields, b'{"script":"secret script"}'))
        await house.raw(fakes.encode("GET", f"/auth/session?token={token}", fields))
    house.slurm.behaviour = fakes.replies(b"garbage")
    await submit(house)
    body = json.dumps({"username": "alice", "password": wrong, "otp": "987654"}).encode()
    await house.ask("POST", "/auth/login", body=body)
    await house.ask("POST", "/auth/login", body=body[:-1])
    metrics = (await house.admin("/metrics")).body.decode()
    everything = json.dumps(await house.audit()) + house.log + metrics
    minted = {seen.field("x-slurm-user-token") for seen in house.slurm.seen}
    assert len(minted) >= 1
    for secret in (*house.said, *minted, fakes.PASSWORD, wrong, "secret script", "987654", fakes.JWT_KEY.decode().strip(), "Basic ", "eyJ"):
        assert str(secret) not in everything, secret


async def test_the_trail_is_sound_and_its_head_is_kept_in_the_store(house: House) -> None:
    await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    await house.application._heads.keep()
    path = house.config.audit.file
    assert path is not None
    first, *_, last = (await asyncio.to_thread(path.read_bytes)).splitlines(keepends=True)
    database = await asyncio.to_thread(open_database, house.config.store)
    (head,) = await AuditHeadStore(database).all()
    await database.close()
    assert (head.seq, head.line_sha256, json.loads(last)["event"]) == (3, hashlib.sha256(last).digest(), "chain_head")
    assert json.loads(first)["trail"] == head.trail


# The log.


async def test_a_change_a_refusal_and_a_sign_in_are_in_the_log_and_reads_are_not(house: House) -> None:
    await house.ask("GET", PING, fakes.bearer(await house.token()))
    await submit(house)
    await house.ask("GET", PING)
    await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    requests = [line for line in map(json.loads, house.log.splitlines()) if line["event"] == "request"]
    assert [(line["path"], line["status"]) for line in requests] == [(SUBMIT, 200), (PING, 401), ("/auth/login", 200)]


async def test_reads_are_in_the_log_on_request(build: Build) -> None:
    house = await build(log={"reads": True})
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    (line,) = [line for line in map(json.loads, house.log.splitlines()) if line["event"] == "request"]
    assert (line["request_id"], line["user"], line["status"]) == (answer.field("x-request-id"), "alice", 200)


async def test_a_defect_is_a_500_without_a_word_of_it_and_a_trace_in_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("the text of a defect")

    monkeypatch.setattr("gateway.sessions.sessions.Sessions.resolve", fails)
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    assert (answer.status, answer.reason) == (500, "internal_error")
    assert b"defect" not in answer.body
    (line,) = [line for line in map(json.loads, house.log.splitlines()) if line["event"] == "request_failed"]
    assert (line["exception"], line["request_id"]) == ("ZeroDivisionError", answer.field("x-request-id"))
    assert "the text of a defect" not in house.log


# The metrics.


def sample(metrics: bytes, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", metrics.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_requests_refusals_and_sign_ins_are_counted(house: House) -> None:
    await house.ask("GET", PING, fakes.bearer(await house.token()))
    await house.ask("GET", PING)
    await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    metrics = (await house.admin("/metrics")).body
    counted = {
        'slurm_gateway_requests_total{kind="slurm",method="GET",status="200"}': 1,
        'slurm_gateway_requests_total{kind="slurm",method="GET",status="401"}': 1,
        'slurm_gateway_refusals_total{reason="credentials_required"}': 1,
        'slurm_gateway_sign_ins_total{factor="totp"}': 1,
        "slurm_gateway_requests_under_way": 0,
    }
    assert {name: sample(metrics, name) for name in counted} == counted


async def test_connections_in_use_and_waiting_requests_are_told(build: Build) -> None:
    house = await build(clusters__main={"pool": 1})
    house.slurm.behaviour = fakes.hangs()
    token = await house.token()
    asked = [asyncio.create_task(house.ask("GET", PING, fakes.bearer(token))) for _ in range(3)]
    names = {
        'slurm_gateway_upstream_connections{cluster="main"}': 1,
        'slurm_gateway_upstream_waiting{cluster="main"}': 2,
        "slurm_gateway_requests_under_way": 3,
    }
    told: dict[str, float] = {}
    async with asyncio.timeout(5):
        while told != names:
            metrics = (await house.admin("/metrics")).body
            told = {name: sample(metrics, name) for name in names}
    await house.slurm.stop()
    await asyncio.gather(*asked)


@pytest.mark.parametrize("method", ["PROPFIND", "X" * 200])
async def test_no_label_holds_what_a_client_chose(house: House, method: str) -> None:
    await house.ask(method, "/of-their/own-choice", [("X-Request-ID", "i" * 32)])
    metrics = (await house.admin("/metrics")).body.decode()
    assert not any(word in metrics for word in (method, "own-choice", "i" * 32))


async def test_a_change_of_a_job_is_written_down_with_its_id(house: House) -> None:
    await house.ask("DELETE", "/slurm/v0.0.38/job/4711", fakes.bearer(await house.token()))
    assert [line["job_id"] for line in await house.audit("request")] == [4711]


@pytest.mark.parametrize("target", ["/slurm/v0.0.38/job/{}", "/auth/session/{}", "/slurm/v0.0.38/jobs?token={}", "//slurm/{}"])
async def test_a_token_in_the_address_is_refused_and_kept_nowhere(house: House, target: str) -> None:
    token = await house.token()
    answer = await house.ask("GET", target.format(token), fakes.bearer(token))
    assert (answer.status, answer.reason, house.slurm.seen) == (400, "bad_request", [])
    assert token not in house.log + str(await house.audit())


async def test_while_the_trail_cannot_be_written_nothing_is_changed_and_readiness_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = ("POST", "/slurm/v0.0.38/job/submit", fakes.bearer(await house.token()), b"{}")
    real, full = os.write, True

    def write(descriptor: int, data: bytes) -> int:
        if full and b"time" in data:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("os.write", write)
    assert (await house.ask(*submit)).status == 200  # nobody could know before
    refused = await house.ask(*submit)
    ready = await house.admin("/health/ready")
    full = False
    submissions = [seen for seen in house.slurm.seen if seen.line.startswith("POST")]
    assert (refused.status, refused.reason, ready.status, len(submissions)) == (503, "audit_unavailable", 503, 1)
    assert (await house.ask(*submit)).status == 200


async def test_a_session_ends_even_when_that_cannot_be_written_down(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = fakes.bearer(await house.token())

    def write(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", write)
    assert (await house.ask("DELETE", "/auth/session", fields)).status == 204
    assert "audit_lost" in house.log


async def test_a_path_that_is_refused_on_slurms_side_is_told_in_the_form_of_slurm(house: House) -> None:
    answer = await house.ask("GET", "/slurm/v0.0.38/../ping", fakes.bearer(await house.token()))
    assert (answer.status, bool(answer.json["errors"])) == (400, True)

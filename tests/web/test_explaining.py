"""Slurm's errors as people and programs get them: the true status, a word on what to do, and never the gateway's fault as theirs."""

from __future__ import annotations

import json

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

JOBS = "/slurm/v0.0.38/jobs"
JOB = "/slurm/v0.0.38/job/7"
SUBMIT = "/slurm/v0.0.42/job/submit"
NO_SUCH_CALL = fakes.http(
    404, b"Unable find requested URL. Please view /openapi/v3 for API reference.", "Connection: Close", content_type="text/plain"
)
NOT_PARSED = fakes.http(400, b"Unable to parse query.", "Connection: Close", content_type="text/plain")
BAD_PARTITION = b'{"meta": {}, "errors": [{"error_number": 2000, "error": "Invalid partition name specified", "source": "slurm_submit_batch_job()"}]}'
REFUSED_BY_SLURMDBD = b'{"meta": {}, "errors": [{"error_number": 1007, "error": "Protocol authentication error"}], "users": []}'
SLURMDBD_DOWN = b'{"meta": {}, "errors": [{"error_number": 7000, "error": "Unable to connect to database"}], "users": []}'
FIELDS = [("Content-Type", "application/json")]


def says(*replies: bytes) -> fakes.Behaviour:
    return fakes.replies(*replies, close=True)


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
async def either(request: pytest.FixtureRequest, build: Build) -> House:
    return await build(reads={"enabled": request.param, "max_age": "60s"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_plain_text_becomes_a_problem_document(either: House, method: str) -> None:
    either.slurm.behaviour = says(NO_SUCH_CALL)
    answer = await either.ask(method, "/slurm/v0.0.38/nodes", fakes.bearer(await either.token()))
    assert (answer.status, answer.field("content-type")) == (404, "application/problem+json")
    if method == "GET":
        assert answer.json["reason"] == "slurm_refused"
        assert answer.json["request_id"] == answer.field("x-request-id")
        assert answer.field("content-length") == str(len(answer.body))
        errors = answer.json["errors"]
        assert isinstance(errors, list)
        assert (errors[0]["source"], "Unable find requested URL" in errors[0]["description"]) == ("slurmrestd", True)


async def test_an_error_in_json_keeps_all_that_slurm_said_and_gains_a_hint(either: House) -> None:
    body = b'{"meta": {}, "errors": [{"error_number": 2017, "error": "Invalid job id specified", "source": "s"}], "jobs": []}'
    either.slurm.behaviour = says(fakes.http(500, body))
    answer = await either.ask("GET", JOB, fakes.bearer(await either.token()))
    assert (answer.status, answer.field("content-type"), answer.field("content-length")) == (404, "application/json", str(len(answer.body)))
    assert {name: value for name, value in answer.json.items() if name != "hint"} == json.loads(body)
    assert "GET /slurm/v0.0.38/jobs" in str(answer.json["hint"])


@pytest.mark.parametrize(("reply", "status"), [(NOT_PARSED, 400), (fakes.http(500, BAD_PARTITION), 400)])
async def test_a_change_that_slurm_refused_stands_in_the_trail_with_the_status_that_was_told(house: House, reply: bytes, status: int) -> None:
    house.slurm.behaviour = says(reply)
    answer = await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *FIELDS], b'{"job": {}}')
    assert (answer.status, "hint" in answer.json) == (status, True)
    assert [(line["event"], line["status"]) for line in await house.audit()] == [("request", status)]


async def test_a_job_that_was_made_all_the_same_is_told_and_written_down(house: House) -> None:
    house.slurm.behaviour = says(fakes.http(500, b'{"job_id": 11, "errors": [{"error_number": 9202, "description": "field"}]}'))
    answer = await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *FIELDS], b'{"job": {}}')
    assert (answer.status, "it is job 11" in str(answer.json["hint"])) == (500, True)
    assert [line["job_id"] for line in await house.audit()] == [11]


async def test_why_a_body_was_not_repaired_is_told_where_it_was_refused(house: House) -> None:
    house.slurm.behaviour = says(fakes.http(500, BAD_PARTITION))
    body = b'{"job": {"script": "a"}, "script": "b"}'
    answer = await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *FIELDS], body)
    assert "The gateway sent the body as it came, for it has two scripts." in str(answer.json["hint"])


async def test_with_a_key_an_error_is_explained_each_time(house: House) -> None:
    house.slurm.behaviour = says(fakes.http(500, BAD_PARTITION))
    known = [*fakes.bearer(await house.token()), *FIELDS, ("Idempotency-Key", "k" * 20)]
    first, second = [await house.ask("POST", SUBMIT, known, b'{"job": {}, "script": "#!/bin/sh"}') for _ in range(2)]
    assert (first.status, "hint" in first.json, second.field("idempotency-replayed")) == (400, True, "true")
    assert (second.status, second.body) == (first.status, first.body)


async def test_slurmdbds_refusal_of_the_token_is_the_gateways_fault_and_is_not_kept(either: House) -> None:
    known = fakes.bearer(await either.token())
    either.slurm.script = [fakes.replies(fakes.http(200, REFUSED_BY_SLURMDBD))]
    answers = [await either.ask("GET", "/slurmdb/v0.0.38/users", known) for _ in range(2)]
    assert [answer.status for answer in answers] == [502, 200]
    assert answers[0].reason == "slurm_refused_gateway"


async def test_a_database_that_is_down_is_no_empty_list(either: House) -> None:
    known = fakes.bearer(await either.token())
    either.slurm.script = [fakes.replies(fakes.http(200, SLURMDBD_DOWN))]
    answers = [await either.ask("GET", "/slurmdb/v0.0.38/users", known) for _ in range(2)]
    assert [answer.status for answer in answers] == [502, 200]
    assert "slurmdbd" in str(answers[0].json["hint"])


async def test_a_controller_that_is_down_is_told_by_ping_whether_kept_or_not(either: House) -> None:
    body = b'{"pings": [{"hostname": "a", "pinged": "DOWN"}], "errors": [], "meta": {}}'
    either.slurm.behaviour = fakes.replies(fakes.http(200, body))
    answers = [await either.ask("GET", "/slurm/v0.0.42/ping", fakes.bearer(await either.token())) for _ in range(2)]
    assert all(answer.status == 200 and "diag" in str(answer.json["hint"]) and answer.body.endswith(body[1:]) for answer in answers)


async def test_a_ping_that_hides_a_refused_token_does_not_say_that_slurm_is_down(either: House) -> None:
    known = fakes.bearer(await either.token())
    down = fakes.replies(fakes.http(200, b'{"pings": [{"hostname": "a", "pinged": "DOWN"}], "errors": []}'))
    either.slurm.script = [down, fakes.replies(fakes.http(511, b"{}"), close=True)]
    answer = await either.ask("GET", "/slurm/v0.0.42/ping", known)
    assert (answer.status, answer.reason) == (502, "slurm_refused_gateway")
    assert [seen.line for seen in either.slurm.seen] == ["GET /slurm/v0.0.42/ping HTTP/1.1", "GET /slurm/v0.0.42/diag HTTP/1.1"]


TELLTALES = [("/slurm/v0.0.38/node/n1", "/slurm/v0.0.36/ping"), ("/slurm/v0.0.42/node/n1", "/slurm/v0.0.42/diag")]


@pytest.mark.parametrize(("path", "telltale"), TELLTALES)
@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        (fakes.http(200, fakes.OK), 404, None),
        (fakes.http(500, b'{"errors": [{"error_number": 1800, "error": "Unable to contact slurm controller (connect failure)"}]}'), 500, None),
        (fakes.http(511, b"{}"), 502, "slurm_refused_gateway"),
    ],
    ids=["no node", "no slurmctld", "no belief"],
)
async def test_an_answer_that_says_the_same_of_everything_is_asked_about(
    either: House, path: str, telltale: str, told: bytes, status: int, reason: str | None
) -> None:
    either.slurm.script = [says(fakes.http(500, b'{"errors": [{"error": "x", "errno": 2018}], "nodes": []}')), says(told)]
    answer = await either.ask("GET", path, fakes.bearer(await either.token()))
    assert (answer.status, answer.json.get("reason")) == (status, reason)
    assert either.slurm.seen[1].line == f"GET {telltale} HTTP/1.1"
    assert ("slurmctld behind it does not" in str(answer.json["hint"])) == (status == 500)


MALFORMED = {
    "a bare line": b"HTTP/1.1 411 LENGTH REQUIRED\r\n",
    "a second line in the head": b"HTTP/1.1 411 LENGTH REQUIRED\r\nConnection: Close\r\nHTTP/1.1 400 BAD REQUEST\r\n\r\n",
    "no HTTP": b"slurmrestd: error\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_http_is_no_riddle(either: House, case: str) -> None:
    either.slurm.behaviour = says(MALFORMED[case])
    answer = await either.ask("GET", JOBS, fakes.bearer(await either.token()))
    assert (answer.status, answer.reason, bool(answer.json["hint"])) == (502, "upstream_broken", True)


ACCEPTED: list[tuple[str, str]] = [
    ("application/json", "application/json"),
    ("*/*", "application/json"),
    ("text/html", "application/json"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "application/json"),
    ("application/yaml", "application/yaml"),
]


@pytest.mark.parametrize(("accept", "sent"), ACCEPTED)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_browser_is_shown_json_and_not_slurmrestds_415(house: House, method: str, accept: str, sent: str) -> None:
    target, body = (SUBMIT, b"{}") if method == "POST" else (JOBS, None)
    answer = await house.ask(method, target, [*fakes.bearer(await house.token()), *FIELDS, ("Accept", accept)], body)
    assert (answer.status, house.slurm.seen[0].field("accept")) == (200, sent)


async def test_browsers_and_programs_share_what_is_the_same_to_both(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_age": "60s"})
    known = fakes.bearer(await house.token())
    answers = [await house.ask("GET", JOBS, [*known, ("Accept", accept)]) for accept in ("application/json", "text/html", "*/*", "application/yaml")]
    assert [answer.field("x-cache") for answer in answers] == ["miss", "hit", "hit", "miss"]


@pytest.mark.parametrize(("method", "target"), [("GET", "/slurm/v0.0.38/diag"), ("HEAD", JOB), ("POST", SUBMIT)])
async def test_a_form_that_nobody_makes_is_406_and_nothing_is_sent(either: House, method: str, target: str) -> None:
    body = b"{}" if method == "POST" else None
    answer = await either.ask(method, target, [*fakes.bearer(await either.token()), *FIELDS, ("Accept", "image/png")], body)
    assert (answer.status, either.slurm.seen) == (406, [])


async def test_a_list_comes_as_csv_all_the_same(build: Build) -> None:
    house = await build(reads={"enabled": True})
    house.slurm.behaviour = fakes.replies(fakes.http(200, b'{"jobs": [{"job_id": 1, "name": "a"}], "errors": []}'))
    answer = await house.ask("GET", JOBS, [*fakes.bearer(await house.token()), ("Accept", "text/csv")])
    assert (answer.status, str(answer.field("content-type")).partition(";")[0]) == (200, "text/csv")

"""Job files that were written for another version of the API, and how their senders hear of it."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.slurm.repair.body import Mended
from tests.web import fakes
from tests.web.conftest import Build, House

OLD_JOB = {"job": {"name": "a", "environment": {"PATH": "/bin"}, "ntasks": 2}, "script": "#!/bin/sh\ntrue\n"}
NEW_JOB = {"job": {"name": "a", "environment": ["PATH=/bin"], "script": "#!/bin/sh\ntrue\n"}}
SEEDS_JOB = {"jobs": {"name": "a"}, "script": "#!/bin/sh\ntrue\n"}
CASES: list[tuple[str, object, object, str]] = [
    (
        "v0.0.42",
        OLD_JOB,
        {"job": {"name": "a", "environment": ["PATH=/bin"], "tasks": 2}, "script": "#!/bin/sh\ntrue\n"},
        "environment, tasks",
    ),
    ("v0.0.38", NEW_JOB, {"job": {"name": "a", "environment": {"PATH": "/bin"}}, "script": "#!/bin/sh\ntrue\n"}, "script, environment"),
    (
        "v0.0.36",
        SEEDS_JOB,
        {"job": {"name": "a", "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin"}}, "script": "#!/bin/sh\ntrue\n"},
        "job, environment-default",
    ),
]
JSON = ("Content-Type", "application/json")


async def submit(house: House, version: str, body: bytes, *more: tuple[str, str]) -> fakes.Answer:
    return await house.ask("POST", f"/slurm/{version}/job/submit", [*fakes.bearer(await house.token()), *(more or [JSON])], body)


@pytest.mark.parametrize(("version", "job", "sent", "repairs"), CASES, ids=["old to new", "new to old", "the seed's"])
async def test_a_job_file_is_sent_in_the_form_of_its_version(house: House, version: str, job: object, sent: object, repairs: str) -> None:
    answer = await submit(house, version, json.dumps(job).encode())
    seen = house.slurm.seen[0]
    assert (json.loads(seen.body), seen.field("content-length")) == (sent, str(len(seen.body)))
    assert (answer.status, answer.field("x-gateway-repaired")) == (200, repairs)


async def test_a_job_file_that_is_right_is_sent_byte_for_byte(house: House) -> None:
    body = b'{ "job" : {"environment": {"PATH": "/bin"}, "unknown": 1e400}, "script": "#!/bin/sh" }'
    answer = await submit(house, "v0.0.38", body)
    assert (house.slurm.seen[0].body, answer.field("x-gateway-repaired")) == (body, None)


async def test_a_repair_is_named_on_a_refusal_of_slurms_too(house: House) -> None:
    house.slurm.behaviour = fakes.replies(fakes.http(500, b'{"errors": [{"error_number": 2000}]}'), close=True)
    answer = await submit(house, "v0.0.42", json.dumps(OLD_JOB).encode())
    assert (answer.status >= 400, answer.field("x-gateway-repaired")) == (True, "environment, tasks")


async def test_a_repair_is_named_where_the_answer_was_lost(house: House) -> None:
    house.slurm.behaviour = fakes.replies(close=True)
    answer = await submit(house, "v0.0.42", json.dumps(OLD_JOB).encode())
    assert (answer.status, answer.field("x-gateway-repaired")) == (502, "environment, tasks")


@pytest.mark.parametrize("padding", [0, 50_000, 3_000_000])
@pytest.mark.parametrize("way", ["length", "chunks", "gzip"])
async def test_however_a_job_file_comes_it_is_repaired(house: House, way: str, padding: int) -> None:
    body = json.dumps(OLD_JOB | {"script": "#!/bin/sh\n" + "#" * padding}).encode()
    known = [*fakes.bearer(await house.token()), ("Content-Type", "text/plain")]
    target = "/slurm/v0.0.42/job/submit"
    data = {
        "length": fakes.encode("POST", target, known, body),
        "chunks": fakes.encode("POST", target, [*known, ("Transfer-Encoding", "chunked")]) + fakes.chunked(body),
        "gzip": fakes.encode("POST", target, [*known, ("Content-Encoding", "gzip")], gzip.compress(body)),
    }[way]
    answer = await house.raw(data)
    seen = house.slurm.seen[0]
    assert (answer.status, answer.field("x-gateway-repaired")) == (200, "content-type, environment, tasks")
    assert (seen.field("content-type"), json.loads(seen.body)["job"]["tasks"]) == ("application/json", 2)


async def test_a_job_file_that_is_too_large_to_read_is_sent_as_it_came(house: House) -> None:
    body = json.dumps(OLD_JOB | {"script": "#!/bin/sh\n" + "#" * 5_000_000}).encode()
    answer = await submit(house, "v0.0.42", body)
    assert (house.slurm.seen[0].body == body, answer.field("x-gateway-repaired")) == (True, None)


async def test_where_repair_is_switched_off_every_byte_goes_on_as_it_came(build: Build) -> None:
    house = await build(slurm={"repair": False})
    body = json.dumps(OLD_JOB).encode()
    answer = await submit(house, "v0.0.42", body, ("Content-Type", "text/plain"))
    seen = house.slurm.seen[0]
    assert (seen.body, seen.field("content-type"), answer.field("x-gateway-repaired")) == (body, "text/plain", None)


async def test_what_can_be_read_in_two_ways_goes_on_as_it_came(house: House) -> None:
    body = b'{"job": {"script": "a", "environment": {"PATH": "/bin"}}, "script": "b"}'
    answer = await submit(house, "v0.0.42", body)
    assert (house.slurm.seen[0].body, answer.field("x-gateway-repaired")) == (body, None)


async def test_the_names_of_repairs_are_ours_and_not_the_senders(house: House) -> None:
    job = {"x\r\nSet-Cookie: a=b": 1, "environment": {"A\r\nX: y": "z\r\nX: y"}, "ntasks": 1}
    answer = await submit(house, "v0.0.42", json.dumps({"job": job, "script": "#!/bin/sh"}).encode())
    assert (answer.field("x-gateway-repaired"), answer.field("set-cookie"), answer.field("x")) == ("environment, tasks", None, None)


async def test_with_a_key_it_is_the_repaired_job_that_is_sent_once(house: House) -> None:
    house.slurm.behaviour = fakes.replies(fakes.http(200, b'{"job_id": 7, "errors": []}'))
    first, second = [await submit(house, "v0.0.42", json.dumps(OLD_JOB).encode(), JSON, ("Idempotency-Key", "k" * 20)) for _ in range(2)]
    assert [answer.field("x-gateway-repaired") for answer in (first, second)] == ["environment, tasks"] * 2
    assert (second.field("idempotency-replayed"), len(house.slurm.seen), first.body) == ("true", 1, second.body)
    assert json.loads(house.slurm.seen[0].body)["job"]["environment"] == ["PATH=/bin"]


async def test_a_key_knows_its_request_by_what_was_sent_and_not_by_what_the_repair_made_of_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.slurm.behaviour = fakes.replies(fakes.http(200, b'{"job_id": 7, "errors": []}'))
    key = ("Idempotency-Key", "k" * 20)
    await submit(house, "v0.0.42", json.dumps(OLD_JOB).encode(), JSON, key)
    # The same job to slurmrestd, but another request.
    assert (await submit(house, "v0.0.42", json.dumps(OLD_JOB, indent=1).encode(), JSON, key)).status == 422
    # As after an upgrade of the gateway, or with another configuration.
    monkeypatch.setattr("gateway.web.mending.repair_body", lambda _content, content_type, _version: Mended(content_type=content_type))
    again = await submit(house, "v0.0.42", json.dumps(OLD_JOB).encode(), JSON, key)
    assert (again.status, again.field("idempotency-replayed"), again.field("x-gateway-repaired")) == (200, "true", None)


@pytest.mark.parametrize("padding", [0, 40_000])
async def test_a_field_that_would_end_slurmrestd_for_everybody_is_refused_with_another_way(house: House, padding: int) -> None:
    body = json.dumps({"job": {"name": "a", "argv": ["one"], "comment": "x" * padding}, "script": "#!/bin/sh"}).encode()
    answer = await submit(house, "v0.0.38", body)
    assert (answer.status, answer.reason, house.slurm.seen) == (400, "bad_request", [])
    assert "'argv'" in str(answer.json["detail"])
    assert "set -- first second" in str(answer.json["hint"])

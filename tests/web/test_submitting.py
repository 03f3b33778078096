"""Submissions with an idempotency key, through the whole gateway in front of a slurmrestd that loses answers."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

SUBMIT = "/slurm/v0.0.38/job/submit"
JOB = b'{"job": {"name": "a", "environment": {"PATH": "/bin"}}, "script": "#!/bin/sh"}'
KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


@dataclass(slots=True)
class Cluster:
    """What is behind slurmrestd: it makes a job of each submission, and shows its jobs; ``answering`` False loses the answer."""

    house: House
    answering: bool = True
    jobs: list[dict[str, Any]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.house.slurm.behaviour = self

    async def __call__(self, request: fakes.Request) -> bool:
        await request.read_body()
        if request.line.startswith("GET"):
            await request.say(fakes.http(200, json.dumps({"errors": [], "meta": {"m": 1}, "jobs": self.jobs}).encode()))
            return True
        job_id = len(self.jobs) + 1
        asked = json.loads(request.body)["job"]
        self.jobs.append({"job_id": job_id, "user_id": 2001, "submit_time": int(time.time()), "comment": "", **asked})
        await self.gate.wait()
        if self.answering:
            await request.say(fakes.http(200, json.dumps({"errors": [], "job_id": job_id}).encode()))
        return self.answering


async def submit(house: House, key: str = KEY, body: bytes = JOB, user: str = "alice", path: str = SUBMIT) -> fakes.Answer:
    fields = [*fakes.bearer(await house.token(user)), ("Content-Type", "application/json"), ("Idempotency-Key", f'"{key}"')]
    return await house.ask("POST", path, fields, body)


async def test_the_same_again_is_answered_again(house: House) -> None:
    cluster = Cluster(house)
    first, again = await submit(house), await submit(house)
    assert (first.status, first.field("idempotency-replayed"), first.json["job_id"]) == (200, None, 1)
    assert (again.status, again.field("idempotency-replayed"), again.body) == (200, "true", first.body)
    assert again.field("content-type") == "application/json"
    assert len(cluster.jobs) == 1


async def test_the_trail_names_the_job_of_both(house: House) -> None:
    Cluster(house)
    await submit(house)
    await submit(house)
    assert [line["job_id"] for line in await house.audit("request")] == [1, 1]


@pytest.mark.parametrize(
    ("body", "path"), [(b'{"job": {"name": "b"}}', SUBMIT), (JOB, "/slurm/v0.0.37/job/submit")], ids=["another body", "another version"]
)
async def test_something_else_under_the_same_key_is_refused(house: House, body: bytes, path: str) -> None:
    cluster = Cluster(house)
    await submit(house)
    answer = await submit(house, body=body, path=path)
    assert (answer.status, answer.reason, len(cluster.jobs)) == (422, "idempotency_key_reused", 1)


async def test_two_people_with_the_same_key_are_strangers(house: House) -> None:
    cluster = Cluster(house)
    assert [(await submit(house, user=user)).json["job_id"] for user in ("alice", "bob")] == [1, 2]
    assert len(cluster.jobs) == 2


async def test_one_path_spelt_in_two_ways_is_one(house: House) -> None:
    cluster = Cluster(house)
    await submit(house)
    assert (await submit(house, path="/clusters/main//slurm/v0.0.38/job/%73ubmit")).field("idempotency-replayed") == "true"
    assert len(cluster.jobs) == 1


async def test_while_the_first_is_under_way_others_are_told_so(house: House) -> None:
    cluster = Cluster(house)
    cluster.gate.clear()
    first = asyncio.create_task(submit(house))
    await fakes.until(lambda: cluster.jobs)
    second = await submit(house)
    assert (second.status, second.reason, second.field("retry-after")) == (409, "idempotency_under_way", "2")
    cluster.gate.set()
    assert (await first).json["job_id"] == 1


async def test_a_sender_that_goes_away_finds_its_answer(house: House) -> None:
    cluster = Cluster(house)
    cluster.gate.clear()
    first = asyncio.create_task(submit(house))
    await fakes.until(lambda: cluster.jobs)
    first.cancel()
    cluster.gate.set()
    async with asyncio.timeout(fakes.LIMIT):
        while (again := await submit(house)).status == 409:
            pass
    assert (again.json["job_id"], again.field("idempotency-replayed"), len(cluster.jobs)) == (1, "true", 1)


@pytest.mark.parametrize("body", [JOB, b'{"job": {"name": "a", "comment": "mine"}}'], ids=["by its mark", "by its name"])
async def test_a_lost_answer_is_made_up_for_from_the_list_of_jobs(house: House, body: bytes) -> None:
    cluster = Cluster(house, answering=False)
    first = await submit(house, body=body)
    assert (first.status, first.field("idempotency-replayed")) == (200, None)
    assert first.json == {"job_id": 1, "step_id": "BATCH", "job_submit_user_msg": "", "meta": {"m": 1}, "errors": []}
    assert (await submit(house, body=body)).body == first.body
    assert len(cluster.jobs) == 1


async def test_a_lost_answer_whose_job_cannot_be_seen_blocks_the_key(house: House) -> None:
    house.slurm.behaviour = fakes.hangs_up()
    first = await submit(house)
    assert (first.status, first.reason) == (502, "upstream_broken")
    for part in ("not known", "idempotency:", '"a"'):
        assert part in str(first.json["detail"])
    cluster = Cluster(house)
    second = await submit(house)
    assert (second.status, second.reason, len(cluster.jobs)) == (409, "submission_unknown", 0)
    assert 80 <= int(second.field("retry-after") or 0) <= 90
    assert "GET /slurm/v0.0.38/jobs" in str(second.json["hint"])


async def test_when_no_token_is_good_any_more_it_is_sent_anew(build: Build) -> None:
    house = await build(submissions={"settle": "1ms"}, slurm={"token_lifetime": "10s"})
    house.slurm.behaviour = fakes.hangs_up()
    await submit(house)
    cluster = Cluster(house)
    async with asyncio.timeout(2 * fakes.LIMIT):
        while (answer := await submit(house)).status == 409:  # noqa: ASYNC110 - it is the clock that is waited for
            await asyncio.sleep(0.2)
    assert (answer.json["job_id"], answer.field("idempotency-replayed"), len(cluster.jobs)) == (1, None, 1)
    assert (await submit(house)).field("idempotency-replayed") == "true"


async def test_a_slurmrestd_that_is_down_leaves_the_key_free(house: House) -> None:
    await house.slurm.stop()
    assert (await submit(house)).reason == "upstream_unreachable"
    await house.slurm.start()
    cluster = Cluster(house)
    assert (await submit(house)).field("idempotency-replayed") is None
    assert len(cluster.jobs) == 1


async def test_without_a_key_nothing_is_changed(house: House) -> None:
    cluster = Cluster(house)
    for _ in range(2):
        await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), ("Content-Type", "application/json")], JOB)
    assert [request.body for request in house.slurm.seen] == [JOB, JOB]
    assert len(cluster.jobs) == 2


@pytest.mark.parametrize("fields", [[("Idempotency-Key", "a"), ("Idempotency-Key", "a")], [("Idempotency-Key", "a b")], [("Idempotency-Key", "")]])
async def test_a_key_that_is_none_is_refused(house: House, fields: list[tuple[str, str]]) -> None:
    answer = await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *fields], JOB)
    assert (answer.status, answer.reason, house.slurm.seen) == (400, "bad_request", [])


async def test_the_key_stands_in_no_log(house: House) -> None:
    Cluster(house)
    await submit(house)
    await submit(house, body=b"{}")
    assert KEY not in house.log
    assert KEY not in json.dumps(await house.audit())

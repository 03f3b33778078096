"""Shared reads through the whole application: what slurmrestd is asked, and what clients are told."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time

import pytest
from backports import zstd

from tests.web import fakes
from tests.web.conftest import Build, House

JOBS = "/slurm/v0.0.38/jobs"
LARGE = json.dumps({"jobs": [{"job_id": number, "name": "a job like any other"} for number in range(5000)]}).encode()


@pytest.fixture
async def sharing(build: Build) -> House:
    return await build(reads={"enabled": True, "max_age": "60s"}, clusters__main={"shared": ["/slurm/*/nodes"]})


def counting(content: bytes = fakes.OK) -> fakes.Behaviour:
    return fakes.replies(fakes.http(200, content))


async def lines(house: House, count: int) -> list[str]:
    await fakes.until(lambda: len(house.slurm.seen) >= count)
    return [seen.line.removesuffix(" HTTP/1.1") for seen in house.slurm.seen]


async def test_fifty_who_ask_at_once_cost_slurmrestd_one_call(sharing: House) -> None:
    token = await sharing.token()
    gate = fakes.Gate()
    sharing.slurm.behaviour = gate
    asked = [asyncio.create_task(sharing.ask("GET", JOBS, fakes.bearer(token))) for _ in range(50)]
    await fakes.until(lambda: sharing.application.front._under_way == 50)
    gate.open.set()
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.field("x-cache") or "" for answer in answers) == ["joined"] * 49 + ["miss"]
    assert len(sharing.slurm.seen) == 1


async def test_what_is_kept_is_given_again_with_its_age(sharing: House) -> None:
    token = await sharing.token()
    first, second = [await sharing.ask("GET", JOBS, fakes.bearer(token)) for _ in range(2)]
    assert [answer.field("x-cache") for answer in (first, second)] == ["miss", "hit"]
    assert (second.body, second.field("age"), second.field("etag")) == (first.body, "0", first.field("etag"))
    assert len(sharing.slurm.seen) == 1


async def test_one_user_never_gets_what_another_asked_for(sharing: House) -> None:
    alice, bob = await sharing.token("alice"), await sharing.token("bob")
    sharing.slurm.script = [counting(b'{"jobs":["hers"]}'), counting(b'{"jobs":["his"]}')]
    bodies = [(await sharing.ask("GET", JOBS, fakes.bearer(token))).body for token in (alice, bob, alice, bob)]
    assert bodies == [b'{"jobs":["hers"]}', b'{"jobs":["his"]}'] * 2
    assert [seen.field("x-slurm-user-name") for seen in sharing.slurm.seen] == ["alice", "bob"]


async def test_what_the_site_declares_alike_is_asked_once_for_all(sharing: House) -> None:
    for name in ("alice", "bob"):
        assert (await sharing.ask("GET", "/slurm/v0.0.38/nodes", fakes.bearer(await sharing.token(name)))).status == 200
    assert len(sharing.slurm.seen) == 1


async def test_ones_own_change_is_seen_by_the_next_read(sharing: House) -> None:
    token = await sharing.token()
    await sharing.ask("GET", JOBS, fakes.bearer(token))
    await sharing.ask("DELETE", "/slurm/v0.0.38/job/7", fakes.bearer(token))
    answer = await sharing.ask("GET", JOBS, fakes.bearer(token))
    assert answer.field("x-cache") != "hit"
    assert [line.split()[0] for line in await lines(sharing, 3)] == ["GET", "DELETE", "GET"]


async def test_a_change_that_failed_counts_as_one(sharing: House) -> None:
    token = await sharing.token()
    await sharing.ask("GET", JOBS, fakes.bearer(token))
    sharing.slurm.script = [fakes.hangs_up()]
    assert (await sharing.ask("DELETE", "/slurm/v0.0.38/job/7", fakes.bearer(token))).status == 502
    assert (await sharing.ask("GET", JOBS, fakes.bearer(token))).field("x-cache") != "hit"


@pytest.mark.parametrize("target", ["/slurm/v0.0.42/reconfigure", "/slurm/v0.0.45/job/7/requeue"])
async def test_a_get_that_changes_something_is_sent_each_time(sharing: House, target: str) -> None:
    token = await sharing.token()
    for _ in range(2):
        answer = await sharing.ask("GET", target, fakes.bearer(token))
        assert answer.field("x-cache") is None
    assert len(sharing.slurm.seen) == 2


async def test_a_list_that_has_not_changed_is_confirmed(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_age": "1ms", "clock_skew": "2s"})
    token = await house.token()
    house.slurm.script = [counting(LARGE), fakes.replies(b"HTTP/1.1 304 NOT MODIFIED\r\n\r\n")]
    first = await house.ask("GET", f"{JOBS}?flags=ALL", fakes.bearer(token))
    await asyncio.sleep(0.01)
    second = await house.ask("GET", f"{JOBS}?flags=ALL", fakes.bearer(token))
    assert (second.field("x-cache"), second.body) == ("revalidated", first.body)
    asked = (await lines(house, 2))[1]
    assert asked.startswith(f"GET {JOBS}?flags=ALL&update_time=")
    assert 1.9 < time.time() - int(asked.rpartition("=")[2]) < 10


async def test_a_release_that_refuses_the_question_is_asked_without_it(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_age": "1ms"})
    token = await house.token()
    house.slurm.script = [counting(b'{"jobs":[1]}'), fakes.replies(fakes.http(422, b"{}"), close=True), counting(b'{"jobs":[2]}')]
    await house.ask("GET", JOBS, fakes.bearer(token))
    await asyncio.sleep(0.01)
    assert (await house.ask("GET", JOBS, fakes.bearer(token))).body == b'{"jobs":[2]}'
    await asyncio.sleep(0.01)
    await house.ask("GET", JOBS, fakes.bearer(token))
    assert (await lines(house, 4))[3] == f"GET {JOBS}"


async def test_v0_0_36_has_no_update_time_and_is_not_asked_with_it(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_age": "1ms"})
    token = await house.token()
    for _ in range(2):
        await house.ask("GET", "/slurm/v0.0.36/jobs", fakes.bearer(token))
        await asyncio.sleep(0.01)
    assert await lines(house, 2) == ["GET /slurm/v0.0.36/jobs"] * 2


@pytest.mark.parametrize("said", ["no-cache", "max-age=0, no-cache"])
@pytest.mark.parametrize("more", [(), (("Accept-Encoding", "gzip"),)])
async def test_a_client_that_insists_has_slurmrestd_asked(sharing: House, said: str, more: fakes.Fields) -> None:
    token = await sharing.token()
    for _ in range(2):
        answer = await sharing.ask("GET", JOBS, [*fakes.bearer(token), ("Cache-Control", said), *more])
        assert (answer.status, answer.field("x-cache")) == (200, "miss")
    assert len(sharing.slurm.seen) == 2


# What clients have already, and how they take the rest.


async def test_who_has_the_answer_already_is_told_so(sharing: House) -> None:
    token = await sharing.token()
    first = await sharing.ask("GET", JOBS, fakes.bearer(token))
    again = await sharing.ask("GET", JOBS, [*fakes.bearer(token), ("If-None-Match", first.field("etag") or "")])
    assert (again.status, again.body, again.field("etag"), again.field("x-cache")) == (304, b"", first.field("etag"), "hit")
    other = await sharing.ask("GET", JOBS, [*fakes.bearer(token), ("If-None-Match", 'W/"0123"')])
    assert (other.status, other.body) == (200, first.body)


async def test_a_large_answer_comes_compressed_to_whom_takes_it_and_plain_to_the_rest(sharing: House) -> None:
    sharing.slurm.behaviour = counting(LARGE)
    token = await sharing.token()
    plain = await sharing.ask("GET", JOBS, fakes.bearer(token))
    zipped = await sharing.ask("GET", JOBS, [*fakes.bearer(token), ("Accept-Encoding", "gzip")])
    zstded = await sharing.ask("GET", JOBS, [*fakes.bearer(token), ("Accept-Encoding", "zstd, gzip")])
    assert (plain.body, plain.field("content-encoding"), plain.field("content-length")) == (LARGE, None, str(len(LARGE)))
    assert (gzip.decompress(zipped.body), zipped.field("content-encoding")) == (LARGE, "gzip")
    assert (zstd.decompress(zstded.body), zstded.field("content-encoding")) == (LARGE, "zstd")
    assert len(zipped.body) < len(LARGE) / 10
    assert len(sharing.slurm.seen) == 1


async def test_a_small_answer_is_not_compressed(sharing: House) -> None:
    answer = await sharing.ask("GET", JOBS, [*fakes.bearer(await sharing.token()), ("Accept-Encoding", "gzip")])
    assert (answer.field("content-encoding"), answer.body) == (None, fakes.OK)


async def test_caches_on_the_way_are_told_what_the_answer_hangs_on(sharing: House) -> None:
    answer = await sharing.ask("GET", JOBS, fakes.bearer(await sharing.token()))
    assert answer.field("cache-control") == "private, no-cache"
    assert {"Authorization", "Accept", "Accept-Encoding", "X-SLURM-USER-TOKEN"} <= set((answer.field("vary") or "").split(", "))


# What is not kept.


@pytest.mark.parametrize(("status", "told"), [(400, 400), (404, 404), (500, 404), (503, 503)])
async def test_an_answer_other_than_200_is_passed_on_and_asked_for_again(sharing: House, status: int, told: int) -> None:
    token = await sharing.token()
    sharing.slurm.behaviour = fakes.replies(fakes.http(status, b'{"errors":[{"error":"x","error_number":2017}]}'), close=True)
    for _ in range(2):
        assert (await sharing.ask("GET", JOBS, fakes.bearer(token))).status == told
    assert len(sharing.slurm.seen) == 2


async def test_a_refused_token_is_the_gateways_fault_here_too(sharing: House) -> None:
    token = await sharing.token()
    sharing.slurm.behaviour = fakes.replies(fakes.http(401, b"Authentication failure", content_type="text/plain"), close=True)
    answer = await sharing.ask("GET", JOBS, fakes.bearer(token))
    assert (answer.status, answer.json["reason"]) == (502, "slurm_refused_gateway")


async def test_an_answer_too_large_to_keep_is_passed_on_as_it_comes(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_answer": "4KiB", "memory": "64KiB"})
    token = await house.token()
    large = os.urandom(300_000)
    house.slurm.behaviour = counting(large)
    for _ in range(2):
        answer = await house.ask("GET", JOBS, fakes.bearer(token))
        assert (answer.body, answer.field("x-cache")) == (large, None)
    assert house.application._reads.shared.used == 0


async def test_a_client_that_goes_away_takes_the_call_with_it_unless_others_wait(sharing: House) -> None:
    token = await sharing.token()
    gate = fakes.Gate()
    sharing.slurm.behaviour = gate
    _, writer = await sharing.connect()
    writer.write(fakes.encode("GET", JOBS, fakes.bearer(token)))
    await fakes.until(lambda: len(sharing.slurm.seen) == 1)
    waiting = asyncio.create_task(sharing.ask("GET", JOBS, fakes.bearer(token)))
    await fakes.until(lambda: sharing.application.front._under_way == 2)
    writer.close()
    await fakes.until(lambda: sharing.application.front._under_way == 1)
    gate.open.set()
    assert ((await waiting).status, len(sharing.slurm.seen)) == (200, 1)


async def test_no_one_gets_a_kept_answer_who_may_not_ask(sharing: House) -> None:
    token = await sharing.token()
    await sharing.ask("GET", JOBS, fakes.bearer(token))
    assert (await sharing.ask("GET", JOBS, fakes.bearer("sgw_" + "0" * 49))).status == 401
    assert (await sharing.ask("GET", JOBS)).status == 401


async def test_the_metrics_tell_how_reads_were_answered(sharing: House) -> None:
    token = await sharing.token()
    for _ in range(3):
        await sharing.ask("GET", JOBS, fakes.bearer(token))
    text = (await sharing.admin("/metrics")).body.decode()
    assert 'slurm_gateway_reads_total{how="hit"} 2.0' in text
    assert 'slurm_gateway_reads_total{how="miss"} 1.0' in text


# Views.

LIST = json.dumps(
    {
        "meta": {},
        "errors": [],
        "jobs": [
            {"job_id": n, "name": f"job{n}", "user_name": ("alice", "bob")[n % 2], "job_state": "PENDING", "partition": "main"} for n in range(50)
        ],
    }
).encode()


async def test_a_view_is_made_of_what_is_kept(sharing: House) -> None:
    sharing.slurm.behaviour = counting(LIST)
    token = await sharing.token()
    whole = await sharing.ask("GET", JOBS, fakes.bearer(token))
    part = await sharing.ask("GET", f"{JOBS}?fields=job_id,name&user=bob&limit=2", fakes.bearer(token))
    assert part.json["jobs"] == [{"job_id": 1, "name": "job1"}, {"job_id": 3, "name": "job3"}]
    assert (part.field("x-cache"), len(sharing.slurm.seen), sharing.slurm.seen[0].line) == ("hit", 1, f"GET {JOBS} HTTP/1.1")
    assert part.field("etag") != whole.field("etag")


async def test_the_link_leads_through_all_pages(sharing: House) -> None:
    sharing.slurm.behaviour = counting(LIST)
    token = await sharing.token()
    target: str | None = f"/clusters/main{JOBS}?limit=20&fields=job_id"
    seen: list[int] = []
    while target is not None:
        page = await sharing.ask("GET", target, fakes.bearer(token))
        seen += [job["job_id"] for job in json.loads(page.body)["jobs"]]
        link = page.field("link")
        target = link.partition(">")[0].lstrip("<") if link else None
    assert (seen, len(sharing.slurm.seen)) == (list(range(50)), 1)


@pytest.mark.parametrize(("accept", "kind"), [("application/x-ndjson", "application/x-ndjson"), ("text/csv", "text/csv")])
async def test_a_list_comes_line_by_line_to_whom_asks_for_that(sharing: House, accept: str, kind: str) -> None:
    sharing.slurm.behaviour = counting(LIST)
    answer = await sharing.ask("GET", f"{JOBS}?fields=job_id", [*fakes.bearer(await sharing.token()), ("Accept", accept)])
    assert (answer.field("content-type") or "").startswith(kind)
    assert len(answer.body.splitlines()) in {50, 51}


async def test_who_has_the_view_already_is_told_so(sharing: House) -> None:
    sharing.slurm.behaviour = counting(LIST)
    token = await sharing.token()
    first = await sharing.ask("GET", f"{JOBS}?fields=job_id", fakes.bearer(token))
    again = await sharing.ask("GET", f"{JOBS}?fields=job_id", [*fakes.bearer(token), ("If-None-Match", first.field("etag") or "")])
    other = await sharing.ask("GET", f"{JOBS}?fields=name", [*fakes.bearer(token), ("If-None-Match", first.field("etag") or "")])
    assert (again.status, other.status) == (304, 200)


@pytest.mark.parametrize("query", ["fields=", "limit=0", "limit=x", "cursor=nonsense", "state=NOSUCH", "fields=no_such_field"])
async def test_a_view_that_makes_no_sense_is_refused_with_a_hint(sharing: House, query: str) -> None:
    sharing.slurm.behaviour = counting(LIST)
    answer = await sharing.ask("GET", f"{JOBS}?{query}", fakes.bearer(await sharing.token()))
    assert (answer.status, answer.json["reason"], bool(answer.json["hint"])) == (400, "bad_request", True)


async def test_views_work_where_nothing_is_shared(house: House) -> None:
    house.slurm.behaviour = counting(LIST)
    token = await house.token()
    for _ in range(2):
        assert (await house.ask("GET", f"{JOBS}?limit=1&fields=job_id", fakes.bearer(token))).json["jobs"] == [{"job_id": 0}]
    assert len(house.slurm.seen) == 2


async def test_an_error_of_slurms_is_never_an_empty_list(sharing: House) -> None:
    sharing.slurm.behaviour = fakes.replies(fakes.http(500, b'{"errors":[{"error":"x","error_number":2017}],"jobs":[]}'), close=True)
    answer = await sharing.ask("GET", f"{JOBS}?fields=job_id", [*fakes.bearer(await sharing.token()), ("Accept", "text/csv")])
    assert (answer.status, answer.field("content-type")) == (404, "application/json")

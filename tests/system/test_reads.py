"""Shared reads before a real Slurm: as fresh as promised, whichever worker is asked, and slurmrestd asked as little as that allows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.chain import Chain, chain
from tests.system.support import Answer, Site, wait_for

JOBS = "/slurm/v0.0.38/jobs"


@pytest.fixture(scope="module")
def workers(site: Site) -> Iterator[Chain]:
    """Three workers that keep answers for a minute: what is too old would be seen."""
    with chain(site, settings={"reads": 'max_age = "60s"\n'}, workers=3) as made:
        yield made


@pytest.fixture(scope="module")
def single(site: Site) -> Iterator[Chain]:
    """One worker with the defaults."""
    with chain(site, settings={"reads": 'clock_skew = "1s"\n'}) as made:
        yield made


def ids(answer: Answer) -> set[int]:
    assert answer.status == 200, answer.body
    return {int(job["job_id"]) for job in answer.json["jobs"]}


def hold(site: Site, user: str = "alice") -> int:
    return site.submit(user, "#!/bin/sh\nsleep 1\n", hold=True)


def test_whoever_submits_sees_their_job_in_the_next_list_whichever_worker_has_it(workers: Chain) -> None:
    seen = []
    for _ in range(10):
        job = hold(workers.site)
        with ThreadPoolExecutor(6) as pool:
            lists = list(pool.map(lambda _: workers.site.call("alice", "GET", JOBS), range(6)))
        seen.append(all(job in ids(answer) for answer in lists))
    hows = {answer.headers["X-Cache"] for answer in lists}
    assert seen == [True] * 10
    assert hows <= {"hit", "joined", "miss", "revalidated"}


def test_whoever_cancels_sees_it_in_the_next_look(workers: Chain) -> None:
    job = hold(workers.site)
    path = f"/slurm/v0.0.38/job/{job}"
    for _ in range(6):
        assert workers.site.call("alice", "GET", path).json["jobs"][0]["job_state"] == "PENDING"
    assert workers.site.call("alice", "DELETE", path).status == 200
    for _ in range(6):
        assert workers.site.call("alice", "GET", path).json["jobs"][0]["job_state"] == "CANCELLED"


def test_a_list_that_has_not_changed_is_confirmed_and_one_that_has_is_not(single: Chain, site: Site) -> None:
    elsewhere, site = site, single.site
    hold(site)
    single.witness.taken()

    def confirmed() -> bool:
        return site.call("alice", "GET", JOBS).headers["X-Cache"] == "revalidated"

    wait_for(confirmed, 15, "a list that is confirmed")
    asked = [seen.request_line for seen in single.witness.taken()]
    assert any("update_time=" in line for line in asked)
    before = ids(site.call("alice", "GET", JOBS))
    # By somebody else and through another gateway: nobody tells this one.
    job = elsewhere.submit("bob", "#!/bin/sh\nsleep 1\n", hold=True)
    wait_for(lambda: job in ids(site.call("alice", "GET", JOBS)), 3, "bob's job in alice's list")
    assert job not in before


def test_many_who_ask_the_same_cost_slurmrestd_what_one_does(single: Chain) -> None:
    single.site.token("alice")
    single.witness.taken()
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: single.site.call("alice", "GET", JOBS), range(200)))
    assert {answer.status for answer in answers} == {200}
    seconds = 1 + sum(answer.headers["X-Cache"] in {"miss", "revalidated"} for answer in answers)
    assert len(single.witness.taken()) < 20
    assert seconds < 20


def test_an_answer_compressed_through_nginx_is_the_same_answer(single: Chain) -> None:
    for _ in range(5):
        hold(single.site)
    headers = [("Authorization", f"Bearer {single.site.token('alice')}")]
    plain = single.site.ask("GET", JOBS, headers=headers)
    zipped = single.site.ask("GET", JOBS, headers=[*headers, ("Accept-Encoding", "gzip")])
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert ids(plain) <= {job["job_id"] for job in json.loads(gzip.decompress(zipped.body))["jobs"]}
    assert len(zipped.body) < len(plain.body) / 3


def test_who_has_the_list_is_told_that_it_still_holds(single: Chain) -> None:
    headers = [("Authorization", f"Bearer {single.site.token('alice')}")]
    first = single.site.ask("GET", JOBS, headers=headers)

    def unchanged() -> bool:
        nonlocal first
        again = single.site.ask("GET", JOBS, headers=[*headers, ("If-None-Match", first.headers["ETag"])])
        if again.status != 304:
            first = again
        return again.status == 304 and again.body == b""

    wait_for(unchanged, 10, "a list that is the same")

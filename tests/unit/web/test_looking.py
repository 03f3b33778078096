from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.config.model import Submissions
from gateway.errors import SlurmRefusedGateway, StoreUnavailable, UpstreamUnreachable
from gateway.slurm.marking import mark_of, read
from gateway.slurm.names import Subject
from gateway.store.submissions import SubmissionRow
from gateway.web.looking import Answered, Finding, Lost, Search, Verdict

NOW = 1_700_000_000.0
MARK = mark_of("0" * 20)
ROW = SubmissionRow(
    username="alice", cluster="demo", key_sha256=b"k" * 32, attempt="a", request_sha256=b"r" * 32, mark=MARK, created_at=NOW, held_until=NOW
)
LOST = Lost(user=Subject(username="alice", uid=1001), row=ROW, job=read(b'{"job": {"name": "a"}}'), base="/slurm/v0.0.38")
OWN = replace(LOST, row=replace(ROW, mark=""), job=read(b'{"job": {"name": "a", "comment": "mine"}}'))
# With settings of 30 s and 300 s and a token of 60 s: before this it may still come; after that slurmctld may have forgotten it.
KNOWN, FORGOTTEN = NOW + 90, NOW + 270
JOBS, DIAG, RECORDS = "/slurm/v0.0.38/jobs", "/slurm/v0.0.38/diag", "/slurmdb/v0.0.38/jobs"


def job(job_id: int = 7, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "name": "a", "user_id": 1001, "comment": "", "submit_time": int(NOW), **more}


def record(job_id: int = 7, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "name": "a", "user": "alice", "comment": {"job": None}, "time": {"submission": int(NOW)}, **more}


def page(*jobs: dict[str, Any]) -> Answered:
    return Answered(status=200, content=json.dumps({"errors": [], "jobs": jobs}).encode())


def diag(waiting: int) -> Answered:
    return Answered(status=200, content=json.dumps({"statistics": {"dbd_agent_queue_size": waiting}}).encode())


@dataclass(slots=True)
class Slurm:
    """Answers each path with what it is given; an exception is raised."""

    answers: Mapping[str, Answered | Exception]
    asked: list[str] = field(default_factory=list)

    async def look(self, target: str) -> Answered:
        self.asked.append(target)
        answer = self.answers[target.partition("?")[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass(slots=True)
class Accounts:
    """Other keys of the same person: the jobs that they stand for, and how many wait."""

    known: frozenset[int] = frozenset()
    waiting: int = 0
    failure: Exception | None = None

    async def others(self, row: SubmissionRow, job_ids: Collection[int], within: float) -> tuple[frozenset[int], int]:
        assert (row.key_sha256, within) == (ROW.key_sha256, 120.0)
        if self.failure is not None:
            raise self.failure
        return self.known & frozenset(job_ids), self.waiting


async def look(
    answers: Mapping[str, Answered | Exception] | Answered,
    *,
    lost: Lost = LOST,
    now: float = KNOWN,
    answered: bool = False,
    accounts: Accounts | None = None,
) -> Finding:
    slurm = Slurm({JOBS: answers} if isinstance(answers, Answered) else answers)
    search = Search(accounts or Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: now)
    return await search.look(lost, slurm.look, answered=answered)


@pytest.mark.parametrize("now", [NOW, KNOWN, FORGOTTEN + 1, NOW + 1e6])
async def test_a_job_with_the_mark_is_found_at_any_time(now: float) -> None:
    finding = await look(page(job(5), job(7, comment=MARK, name="renamed")), now=now)
    assert (finding.verdict, finding.job_id) == (Verdict.FOUND, 7)


@pytest.mark.parametrize(
    ("now", "answered", "expected"),
    [
        (NOW, False, Verdict.UNKNOWN),
        (KNOWN - 0.1, False, Verdict.UNKNOWN),
        (KNOWN, False, Verdict.ABSENT),
        (FORGOTTEN, False, Verdict.ABSENT),
        (NOW, True, Verdict.ABSENT),
    ],
)
async def test_a_job_that_is_not_there_is_known_not_to_come_when_its_token_has_expired(now: float, answered: bool, expected: Verdict) -> None:
    assert (await look(page(job(5, name="other"), job(6, user_id=1002)), now=now, answered=answered)).verdict is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answered(status=500, content=b'{"errors": [{"error_code": -1}], "jobs": []}'), Verdict.UNKNOWN),
        (Answered(status=200, content=b'{"errors": [{"error_code": 1}], "jobs": []}'), Verdict.UNKNOWN),
        (Answered(status=200, content=b'{"jobs": ['), Verdict.UNKNOWN),
        (Answered(status=500, content=b'{"errors": [{"error_code": 1007}]}'), Verdict.NOT_BELIEVED),
        (Answered(status=511), Verdict.NOT_BELIEVED),
        (SlurmRefusedGateway("refused"), Verdict.NOT_BELIEVED),
        (UpstreamUnreachable("down"), Verdict.UNKNOWN),
    ],
)
async def test_an_answer_that_is_none_shows_nothing(answer: Answered | Exception, expected: Verdict) -> None:
    assert (await look({JOBS: answer})).verdict is expected


async def test_a_store_that_does_not_answer_shows_nothing() -> None:
    assert (await look(page(), accounts=Accounts(failure=StoreUnavailable("gone")))).verdict is Verdict.UNKNOWN


async def test_one_that_should_have_the_mark_and_has_not_is_named_and_not_taken() -> None:
    finding = await look(page(job(8), job(7)))
    assert (finding.verdict, finding.candidates) == (Verdict.UNKNOWN, (7, 8))


async def test_a_job_of_another_key_is_no_candidate() -> None:
    assert (await look(page(job(7)), accounts=Accounts(known=frozenset({7})))).verdict is Verdict.ABSENT


async def test_without_a_mark_the_only_job_that_it_can_be_is_it() -> None:
    finding = await look(page(job(7, comment="mine"), job(8, name="other")), lost=OWN, now=NOW)
    assert (finding.verdict, finding.job_id) == (Verdict.FOUND, 7)


@pytest.mark.parametrize(
    ("jobs", "lost", "accounts"),
    [
        ((job(7, comment="mine"), job(8, comment="mine")), OWN, Accounts()),
        ((job(7, comment="changed"),), OWN, Accounts()),
        ((job(7, comment="mine"),), OWN, Accounts(waiting=1)),
        ((job(7, comment="mine"),), replace(OWN, job=read(b'{"job": {"comment": "mine"}}')), Accounts()),
    ],
    ids=["one of two", "comment changed", "may be another key's", "without a name"],
)
async def test_without_a_mark_nothing_is_guessed(jobs: tuple[dict[str, Any], ...], lost: Lost, accounts: Accounts) -> None:
    finding = await look(page(*jobs), lost=lost, accounts=accounts)
    assert (finding.verdict, finding.candidates) == (Verdict.UNKNOWN, tuple(job["job_id"] for job in jobs))


async def test_without_a_mark_two_that_look_alike_are_told_apart_by_the_keys_that_stand_for_them() -> None:
    finding = await look(page(job(7, comment="mine"), job(8, comment="mine")), lost=OWN, accounts=Accounts(known=frozenset({7})))
    assert (finding.verdict, finding.job_id) == (Verdict.FOUND, 8)


async def test_those_who_wait_for_the_same_list_share_it_and_who_comes_later_asks_anew() -> None:
    gate, lists = asyncio.Event(), 0

    async def slow(_target: str) -> Answered:
        nonlocal lists
        lists += 1
        await gate.wait()
        return page(job(7, comment=MARK))

    search = Search(Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: NOW)
    tasks = [asyncio.create_task(search.look(LOST, slow)) for _ in range(2)]
    await asyncio.sleep(0)  # both have come before the list was asked for
    await asyncio.sleep(0)
    later = [asyncio.create_task(search.look(LOST, slow)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    findings = await asyncio.gather(*tasks, *later)
    assert {finding.job_id for finding in findings} == {7}
    assert lists == 2


async def test_one_who_stops_waiting_takes_the_list_from_nobody() -> None:
    gate = asyncio.Event()

    async def slow(_target: str) -> Answered:
        await gate.wait()
        return page(job(7, comment=MARK))

    search = Search(Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: NOW)
    first, second = (asyncio.create_task(search.look(LOST, slow)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert (await second).job_id == 7


@pytest.mark.parametrize("steps", range(4))
async def test_one_who_comes_when_all_have_stopped_waiting_asks_anew(steps: int) -> None:
    async def never(_target: str) -> Answered:
        await asyncio.Event().wait()
        raise AssertionError

    search = Search(Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: NOW)
    first = asyncio.create_task(search.look(LOST, never))
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await search.look(LOST, Slurm({JOBS: page(job(7, comment=MARK))}).look)).job_id == 7


LATE = FORGOTTEN + 1


@pytest.mark.parametrize(
    ("records", "waiting", "now", "expected"),
    [
        (page(record(5, name="other")), 0, LATE, Verdict.ABSENT),
        (page(record(5, name="other")), 1, LATE, Verdict.UNKNOWN),
        (page(record(5, name="other")), 0, NOW + 3601, Verdict.UNKNOWN),
        (page(), 0, LATE, Verdict.UNKNOWN),
        (page(record(5, name="other", user="bob")), 0, LATE, Verdict.UNKNOWN),
        (page(record(7)), 0, LATE, Verdict.UNKNOWN),
        (page(record(7, comment={"job": MARK})), 1, NOW + 1e6, Verdict.FOUND),
        (Answered(status=500, content=b"{}"), 0, LATE, Verdict.UNKNOWN),
    ],
    ids=["none", "not all told", "too long ago", "knows nothing", "knows nothing of the user", "one might be it", "marked", "no accounting"],
)
async def test_what_slurmctld_may_have_forgotten_is_asked_of_slurmdbd(records: Answered, waiting: int, now: float, expected: Verdict) -> None:
    assert (await look({JOBS: page(), DIAG: diag(waiting), RECORDS: records}, now=now)).verdict is expected


async def test_slurmdbd_is_asked_for_what_was_submitted_from_an_hour_before_until_now() -> None:
    slurm = Slurm({JOBS: page(), DIAG: diag(0), RECORDS: page()})
    await Search(Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: LATE).look(LOST, slurm.look)
    assert slurm.asked == [JOBS, DIAG, f"{RECORDS}?start_time=uts{int(NOW) - 3600}&end_time=uts{int(LATE)}"]


async def test_a_name_that_the_database_may_have_cut_tells_nothing() -> None:
    lost = replace(LOST, job=read(b'{"job": {"name": "%s"}}' % (b"a" * 300)))
    finding = await look({JOBS: page(), DIAG: diag(0), RECORDS: page(record(7, name="a" * 255))}, lost=lost, now=LATE)
    assert (finding.verdict, finding.candidates) == (Verdict.UNKNOWN, (7,))


def test_people_are_told_by_what_they_can_find_the_job() -> None:
    search = Search(Accounts(), Submissions(), token_lifetime=60.0, clock=lambda: NOW)
    told = search.told(LOST, Finding(verdict=Verdict.UNKNOWN, candidates=(7, 8)))
    for part in ('"a"', f'"{MARK}"', "2023-11-14T22:13:20Z", "60 s", "7, 8"):
        assert part in told
    strange = replace(OWN, job=read('{"job": {"name": "ü\\n\\u202e", "comment": "mine"}}'.encode()))
    assert '"???"' in search.told(strange, Finding(verdict=Verdict.UNKNOWN))
    assert MARK not in search.told(OWN, Finding(verdict=Verdict.UNKNOWN))

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Store
from gateway.config.model import Submissions
from gateway.errors import (
    BadRequest,
    KeyReused,
    KeyUnderWay,
    Refusal,
    SlurmRefusedGateway,
    StoreUnavailable,
    SubmissionUnknown,
    TooLarge,
    TooManyCalls,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.slurm import marking
from gateway.slurm.marking import is_marked
from gateway.slurm.names import Subject
from gateway.store.engine import Database, open_database
from gateway.store.submissions import SubmissionRow, SubmissionStore
from gateway.web import submitting
from gateway.web.looking import Answered
from gateway.web.submitting import Outcome, Send, Submission, Submitting, idempotency_key

NOW = 1_700_000_000.0
# With settings of 30 s and 300 s and a token of 60 s.
KNOWN = 90.0
PATH = "/slurm/v0.0.38/job/submit"
SUBMISSION = Submission(
    user=Subject(username="alice", uid=1001),
    cluster="demo",
    path=PATH,
    key="8e03978e",
    content=b'{"job": {"name": "a"}, "script": "#!/bin/sh\\n"}',
    came=b"the path and the body",
    job=marking.read(b'{"job": {"name": "a"}, "script": "#!/bin/sh\\n"}'),
)


def asking(content: bytes) -> Submission:
    return replace(SUBMISSION, content=content, job=marking.read(content))


OWN = asking(b'{"job": {"name": "a", "comment": "mine"}}')
BROKEN = UpstreamBroken("connection lost")

Behaviour = Callable[["Slurm", bytes], Awaitable[Answered]]


@dataclass(slots=True)
class Slurm:
    """Takes what is sent, as ``behaves`` says, and shows the jobs that it has; ``failing`` is raised by a look."""

    clock: Clock
    behaves: Behaviour
    sent: list[bytes] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    failing: Exception | None = None
    has_it: asyncio.Event = field(default_factory=asyncio.Event)

    def make_job(self, content: bytes) -> int:
        asked = json.loads(content)["job"]
        job_id = len(self.jobs) + 1
        self.jobs.append({"job_id": job_id, "user_id": 1001, "comment": "", **asked, "submit_time": int(self.clock.now)})
        return job_id

    def prepare(self) -> Send:
        async def send(content: bytes) -> Answered:
            self.sent.append(content)
            self.has_it.set()
            return await self.behaves(self, content)

        return send

    async def look(self, target: str) -> Answered:
        assert target == "/slurm/v0.0.38/jobs"
        self.looks += 1
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        return Answered(status=200, content_type="application/json", content=json.dumps({"errors": [], "jobs": self.jobs}).encode())


@dataclass(slots=True)
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


async def takes(slurm: Slurm, content: bytes) -> Answered:
    body = json.dumps({"errors": [], "job_id": slurm.make_job(content), "step_id": "BATCH"}).encode()
    return Answered(status=200, content_type="application/json", content=body)


def answers(status: int, *numbers: int, content_type: str = "application/json") -> Behaviour:
    async def answer(_slurm: Slurm, _content: bytes) -> Answered:
        body = json.dumps({"errors": [{"error_code": number, "error": "some words"} for number in numbers]}).encode()
        return Answered(status=status, content_type=content_type, content=body)

    return answer


def fails(error: Exception, *, with_job: bool = False) -> Behaviour:
    async def fail(slurm: Slurm, content: bytes) -> Answered:
        if with_job:
            slurm.make_job(content)
        raise error

    return fail


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slurm(clock: Clock) -> Slurm:
    return Slurm(clock, takes)


@pytest.fixture
def rows(database: Database) -> SubmissionStore:
    return SubmissionStore(database)


Make = Callable[..., Submitting]


@pytest.fixture
async def make(rows: SubmissionStore, clock: Clock) -> AsyncIterator[Make]:
    """Make what one worker has; each knows nothing of the others but what is in the store."""
    made: list[Submitting] = []

    def worker(store: SubmissionStore = rows, **settings: Any) -> Submitting:
        made.append(Submitting(store, Submissions(**settings), token_lifetime=60.0, clock=clock))
        return made[-1]

    yield worker
    for one in made:
        await one.close()


async def submit(worker: Submitting, slurm: Slurm, submission: Submission = SUBMISSION) -> Outcome:
    return await worker.submit(submission, slurm.prepare, slurm.look)


async def refused(worker: Submitting, slurm: Slurm, submission: Submission = SUBMISSION) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await submit(worker, slurm, submission)
    return caught.value


# What a key is.


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([], None),
        (['"8e03978e-40d5-43e8-bc93-6894a57f9324"'], "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (["8e03978e-40d5-43e8-bc93-6894a57f9324"], "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ([' "a" '], "a"),
        ([r'"a\"b\\c"'], r"a\"b\\c".replace("\\\\", "\\").replace('\\"', '"')),
        (['"a,b;c"'], "a,b;c"),
        (["x" * 255], "x" * 255),
    ],
)
def test_a_key_is_a_structured_string_or_a_bare_word(values: list[str], key: str | None) -> None:
    assert idempotency_key(values) == key


@pytest.mark.parametrize(
    "values",
    [
        ["a", "a"],
        [""],
        [" "],
        ['""'],
        ["x" * 256],
        ["a b"],
        ['"a b"'],
        ['"a'],
        ['a"'],
        ['"a" "b"'],
        ['"a"; b=1'],
        ["a, b"],
        ["a\\b"],
        ['"ä"'],
        ["ä"],
        ["a\x00"],
        ['"a\tb"'],
    ],
    ids=repr,
)
def test_whatever_else_is_refused_with_how_to_write_it(values: list[str]) -> None:
    with pytest.raises(BadRequest) as caught:
        idempotency_key(values)
    assert "Idempotency-Key:" in caught.value.hint


@given(st.lists(st.text(), max_size=2))
def test_a_key_is_never_more_than_visible_characters(values: list[str]) -> None:
    try:
        key = idempotency_key(values)
    except BadRequest:
        return
    assert key is None or (0 < len(key) <= 255 and all("!" <= character <= "~" for character in key))


# The same again.


async def test_the_first_answer_is_given_again_and_nothing_is_sent_again(make: Make, slurm: Slurm) -> None:
    first = await submit(make(), slurm)
    again = await submit(make(), slurm)
    assert (first.status, first.job_id, first.headers) == (200, 1, {"Content-Type": "application/json"})
    assert again == replace(first, replayed=True)
    assert again.headers == {"Content-Type": "application/json", "Idempotency-Replayed": "true"}
    assert len(slurm.sent) == 1


@pytest.mark.parametrize("changed", [{"came": b"{}"}, {"came": b"\0" + SUBMISSION.came}], ids=str)
async def test_a_key_that_comes_with_something_else_is_refused(make: Make, slurm: Slurm, changed: dict[str, Any]) -> None:
    await submit(make(), slurm)
    assert isinstance(await refused(make(), slurm, replace(SUBMISSION, **changed)), KeyReused)
    assert len(slurm.sent) == 1


@pytest.mark.parametrize("changed", [{"user": Subject(username="bob", uid=1002)}, {"cluster": "other"}, {"key": "other"}], ids=str)
async def test_other_people_other_clusters_and_other_keys_are_strangers(make: Make, slurm: Slurm, changed: dict[str, Any]) -> None:
    await submit(make(), slurm)
    assert not (await submit(make(), slurm, replace(SUBMISSION, **changed))).replayed
    assert len(slurm.jobs) == 2


async def test_after_its_time_a_key_is_new(make: Make, slurm: Slurm, clock: Clock) -> None:
    await submit(make(), slurm)
    clock.now += 86401
    assert not (await submit(make(), slurm)).replayed


async def test_of_sixteen_at_once_one_is_sent_and_the_others_are_told_so(make: Make, slurm: Slurm) -> None:
    workers = [make(), make()]
    results = await asyncio.gather(*(submit(workers[number % 2], slurm) for number in range(16)), return_exceptions=True)
    assert len(slurm.jobs) == 1
    for result in results:
        assert isinstance(result, KeyUnderWay) or (isinstance(result, Outcome) and result.job_id == 1)
    assert (await submit(make(), slurm)).job_id == 1


async def test_the_job_gets_a_mark_that_nobody_can_guess_and_nothing_else_changes(make: Make, slurm: Slurm) -> None:
    await submit(make(), slurm)
    await submit(make(), slurm, replace(SUBMISSION, key="other"))
    trees = [json.loads(sent) for sent in slurm.sent]
    marks = {tree["job"].pop("comment") for tree in trees}
    assert len(marks) == 2
    assert all(is_marked(mark) for mark in marks)
    assert trees == [json.loads(SUBMISSION.content)] * 2


@pytest.mark.parametrize(("submission", "settings"), [(SUBMISSION, {"marker": False}), (OWN, {}), (asking(b"no JSON"), {})])
async def test_without_a_mark_what_came_is_what_is_sent(make: Make, clock: Clock, submission: Submission, settings: dict[str, Any]) -> None:
    slurm = Slurm(clock, answers(400))
    await submit(make(**settings), slurm, submission)
    assert slurm.sent == [submission.content]


async def test_a_body_that_is_too_large_is_not_taken(make: Make, slurm: Slurm) -> None:
    assert isinstance(await refused(make(max_body="16B"), slurm), TooLarge)
    assert slurm.sent == []


async def test_a_person_has_so_many_keys_and_is_told_when_there_will_be_room(make: Make, slurm: Slurm, clock: Clock) -> None:
    worker = make(per_user=1)
    await submit(worker, slurm)
    clock.now += 400
    refusal = await refused(worker, slurm, replace(SUBMISSION, key="second"))
    assert isinstance(refusal, TooManyCalls)
    assert refusal.headers == (("Retry-After", "86000"),)
    assert (await submit(worker, slurm)).replayed


async def test_an_answer_too_large_to_keep_is_replayed_as_what_matters_of_it(make: Make, clock: Clock) -> None:
    async def long_winded(_slurm: Slurm, _content: bytes) -> Answered:
        return Answered(status=200, content_type="application/json", content=json.dumps({"job_id": 7, "more": "x" * 20_000}).encode())

    slurm = Slurm(clock, long_winded)
    assert len((await submit(make(), slurm)).content) > 20_000
    again = await submit(make(), slurm)
    assert (json.loads(again.content)["job_id"], again.job_id, again.replayed) == (7, 7, True)


# Answers that are no job.


async def test_a_refusal_of_slurms_is_given_again(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, answers(500, 2000))
    first = await submit(make(), slurm)
    slurm.behaves = takes
    assert await submit(make(), slurm) == replace(first, replayed=True)
    assert slurm.jobs == []


@pytest.mark.parametrize(
    "error",
    [UpstreamUnreachable("down"), UpstreamBusy("full"), TooManyCalls("many"), UpstreamBroken("rejected with a bare 413")],
    ids=lambda error: str(error.cause),
)
async def test_what_was_never_sent_or_never_looked_at_leaves_the_key_free(make: Make, clock: Clock, error: Refusal) -> None:
    slurm = Slurm(clock, fails(error))
    assert await refused(make(), slurm) is error
    slurm.behaves = takes
    assert not (await submit(make(), slurm)).replayed
    assert slurm.looks == 0


@pytest.mark.parametrize("behaves", [answers(500, 1800), answers(500, 2007), answers(511, 1007), answers(429)])
async def test_what_slurm_may_take_another_time_leaves_the_key_free(make: Make, clock: Clock, behaves: Behaviour) -> None:
    slurm = Slurm(clock, behaves)
    assert (await submit(make(), slurm)).status >= 400
    slurm.behaves = takes
    assert not (await submit(make(), slurm)).replayed


async def test_a_refusal_without_a_number_is_kept_when_there_is_no_job_to_be_seen(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, answers(500, -1))
    first = await submit(make(), slurm)
    assert (first.status, slurm.looks) == (500, 1)
    assert (await submit(make(), slurm)) == replace(first, replayed=True)


async def test_a_gateway_that_slurm_does_not_believe_leaves_the_key_free(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(SlurmRefusedGateway("refused")), failing=SlurmRefusedGateway("refused"))
    assert isinstance(await refused(make(), slurm), SlurmRefusedGateway)
    slurm.behaves, slurm.failing = takes, None
    assert not (await submit(make(), slurm)).replayed


# Answers that were lost.


@pytest.mark.parametrize("submission", [SUBMISSION, OWN], ids=["marked", "by its name"])
async def test_a_job_whose_answer_was_lost_is_found_at_once(make: Make, clock: Clock, submission: Submission) -> None:
    slurm = Slurm(clock, fails(BROKEN, with_job=True))
    outcome = await submit(make(), slurm, submission)
    assert (outcome.status, outcome.job_id, outcome.replayed) == (200, 1, False)
    assert json.loads(outcome.content)["job_id"] == 1
    assert (await submit(make(), slurm, submission)) == replace(outcome, replayed=True)
    assert len(slurm.jobs) == 1


@pytest.mark.parametrize(
    ("behaves", "kind"),
    [
        (fails(BROKEN), UpstreamBroken),
        (fails(UpstreamTimeout("no answer in time")), UpstreamTimeout),
        (fails(SlurmRefusedGateway("refused")), SlurmRefusedGateway),
        (answers(500, 5004), UpstreamBroken),
        (answers(504, 5004), UpstreamTimeout),
        (answers(200), UpstreamBroken),
    ],
)
async def test_while_nothing_is_known_the_answer_says_so_and_how_to_find_out(
    make: Make, clock: Clock, behaves: Behaviour, kind: type[Refusal]
) -> None:
    slurm = Slurm(clock, behaves)
    refusal = await refused(make(), slurm)
    assert type(refusal) is kind
    mark = json.loads(slurm.sent[0])["job"]["comment"]
    assert mark in refusal.detail
    assert '"a"' in refusal.detail
    assert "GET /slurm/v0.0.38/jobs" in refusal.hint
    assert "same Idempotency-Key" in refusal.hint
    assert slurm.looks == 1


async def test_slurms_own_words_are_in_it(make: Make, clock: Clock) -> None:
    assert "500 (some words)" in (await refused(make(), Slurm(clock, answers(500, 5004)))).detail


async def test_a_key_stays_blocked_until_it_is_known_that_there_is_no_job_and_is_then_sent_anew(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(BROKEN))
    await refused(make(), slurm)
    slurm.behaves = takes
    clock.now += KNOWN - 1
    refusal = await refused(make(), slurm)
    assert isinstance(refusal, SubmissionUnknown)
    assert refusal.headers == (("Retry-After", "1"),)
    clock.now += 1
    outcome = await submit(make(), slurm)
    assert (outcome.job_id, outcome.replayed, len(slurm.sent), len(slurm.jobs)) == (1, False, 2, 1)
    first, second = (json.loads(sent)["job"]["comment"] for sent in slurm.sent)
    assert first != second
    assert (await submit(make(), slurm)).replayed


async def test_a_job_that_comes_late_is_found_by_the_next_who_asks(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(BROKEN))
    await refused(make(), slurm)
    slurm.make_job(slurm.sent[0])
    outcome = await submit(make(), slurm)
    assert (outcome.status, outcome.job_id, outcome.replayed) == (200, 1, True)
    assert await submit(make(), slurm) == outcome


async def test_of_many_who_ask_again_at_once_one_sends(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(BROKEN))
    await refused(make(), slurm)
    slurm.behaves = takes
    clock.now += KNOWN
    workers = [make(), make()]
    results = await asyncio.gather(*(submit(workers[number % 2], slurm) for number in range(16)), return_exceptions=True)
    assert len(slurm.jobs) == 1
    assert {type(result) for result in results} <= {Outcome, KeyUnderWay}


async def test_jobs_that_it_might_be_are_named_and_it_is_not_sent_again(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(BROKEN))
    await refused(make(), slurm)
    slurm.make_job(SUBMISSION.content)
    clock.now += KNOWN
    refusal = await refused(make(), slurm)
    assert isinstance(refusal, SubmissionUnknown)
    assert "one of these: 1." in refusal.detail
    assert refusal.headers == ()
    assert len(slurm.sent) == 1


async def test_slurm_that_does_not_answer_shows_nothing(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, fails(BROKEN), failing=UpstreamUnreachable("down"))
    await refused(make(), slurm)
    clock.now += KNOWN
    assert isinstance(await refused(make(), slurm), SubmissionUnknown)
    assert len(slurm.sent) == 1


async def test_a_look_that_takes_long_does_not_hold_up_the_answer(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_BRIEFLY", 0.01)
    slurm = Slurm(clock, fails(BROKEN))

    async def for_ever(_target: str) -> Answered:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UpstreamBroken):
        await make().submit(SUBMISSION, slurm.prepare, for_ever)
    assert isinstance(await refused(make(), slurm), SubmissionUnknown)


# Workers that die.


async def killed(worker: Submitting, slurm: Slurm, submission: Submission = SUBMISSION) -> None:
    """Begin, and vanish while slurmrestd has it."""
    task = asyncio.create_task(submit(worker, slurm, submission))
    await slurm.has_it.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def hangs(*, with_job: bool) -> Behaviour:
    async def hang(slurm: Slurm, content: bytes) -> Answered:
        if with_job:
            slurm.make_job(content)
        await asyncio.Event().wait()
        raise AssertionError

    return hang


async def test_of_a_worker_that_has_died_the_key_is_held_for_a_while_and_then_looked_for(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, hangs(with_job=True))
    await killed(make(), slurm)
    assert isinstance(await refused(make(), slurm), KeyUnderWay)
    clock.now += 21
    outcome = await submit(make(), slurm)
    assert (outcome.job_id, outcome.replayed, len(slurm.jobs)) == (1, True, 1)


async def test_one_that_died_before_slurm_had_it_is_sent_anew_when_that_is_certain(make: Make, clock: Clock) -> None:
    slurm = Slurm(clock, hangs(with_job=False))
    await killed(make(), slurm)
    slurm.behaves = takes
    clock.now += 21
    assert isinstance(await refused(make(), slurm), SubmissionUnknown)
    clock.now += KNOWN
    assert (await submit(make(), slurm)).job_id == 1
    assert len(slurm.jobs) == 1


@dataclass(slots=True)
class Watched:
    """A store that tells when somebody holds on."""

    rows: SubmissionStore
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)

    async def hold(self, rows: Sequence[SubmissionRow], until: float) -> None:
        await self.rows.hold(rows, until)
        self.held.set()


async def test_a_worker_that_lives_goes_on_holding(make: Make, rows: SubmissionStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_BEAT", 0.01)
    slurm, store = Slurm(clock, hangs(with_job=True)), Watched(rows)
    task = asyncio.create_task(submit(make(store), slurm))
    await slurm.has_it.wait()
    clock.now += 100
    for _ in range(2):  # the first may have begun before that
        store.held.clear()
        await store.held.wait()
    assert isinstance(await refused(make(), slurm), KeyUnderWay)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(slots=True)
class Failing:
    """A store whose one method fails."""

    rows: SubmissionStore
    method: str

    def __getattr__(self, name: str) -> Any:
        if name == self.method:

            async def fail(*_: object, **__: object) -> SubmissionRow:
                raise StoreUnavailable("gone")

            return fail
        return getattr(self.rows, name)


async def test_what_cannot_be_kept_first_is_not_sent(make: Make, slurm: Slurm, rows: SubmissionStore) -> None:
    assert isinstance(await refused(make(Failing(rows, "claim")), slurm), StoreUnavailable)
    assert slurm.sent == []


async def test_an_answer_that_cannot_be_kept_is_given_and_found_again(make: Make, slurm: Slurm, rows: SubmissionStore, clock: Clock) -> None:
    assert (await submit(make(Failing(rows, "settle")), slurm)).job_id == 1
    clock.now += 21
    again = await submit(make(), slurm)
    assert (again.job_id, again.replayed, len(slurm.jobs)) == (1, True, 1)


@pytest.mark.parametrize(("method", "behaves"), [("forget", fails(UpstreamBusy("full"))), ("release", fails(BROKEN))])
async def test_a_key_that_cannot_be_given_back_is_only_held_for_longer(
    make: Make, rows: SubmissionStore, clock: Clock, method: str, behaves: Behaviour
) -> None:
    slurm = Slurm(clock, behaves)
    await refused(make(Failing(rows, method)), slurm)
    slurm.behaves = takes
    clock.now += KNOWN
    assert (await submit(make(), slurm)).job_id == 1


async def test_keys_outlive_every_worker(store_settings: Store, slurm: Slurm, clock: Clock) -> None:
    for replayed in (False, True):
        database = open_database(store_settings)
        worker = Submitting(SubmissionStore(database), Submissions(), token_lifetime=60.0, clock=clock)
        assert (await submit(worker, slurm)).replayed is replayed
        await worker.close()
        await database.close()


async def test_nothing_of_the_key_is_shown() -> None:
    assert SUBMISSION.key not in repr(SUBMISSION)
    assert "script" not in repr(SUBMISSION)

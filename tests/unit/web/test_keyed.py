"""How sendings and looks reach slurmrestd; what comes of them is in test_submitting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import jwt
import pytest

from gateway.config import Cluster, Secret, Server
from gateway.config.model import Submissions
from gateway.errors import Refusal, SlurmRefusedGateway, TooLarge, TooManyCalls, Unavailable, UpstreamBroken
from gateway.proxy.forward import Upstream
from gateway.proxy.workshop import Workshop
from gateway.sessions.sessions import Identity
from gateway.signin.account import REQUIRED
from gateway.slurm.keys import HmacKey
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules, Subject
from gateway.web import keyed
from gateway.web.call import Call, ClusterAccess
from gateway.web.carrying import Carrier
from gateway.web.context import open_context
from gateway.web.keyed import Keyed
from gateway.web.looking import Answered, Look
from gateway.web.submitting import Outcome, Prepare, Submission, Submitting
from gateway.web.uploads import Upload, once
from tests.unit.web.conftest import Make
from tests.web import fakes

SETTINGS = Server.model_validate({"listen": "127.0.0.1:1"})
PATH = "/slurm/v0.0.38/job/submit"


@dataclass(slots=True)
class Given:
    """Keeps what it is given, and does with it what a test wants."""

    submissions: list[Submission] = field(default_factory=list)
    prepare: Prepare | None = None
    look: Look | None = None

    async def submit(self, submission: Submission, prepare: Prepare, look: Look) -> Outcome:
        self.submissions.append(submission)
        self.prepare, self.look = prepare, look
        return Outcome(status=200, content_type="application/json", content=b"{}", job_id=7, replayed=True)


@dataclass(slots=True)
class Way:
    """A call of alice's in front of a fake slurmrestd."""

    slurm: fakes.FakeSlurmrestd
    given: Given
    call: Call
    read_elsewhere: list[str] = field(default_factory=list)
    refusal: Refusal | None = None

    async def run(self, work: Callable[..., object], *given: object, user: str) -> object:
        """Stand where large job files are read."""
        self.read_elsewhere.append(user)
        if self.refusal is not None:
            raise self.refusal
        return work(*given)

    async def go(self, content: bytes = b"{}", length: int | None = None) -> None:
        carrier, settings = Carrier(SETTINGS), Submissions.model_validate({"max_body": "64KiB"})
        handler = Keyed(cast("Submitting", self.given), carrier, cast("Workshop", self), settings)
        upload = Upload(length=len(content) if length is None else length, pieces=once(content))
        answer = await handler.answer(self.call, "k", upload, "application/json")
        assert (answer.status, answer.headers["Idempotency-Replayed"], self.call.context.job_id) == (200, "true", 7)

    async def send(self, body: bytes) -> Answered:
        assert self.given.prepare is not None
        return await self.given.prepare()(body)

    async def look(self, target: str) -> Answered:
        assert self.given.look is not None
        return await self.given.look(target)


@pytest.fixture
async def way(tmp_path: Path, make: Make) -> AsyncIterator[Way]:
    later = time.time() + 3600
    identity = Identity(
        subject=Subject(username="alice", uid=2001),
        kind="session",
        session_id="s",
        expires_at=later,
        idle_expires_at=later,
        second_factor_at=0.0,
        groups=frozenset({REQUIRED}),
    )
    async with fakes.slurmrestd(tmp_path) as slurm:
        upstream = Upstream(Cluster.model_validate({"url": slurm.url, "jwt_key_file": "/nowhere"}), asyncio.get_running_loop())
        minter = Minter(HmacKey(Secret(fakes.JWT_KEY)), NameRules.of("slurm", (), 1000), 60.0)
        context = open_context(make("POST", PATH, [("Accept", "application/yaml")]), SETTINGS)
        context.now -= 3000  # the body came slowly
        context.changes = True

        async def before(_response: object) -> None:
            raise AssertionError

        call = Call(
            context=context,
            identity=identity,
            cluster="main",
            access=ClusterAccess(upstream=upstream, minter=minter),
            method="POST",
            path=PATH,
            query="",
            before_stream=before,
        )
        yield Way(slurm, Given(), call)
        assert upstream.pool.taken == 0
        upstream.pool.close()


async def test_a_submission_is_handed_over_whole_and_nothing_is_sent_by_that(way: Way) -> None:
    await way.go(b'{"job": {}}')
    [submission] = way.given.submissions
    assert (submission.user.username, submission.cluster, submission.path, submission.key) == ("alice", "main", PATH, "k")
    assert (submission.content, way.slurm.connections) == (b'{"job": {}}', 0)


async def test_a_body_that_is_too_large_is_refused_by_its_length(way: Way) -> None:
    with pytest.raises(TooLarge):
        await way.go(length=64 * 1024 + 1)
    assert way.given.submissions == []


async def test_a_large_job_file_is_read_elsewhere_in_its_users_turn(way: Way) -> None:
    await way.go(b'{"job": {"name": "small"}}')
    await way.go(b'{"job": {"name": "large"}, "script": "' + b"x" * 16 * 1024 + b'"}')
    assert ([submission.job.name for submission in way.given.submissions], way.read_elsewhere) == (["small", "large"], ["alice"])
    way.refusal = TooManyCalls("full", headers=(("Retry-After", "2"),))
    with pytest.raises(Unavailable) as caught:
        await way.go(b" " * 17_000)
    assert (caught.value.headers, len(way.given.submissions)) == ((("Retry-After", "2"),), 2)


async def test_a_sending_has_the_body_that_is_given_and_a_token_of_this_moment(way: Way) -> None:
    await way.go()
    way.slurm.behaviour = fakes.replies(fakes.http(200, b'{"job_id": 7}'))
    assert await way.send(b"other body") == Answered(status=200, content_type="application/json", content=b'{"job_id": 7}')
    [seen] = way.slurm.seen
    assert (seen.line, seen.body, seen.field("accept"), seen.field("content-type")) == (
        f"POST {PATH} HTTP/1.1",
        b"other body",
        "application/yaml",
        "application/json",
    )
    claims = jwt.decode(seen.field("x-slurm-user-token") or "", fakes.JWT_KEY, algorithms=["HS256"])
    assert claims["sun"] == "alice"
    assert claims["exp"] > time.time() + 25


async def test_a_look_asks_in_json_as_the_same_user(way: Way) -> None:
    await way.go()
    assert (await way.look("/slurm/v0.0.38/jobs")).content == fakes.OK
    [seen] = way.slurm.seen
    assert (seen.line, seen.field("x-slurm-user-name"), seen.field("accept")) == ("GET /slurm/v0.0.38/jobs HTTP/1.1", "alice", "application/json")


async def test_a_large_list_is_read_whole_and_one_that_is_too_large_is_none(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    await way.go()
    way.slurm.behaviour = fakes.replies(fakes.http(200, b"x" * 500_000))
    assert len((await way.look("/slurm/v0.0.38/jobs")).content) == 500_000
    monkeypatch.setattr(keyed, "_MAX_LIST", 100_000)
    with pytest.raises(UpstreamBroken):
        await way.look("/slurm/v0.0.38/jobs")


async def test_a_refused_token_is_told_from_a_refused_job(way: Way) -> None:
    await way.go()
    way.slurm.behaviour = fakes.replies(fakes.http(500, b'{"errors": [{"error_code": 1007}]}'))
    with pytest.raises(SlurmRefusedGateway):
        await way.send(b"{}")
    way.slurm.behaviour = fakes.replies(fakes.http(500, b'{"errors": [{"error_code": 2000}]}'))
    assert (await way.send(b"{}")).status == 500


async def test_a_sending_is_never_repeated(way: Way) -> None:
    await way.go()
    way.slurm.script = [fakes.FINE, fakes.hangs_up()]
    await way.send(b"{}")
    with pytest.raises(UpstreamBroken):
        await way.send(b"{}")
    assert len(way.slurm.seen) == 2

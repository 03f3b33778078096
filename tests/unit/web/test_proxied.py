"""What the handler finds out about a request on its way, and in which order it does things. The way itself is in tests/web."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from gateway.config import Cluster, Secret, Server, Views
from gateway.config import Reads as ReadsSettings
from gateway.errors import BadRequest, CredentialsRequired
from gateway.observe.metrics import Metrics
from gateway.policy.path import canonical
from gateway.policy.rules import BUILT_IN, Rules
from gateway.proxy.forward import Upstream
from gateway.proxy.recency import Recency
from gateway.proxy.workshop import Workshop
from gateway.sessions.sessions import Identity
from gateway.signin.account import REQUIRED
from gateway.slurm.keys import HmacKey
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules, Subject
from gateway.web.authority import Authority
from gateway.web.call import Call, ClusterAccess
from gateway.web.carrying import Answer, Carrier
from gateway.web.context import Context, open_context
from gateway.web.doorman import Doorman
from gateway.web.keyed import Keyed
from gateway.web.mending import Mending
from gateway.web.proxied import ProxiedHandler
from gateway.web.reads import Reads
from gateway.web.uploads import Upload, Uploads
from gateway.web.versions import Versions
from tests.unit.web.conftest import Make
from tests.web import fakes

SUBMIT = "/slurm/v0.0.38/job/submit"
SETTINGS = Server.model_validate({"listen": "127.0.0.1:1"})


@dataclass
class Way:
    """A handler in front of a fake slurmrestd, for alice or for nobody."""

    slurm: fakes.FakeSlurmrestd
    handler: ProxiedHandler
    upstream: Upstream
    known: bool = True
    before: list[web.StreamResponse] = field(default_factory=list)
    keyed: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def require_trail(self) -> None:
        """Let everything be written down."""

    async def identify(self, _context: Context) -> Identity:
        if not self.known:
            raise CredentialsRequired("nothing_presented")
        later = time.time() + 60
        return Identity(
            subject=Subject(username="alice", uid=2001),
            kind="session",
            session_id="s",
            expires_at=later,
            idle_expires_at=later,
            second_factor_at=0.0,
            groups=frozenset({REQUIRED}),
        )

    async def answer(self, call: Call, key: str, upload: Upload, _content_type: str | None) -> Answer:
        """Stand where submissions with keys go."""
        pieces = [] if upload.pieces is None else [piece async for piece in upload.pieces]
        self.keyed.append((call.path, key, b"".join(pieces)))
        return Answer(status=200, headers={}, content=b"")

    async def go(self, request: web.Request) -> tuple[web.StreamResponse, Context]:
        context = open_context(request, SETTINGS)
        context.changes = request.method != "GET"

        async def before(response: web.StreamResponse) -> None:
            self.before.append(response)

        return await self.handler.handle(context, canonical(request.raw_path), before), context


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    async with fakes.slurmrestd(tmp_path) as slurm:
        upstream = Upstream(Cluster.model_validate({"url": slurm.url, "jwt_key_file": "/nowhere"}), asyncio.get_running_loop())
        minter = Minter(HmacKey(Secret(fakes.JWT_KEY)), NameRules.of("slurm", (), 1000), 60.0)
        way = Way(slurm, cast("ProxiedHandler", None), upstream)
        carrier, recency = Carrier(SETTINGS), Recency()
        clusters = {"main": ClusterAccess(upstream=upstream, minter=minter)}
        way.handler = ProxiedHandler(
            doorman=cast("Doorman", way),
            authority=Authority(Rules(BUILT_IN)),
            versions=Versions(enabled=False),
            clusters=clusters,
            default_cluster="main",
            uploads=Uploads(SETTINGS),
            mending=Mending(Workshop(Views()), enabled=True),
            carrier=carrier,
            reads=Reads(
                settings=ReadsSettings(enabled=False),
                views=Views(),
                workshop=Workshop(Views()),
                carrier=carrier,
                shared_paths={"main": ()},
                recency=recency,
                metrics=Metrics(),
            ),
            recency=recency,
            keyed=cast("Keyed", way),
        )
        yield way
        assert upstream.pool.taken == 0
        upstream.pool.close()


async def test_nobody_reaches_slurmrestd_before_the_doorman_has_said_who_it_is(way: Way, make: Make) -> None:
    way.known = False
    with pytest.raises(CredentialsRequired):
        await way.go(make("POST", SUBMIT))
    assert way.slurm.connections == 0


JOBS: list[tuple[str, int, bytes, int | None]] = [
    (SUBMIT, 200, b'{"job_id":7}', 7),
    ("/slurm/v0.0.42/job/allocate", 200, b'{"job_id":7}', 7),
    (SUBMIT, 200, b'{"job_id":"7"}', None),
    (SUBMIT, 200, b"no JSON", None),
    (SUBMIT, 500, b'{"job_id":7,"errors":[{}]}', 7),
    (SUBMIT, 500, b'{"job_id":0,"errors":[{}]}', None),
    ("/slurm/v0.0.38/job/7", 200, b'{"job_id":7}', None),
]


@pytest.mark.parametrize(("target", "status", "body", "job_id"), JOBS)
async def test_the_job_that_a_submission_made_is_noted(way: Way, make: Make, target: str, status: int, body: bytes, job_id: int | None) -> None:
    way.slurm.behaviour = fakes.replies(fakes.http(status, body))
    _, context = await way.go(make("POST", target))
    assert context.job_id == job_id


async def test_a_small_answer_is_given_back_and_not_begun(way: Way, make: Make) -> None:
    response, _ = await way.go(make(target="/slurm/v0.0.38/ping"))
    assert isinstance(response, web.Response)
    assert (response.body, response.prepared, way.before) == (fakes.OK, False, [])


async def test_a_small_answer_holds_no_connection_while_its_client_reads(way: Way, make: Make) -> None:
    await way.go(make(target="/slurm/v0.0.38/ping"))
    assert way.upstream.pool.taken == 0


KEY = [("Idempotency-Key", '"k"')]


async def test_a_submission_with_a_key_goes_where_those_go(way: Way, make: Make) -> None:
    await way.go(make("POST", SUBMIT, KEY))
    assert (way.keyed, way.slurm.connections) == ([(SUBMIT, "k", b"")], 0)


@pytest.mark.parametrize(("method", "target"), [("POST", "/slurm/v0.0.38/job/7"), ("DELETE", "/slurm/v0.0.38/job/7"), ("GET", "/slurm/v0.0.38/ping")])
async def test_on_other_calls_a_key_means_nothing(way: Way, make: Make, method: str, target: str) -> None:
    await way.go(make(method, target, [("Idempotency-Key", "not a key, and twice"), *KEY]))
    assert (way.keyed, way.slurm.connections) == ([], 1)


async def test_a_key_that_is_none_submits_nothing(way: Way, make: Make) -> None:
    with pytest.raises(BadRequest):
        await way.go(make("POST", SUBMIT, [*KEY, *KEY]))
    assert (way.keyed, way.slurm.connections) == ([], 0)

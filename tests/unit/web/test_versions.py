"""When what a cluster serves is looked at anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from gateway.config import Cluster, Server
from gateway.errors import NotFound, TooManyCalls, VersionGone
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head
from gateway.slurm.minting import Minter
from gateway.web import versions
from gateway.web.call import Call, ClusterAccess
from gateway.web.context import Context, open_context
from gateway.web.versions import Versions
from tests.unit.web.conftest import Make
from tests.web import fakes

SERVER = Server.model_validate({"listen": "127.0.0.1:1"})
FINE = web.Response(status=200, content_type="application/json")
NO_SUCH_CALL = web.Response(status=404, content_type="text/plain")
NO_SUCH_JOB = web.Response(status=404, content_type="application/json")


@dataclass(kw_only=True)
class Asked:
    """As much of a call as is looked at."""

    context: Context
    path: str
    access: ClusterAccess
    cluster: str = "main"
    method: str = "POST"
    query: str = "a=b"
    asked_path: str = ""

    def head(self, *, accept: str) -> Head:
        return Head(method=self.method, target=self.path + self.query, username="alice", token="t", accept=accept)


@dataclass
class Site:
    """Versions of a cluster, and the time."""

    slurm: fakes.FakeSlurmrestd
    upstream: Upstream
    make: Make
    now: float = 1000.0
    served: list[str] = field(default_factory=lambda: ["v0.0.36", "v0.0.37", "v0.0.38"])

    def __post_init__(self) -> None:
        self.versions = Versions(enabled=True, clock=lambda: self.now)
        self.slurm.behaviour = self.tell

    async def tell(self, request: fakes.Request) -> bool:
        assert request.line == "GET /openapi/v3 HTTP/1.1"
        await request.say(fakes.http(200, json.dumps({"paths": {f"/slurm/{version}/x": {} for version in self.served}}).encode()))
        return True

    def call(self, path: str = "/slurm/v0.0.36/jobs") -> Call:
        access = ClusterAccess(upstream=self.upstream, minter=cast("Minter", None))  # nobody mints here
        context = open_context(self.make("GET", path), SERVER)
        context.path = path
        return cast("Call", Asked(context=context, path=path, access=access))

    async def after(self, response: web.Response = FINE, path: str = "/slurm/v0.0.36/jobs") -> int:
        """Return how often slurmrestd was asked until now."""
        await self.versions.after(self.call(path), response)
        for known in self.versions._clusters.values():
            if known.look is not None:
                await asyncio.wait((known.look,))
        await asyncio.sleep(0)  # what is told of its end is called by the loop
        return len(self.slurm.seen)


@pytest.fixture
async def site(tmp_path: Path, make: Make) -> AsyncIterator[Site]:
    async with fakes.slurmrestd(tmp_path) as slurm:
        upstream = Upstream(Cluster.model_validate({"url": slurm.url, "jwt_key_file": "/nowhere"}), asyncio.get_running_loop())
        site = Site(slurm, upstream, make)
        yield site
        site.versions.close()
        upstream.pool.close()


async def test_what_is_known_is_believed_for_five_minutes(site: Site) -> None:
    asked = [await site.after()]
    for later in (10.0, 289.0, 2.0, 10.0):
        site.now += later
        asked.append(await site.after())
    assert asked == [1, 1, 1, 2, 2]


async def test_a_call_that_slurmrestd_does_not_know_is_a_reason_to_look_but_not_all_the_time(site: Site) -> None:
    await site.after()
    asked = []
    for later in (1.0, 1.0, 5.0, 1.0, 5.0):
        site.now += later
        asked.append(await site.after(NO_SUCH_CALL))
    assert asked == [1, 1, 2, 2, 3]


async def test_after_an_upgrade_the_first_who_hits_the_gap_is_told(site: Site) -> None:
    await site.after()
    site.served = ["v0.0.40", "v0.0.41", "v0.0.42"]
    site.now += 60
    with pytest.raises(VersionGone, match="not served any more"):
        await site.after(NO_SUCH_CALL)
    with pytest.raises(VersionGone):
        await site.versions.real(site.call())
    with pytest.raises(NotFound):
        await site.versions.real(site.call("/slurm/v0.0.43/jobs"))
    assert (await site.versions.real(site.call("/slurm/v0.0.42/jobs"))).path == "/slurm/v0.0.42/jobs"


async def test_a_version_that_came_with_an_upgrade_is_found_although_another_was_believed(site: Site) -> None:
    await site.after()
    site.served = ["v0.0.40", "v0.0.41", "v0.0.42"]
    with pytest.raises(NotFound):
        await site.versions.real(site.call("/slurm/v0.0.42/jobs"))
    site.now += 31
    assert (await site.versions.real(site.call("/slurm/v0.0.42/jobs"))).path == "/slurm/v0.0.42/jobs"


async def test_whoever_keeps_asking_for_what_is_gone_does_not_keep_the_gateway_looking(site: Site) -> None:
    await site.after()
    for _ in range(10):
        with pytest.raises(VersionGone):
            await site.versions.real(site.call("/slurm/v0.0.35/jobs"))
        site.now += 4
    assert len(site.slurm.seen) == 2


async def test_a_look_that_fails_leaves_the_refusal_as_it_was(site: Site) -> None:
    await site.after()
    site.now += 31
    site.slurm.behaviour = fakes.hangs_up()
    with pytest.raises(VersionGone):
        await site.versions.real(site.call("/slurm/v0.0.35/jobs"))


async def test_a_job_that_is_not_there_says_nothing_of_versions(site: Site) -> None:
    await site.after()
    site.now += 60
    assert await site.after(NO_SUCH_JOB) == 1


@pytest.mark.parametrize("path", ["/openapi/v3", "/openapi"])
async def test_a_path_without_a_version_needs_none(site: Site, path: str) -> None:
    assert await site.after(NO_SUCH_CALL, path) == 0
    assert (await site.versions.real(site.call(path))).path == path


async def test_what_is_known_outlives_a_look_that_fails(site: Site) -> None:
    await site.after()
    site.now += 400
    site.slurm.behaviour = fakes.hangs_up()
    await site.after()
    site.now += 400
    site.slurm.behaviour = fakes.replies(fakes.http(500, b"{}"), close=True)
    await site.after()
    known = site.versions._clusters["main"]
    assert known.served == ("v0.0.36", "v0.0.37", "v0.0.38")


async def test_a_failed_look_is_tried_again_after_a_pause(site: Site) -> None:
    site.slurm.behaviour = fakes.replies(fakes.http(200, b"{}"))
    asked = []
    for later in (0.0, 1.0, 5.0):
        site.now += later
        asked.append(await site.after())
    assert asked == [2, 2, 4]  # both documents each time


async def test_what_somebody_elses_look_is_refused_is_not_ones_own_refusal(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_PATIENCE", 0.02)
    never, learn = asyncio.Event(), site.versions._learn
    fails = [TooManyCalls("queue full: waiting_per_user"), None]

    async def look(known: versions._Known, call: Call) -> None:
        if fails:
            if (refusal := fails.pop(0)) is not None:
                await asyncio.sleep(0)
                raise refusal
            await never.wait()
        await learn(known, call)

    monkeypatch.setattr(site.versions, "_learn", look)
    refused = asyncio.create_task(site.versions.real(site.call("/slurm/latest/jobs")))
    await asyncio.sleep(0)
    slow = asyncio.create_task(site.versions.real(site.call("/slurm/latest/jobs")))
    with pytest.raises(TooManyCalls):
        await refused
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(site.versions.real(site.call("/slurm/latest/jobs")), 5)).path == "/slurm/v0.0.38/jobs"
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)

"""DESIGN 2.5: health by name on the administrators' listener, and none of it on the public one; and what reloading does."""

from __future__ import annotations

import asyncio
import threading
from types import ModuleType

import jwt
import pytest

from gateway import app
from gateway.store import sealing
from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"


async def test_live_is_told_on_both_listeners(house: House) -> None:
    public, admin = await house.ask("GET", "/health/live"), await house.admin("/health/live")
    assert [(answer.status, answer.body) for answer in (public, admin)] == [(200, b"ok\n")] * 2


@pytest.mark.parametrize("target", ["/health/ready", "/metrics", "/health"])
async def test_the_public_listener_tells_nothing_else(house: House, target: str) -> None:
    assert (await house.ask("GET", target)).status == 404


@pytest.mark.parametrize("target", ["/auth/login", PING, "/", "/metrics/"])
async def test_the_administrators_listener_serves_nothing_of_the_public_one(house: House, target: str) -> None:
    assert (await house.admin(target)).status == 404


async def test_the_administrators_listener_takes_get_alone(house: House) -> None:
    answer = await house.admin("/metrics", "POST")
    assert (answer.status, answer.field("allow")) == (405, "GET")


async def test_ready_names_each_thing_that_is_needed(house: House) -> None:
    answer = await house.admin("/health/ready")
    assert (answer.status, answer.json) == (200, {"ready": True, "checks": {"store": "ok", "directory": "ok", "audit": "ok", "slurmrestd": "ok"}})


@pytest.mark.parametrize("down", ["directory", "slurmrestd"])
async def test_not_ready_says_which_one_is_missing(house: House, down: str) -> None:
    if down == "directory":
        house.directory.down = True
    else:
        await house.slurm.stop()
    answer = await house.admin("/health/ready")
    checks = answer.json["checks"]
    assert isinstance(checks, dict)
    assert (answer.status, [name for name, found in checks.items() if found != "ok"]) == (503, [down])


async def test_a_slurmrestd_that_answers_strangers_with_401_is_ready(house: House) -> None:
    house.slurm.behaviour = fakes.replies(fakes.http(401, b"Authentication failure", content_type="text/plain"))
    assert (await house.admin("/health/ready")).status == 200


async def test_a_slurmrestd_that_hangs_is_not_ready(build: Build) -> None:
    house = await build(clusters__main={"connect_timeout": "50ms"})
    house.slurm.behaviour = fakes.hangs()
    assert (await house.admin("/health/ready")).status == 503


async def test_asking_for_readiness_often_asks_slurmrestd_once(house: House) -> None:
    await asyncio.gather(*(house.admin("/health/ready") for _ in range(10)))
    assert len(house.slurm.seen) == 1


async def test_asking_for_readiness_presents_no_identity(house: House) -> None:
    await house.admin("/health/ready")
    assert {name for name, _ in house.slurm.seen[0].fields} == {"host"}


# Reloading.


async def test_reload_signs_with_the_new_key_at_once(house: House) -> None:
    token = await house.token()
    await house.ask("GET", PING, fakes.bearer(token))
    fresh = b"the next key of slurm's, that is long enough\n"
    await fakes.write_private(house.slurm.path.parent / "jwt.key", fresh)
    await house.application.reload()
    await house.ask("GET", PING, fakes.bearer(token))
    minted = str(house.slurm.seen[1].field("x-slurm-user-token"))
    assert jwt.decode(minted, fresh, algorithms=["HS256"])["sun"] == "alice"


@pytest.mark.parametrize(("room", "slow"), [(app, "load_signing_key"), (sealing, "load_key_ring")])
async def test_while_a_file_is_slow_to_be_read_anew_requests_are_answered(
    house: House, monkeypatch: pytest.MonkeyPatch, room: ModuleType, slow: str
) -> None:
    read, reading, gate = getattr(room, slow), threading.Event(), threading.Event()

    def slowly(where: object) -> object:
        reading.set()
        gate.wait(fakes.LIMIT)
        return read(where)

    monkeypatch.setattr(room, slow, slowly)
    house.application.start_reload()
    await fakes.until(reading.is_set)
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    told = "reloaded" in house.log
    gate.set()
    await fakes.until(lambda: '"reloaded"' in house.log)
    assert (answer.status, told, "reload_failed" in house.log) == (200, False, False)


async def test_reload_with_a_key_that_cannot_be_read_goes_on_with_the_old_one_and_says_so(house: House) -> None:
    await fakes.write_private(house.slurm.path.parent / "jwt.key", b"short")
    await house.application.reload()
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    minted = str(house.slurm.seen[0].field("x-slurm-user-token"))
    assert (answer.status, jwt.decode(minted, fakes.JWT_KEY, algorithms=["HS256"])["sun"]) == (200, "alice")
    assert '"reload_failed"' in house.log


async def test_reload_writes_the_trail_to_a_new_file_when_the_old_one_was_moved_away(house: House) -> None:
    trail = house.config.audit.file
    assert trail is not None
    await house.ask("GET", PING)
    await asyncio.to_thread(trail.rename, trail.with_suffix(".1"))
    await house.application.reload()
    await house.ask("GET", PING)
    assert len(await house.audit()) == 1

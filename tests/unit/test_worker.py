"""One worker, as a process of its own: it stops when it is told to, having finished what it began, and reads its keys anew."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import jwt
import pytest

from gateway.config import load
from gateway.sockets import bind
from tests.web import fakes

SUBMIT = "/slurm/v0.0.38/job/submit"
PING = "/slurm/v0.0.38/ping"


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, fakes.Gateway]]:
    """A gateway for each test of its own, all started at once, each where another one has died."""
    with contextlib.ExitStack() as stack:
        gateways = {}
        for name, settings in {"patient": {}, "impatient": {"stop_timeout": "100ms"}, "reloaded": {}}.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="worker-")))
            config = fakes.site(folder, f"unix:{folder}/slurmrestd.sock", {"server": {"admin_listen": f"unix:{folder}/admin.sock", **settings}})
            bind(load(config).server.listen, "server.listen").close()  # a stale socket is left
            gateways[name] = stack.enter_context(fakes.Gateway(config))
        yield gateways


@pytest.fixture
def gateway(started: dict[str, fakes.Gateway], request: pytest.FixtureRequest) -> fakes.Gateway:
    return started[request.param].serving()


@pytest.fixture
async def slurm(gateway: fakes.Gateway) -> AsyncIterator[fakes.FakeSlurmrestd]:
    async with fakes.slurmrestd(gateway.config.parent) as fake:
        yield fake


@pytest.fixture
def token(gateway: fakes.Gateway) -> str:
    return fakes.session_of(gateway.config.parent / "gateway.db", "alice")


def with_the(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("gateway", [name], indirect=True)


class Gate:
    """A slurmrestd that answers when it is allowed to."""

    def __init__(self, slurm: fakes.FakeSlurmrestd) -> None:
        self.open = asyncio.Event()
        slurm.behaviour = self.behave

    async def behave(self, request: fakes.Request) -> bool:
        await self.open.wait()
        return await fakes.FINE(request)


@with_the("patient")
async def test_a_stop_lets_the_request_under_way_finish_while_health_is_still_told(
    gateway: fakes.Gateway, slurm: fakes.FakeSlurmrestd, token: str
) -> None:
    gate = Gate(slurm)
    under_way = asyncio.create_task(fakes.ask_at(gateway.public, "POST", SUBMIT, fakes.bearer(token), b"{}"))
    await fakes.until(lambda: slurm.seen)
    gateway.tell(signal.SIGTERM)
    await fakes.until(lambda: gateway.events("stopping"))
    still = await fakes.ask_at(gateway.admin, "GET", "/health/live")
    gate.open.set()
    answer = await under_way
    code = await asyncio.to_thread(gateway.ended)
    assert (answer.status, still.status, code, len(slurm.seen)) == (200, 200, 0, 1)
    assert gateway.sockets == []


@with_the("impatient")
async def test_a_stop_does_not_wait_longer_than_it_may(gateway: fakes.Gateway, slurm: fakes.FakeSlurmrestd, token: str) -> None:
    slurm.behaviour = fakes.hangs()
    under_way = asyncio.create_task(fakes.ask_at(gateway.public, "GET", PING, fakes.bearer(token)))
    await fakes.until(lambda: slurm.seen)
    gateway.tell(signal.SIGTERM)
    code = await asyncio.to_thread(gateway.ended)
    (outcome,) = await asyncio.gather(under_way, return_exceptions=True)
    assert (code, isinstance(outcome, asyncio.IncompleteReadError)) == (0, True)


@with_the("reloaded")
def test_a_stale_socket_was_replaced(gateway: fakes.Gateway) -> None:
    assert fakes.ask_now(gateway.public, "GET", "/health/live")[0] == 200


@with_the("reloaded")
async def test_sighup_reads_the_key_anew_without_dropping_anybody(gateway: fakes.Gateway, slurm: fakes.FakeSlurmrestd, token: str) -> None:
    reader, writer = await asyncio.open_unix_connection(gateway.public)
    writer.write(fakes.encode("GET", PING, fakes.bearer(token), close=False))
    await fakes.read_answer(reader)
    fresh = b"the next key of slurm's, that is long enough\n"
    fakes.private(gateway.config.parent / "jwt.key", fresh)
    gateway.tell(signal.SIGHUP)
    await fakes.until(lambda: gateway.events("reloaded"))
    writer.write(fakes.encode("GET", PING, fakes.bearer(token)))
    await fakes.read_answer(reader)
    writer.close()
    signed = [str(seen.field("x-slurm-user-token")) for seen in slurm.seen]
    assert [jwt.decode(token, key, algorithms=["HS256"])["sun"] for token, key in zip(signed, (fakes.JWT_KEY, fresh), strict=True)] == [
        "alice",
        "alice",
    ]

"""One worker, as a process of its own: it stops when it is told to, having finished what it began, and reads its keys anew."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import jwt
import pytest

from gateway.config import load
from gateway.store.migrate import migrate
from tests.web import fakes

SUBMIT = "/slurm/v0.0.38/job/submit"
PING = "/slurm/v0.0.38/ping"


@pytest.fixture
async def slurm(tmp_path: Path) -> AsyncIterator[fakes.FakeSlurmrestd]:
    async with fakes.slurmrestd(tmp_path) as fake:
        yield fake


@pytest.fixture
def serve(tmp_path: Path, slurm: fakes.FakeSlurmrestd) -> Iterator[Callable[..., fakes.Gateway]]:
    started: list[fakes.Gateway] = []

    def served(**server: object) -> fakes.Gateway:
        config = fakes.site(tmp_path, slurm.url, {"server": {"admin_listen": f"unix:{tmp_path}/admin.sock", **server}})
        migrate(load(config).store.url)
        started.append(fakes.Gateway(config).serving())
        return started[-1]

    yield served
    for gateway in started:
        gateway.__exit__()


class Gate:
    """A slurmrestd that answers when it is allowed to."""

    def __init__(self, slurm: fakes.FakeSlurmrestd) -> None:
        self.open = asyncio.Event()
        slurm.behaviour = self.behave

    async def behave(self, request: fakes.Request) -> bool:
        await self.open.wait()
        return await fakes.FINE(request)


async def test_a_stop_lets_the_request_under_way_finish_while_health_is_still_told(
    serve: Callable[..., fakes.Gateway], slurm: fakes.FakeSlurmrestd
) -> None:
    gate, gateway = Gate(slurm), serve()
    token = fakes.session_of(gateway.config.parent / "gateway.db", "alice")
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


async def test_a_stop_does_not_wait_longer_than_it_may(serve: Callable[..., fakes.Gateway], slurm: fakes.FakeSlurmrestd) -> None:
    slurm.behaviour = fakes.hangs()
    gateway = serve(stop_timeout="100ms")
    token = fakes.session_of(gateway.config.parent / "gateway.db", "alice")
    under_way = asyncio.create_task(fakes.ask_at(gateway.public, "GET", PING, fakes.bearer(token)))
    await fakes.until(lambda: slurm.seen)
    gateway.tell(signal.SIGTERM)
    code = await asyncio.to_thread(gateway.ended)
    (outcome,) = await asyncio.gather(under_way, return_exceptions=True)
    assert (code, isinstance(outcome, asyncio.IncompleteReadError)) == (0, True)


async def test_sighup_reads_the_key_anew_without_dropping_anybody(serve: Callable[..., fakes.Gateway], slurm: fakes.FakeSlurmrestd) -> None:
    gateway = serve()
    token = fakes.session_of(gateway.config.parent / "gateway.db", "alice")
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

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
    """Two gateways started at once, each where another one has died: the tests of its end, which are the last, end theirs."""
    with contextlib.ExitStack() as stack:
        gateways = {}
        for name, settings in {"patient": {}, "impatient": {"stop_timeout": "100ms"}}.items():
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


@with_the("patient")
def test_a_stale_socket_was_replaced(gateway: fakes.Gateway) -> None:
    assert fakes.ask_now(gateway.public, "GET", "/health/live")[0] == 200


@with_the("patient")
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


# The end.


@with_the("patient")
async def test_a_stop_lets_the_request_under_way_finish_while_health_is_still_told_and_new_clients_are_refused(
    gateway: fakes.Gateway, slurm: fakes.FakeSlurmrestd, token: str
) -> None:
    gate = slurm.behaviour = fakes.Gate()
    under_way = asyncio.create_task(fakes.ask_at(gateway.public, "POST", SUBMIT, fakes.bearer(token), b"{}"))
    await fakes.until(lambda: slurm.seen)
    gateway.tell(signal.SIGTERM)
    await fakes.until(lambda: fakes.refuses(gateway.public))
    still = await fakes.ask_at(gateway.admin, "GET", "/health/live")
    gate.open.set()
    answer = await under_way
    code = await asyncio.to_thread(gateway.ended)
    assert (answer.status, still.status, code, len(slurm.seen)) == (200, 200, 0, 1)
    assert gateway.sockets == []


@with_the("impatient")
async def test_a_stop_does_not_wait_longer_than_it_may_and_the_trail_has_the_change_that_it_broke_off(
    gateway: fakes.Gateway, slurm: fakes.FakeSlurmrestd, token: str
) -> None:
    slurm.behaviour = fakes.hangs()
    asked = (("GET", PING), ("POST", SUBMIT))
    under_way = [asyncio.create_task(fakes.ask_at(gateway.public, *words, fakes.bearer(token))) for words in asked]
    await fakes.until(lambda: len(slurm.seen) == 2)
    gateway.tell(signal.SIGTERM)
    code = await asyncio.to_thread(gateway.ended)
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)
    assert (code, [type(outcome) for outcome in outcomes]) == (0, [asyncio.IncompleteReadError] * 2)
    (line,) = fakes.json_lines(gateway.config.parent / "audit.log")
    assert [line[key] for key in ("event", "method", "user", "status", "reason")] == ["request", "POST", "alice", 499, "outcome_unknown"]

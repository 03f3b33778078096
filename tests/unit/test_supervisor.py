"""Several workers under one parent, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import fakes


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, fakes.Gateway]]:
    """One to stop, which the last test does, and one to kill; both started at once."""
    with contextlib.ExitStack() as stack:
        gateways = {}
        for name in ("stopped", "killed"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workers-")))
            config = fakes.site(folder, f"unix:{folder}/slurmrestd.sock", {"server": {"admin_listen": f"unix:{folder}/admin.sock"}})
            gateways[name] = stack.enter_context(fakes.Gateway(config, "--workers", "2"))
        yield gateways


@pytest.fixture
def gateway(started: dict[str, fakes.Gateway]) -> fakes.Gateway:
    return started["stopped"].serving(2)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def counters_of(gateway: fakes.Gateway, pid: int) -> list[Path]:
    return list(gateway.config.parent.glob(f"slurm-gateway-metrics-*/*_{pid}.db"))


def refusals(gateway: fakes.Gateway) -> float:
    _, metrics = fakes.ask_now(gateway.admin, "GET", "/metrics")
    found = re.search(rb'^slurm_gateway_refusals_total\{reason="credentials_required"\} ([0-9.]+)$', metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_any_worker_tells_the_metrics_of_all(gateway: fakes.Gateway) -> None:
    before = refusals(gateway)
    for _ in range(20):
        fakes.ask_now(gateway.public, "GET", "/auth/session")
    assert {refusals(gateway) for _ in range(8)} == {before + 20}


def test_sighup_reaches_every_worker(gateway: fakes.Gateway) -> None:
    gateway.tell(signal.SIGHUP)
    fakes.wait_for(lambda: len(gateway.events("reloaded")) == 2)


def test_when_the_supervisor_is_killed_its_workers_end(started: dict[str, fakes.Gateway]) -> None:
    gateway = started["killed"].serving(2)
    workers = gateway.workers
    gateway.tell(signal.SIGKILL)
    gateway.ended()
    fakes.wait_for(lambda: not any(map(alive, workers)))
    assert len(workers) == 2


def test_a_worker_that_was_killed_is_replaced_and_the_others_serve_on(gateway: fakes.Gateway) -> None:
    first, second = gateway.workers
    os.kill(first, signal.SIGKILL)
    fakes.wait_for(lambda: len(gateway.workers) == 2 and first not in gateway.workers)
    fakes.wait_for(lambda: len(gateway.events("serving")) == 3)
    (died,) = gateway.events("worker_died")
    assert (died["pid"], died["status"], second in gateway.workers) == (first, -signal.SIGKILL, True)
    assert [fakes.ask_now(gateway.public, "GET", "/health/live")[0] for _ in range(10)] == [200] * 10


async def test_a_stop_refuses_new_clients_finishes_what_is_under_way_and_leaves_nothing_behind(gateway: fakes.Gateway) -> None:
    workers = gateway.workers
    folder = gateway.config.parent
    async with fakes.slurmrestd(folder) as slurm:
        gate = slurm.behaviour = fakes.Gate()
        token = fakes.session_of(folder / "gateway.db", "alice")
        under_way = asyncio.create_task(fakes.ask_at(gateway.public, "POST", "/slurm/v0.0.38/job/submit", fakes.bearer(token), b"{}"))
        await fakes.until(lambda: slurm.seen)
        gateway.tell(signal.SIGTERM)
        await fakes.until(lambda: fakes.refuses(gateway.public))
        gate.open.set()
        assert (await under_way).status == 200
    assert await asyncio.to_thread(gateway.ended) == 0
    assert [pid for pid in workers if alive(pid)] == []
    assert gateway.sockets == []
    assert counters_of(gateway, workers[0]) == []

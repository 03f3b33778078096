"""Sixty-four pollers of a queue of 5,000 jobs: of slurmrestd itself, and through nginx and the gateway, where nothing changes.

Four pollers each of sixteen people, and the site says that the list looks the same to all of them (``shared``), as Slurm's does without
PrivateData.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import dataclass

from tests.bench.client import Client
from tests.bench.load import Sample, reads
from tests.bench.processes import high_water
from tests.bench.queue import filled, submit_now_and_then
from tests.bench.servers import Bench, Front, Server, front, gateway, slurmrestd
from tests.bench.table import Row

PATH = "/slurm/v0.0.38/jobs"
JOBS, POLLERS = 5000, 64
AIM_POLLS, AIM_BYTES, AIM_MEMORY = 500, 50, 1.25
# Slurmrestd works on twenty replies at once and finishes all of them late, so that a short look would see nothing.
ALONE, FEW, MANY = 8.0, 16.0, 32.0
PATIENCE = 120.0
SHARED = {"clusters.demo": 'shared = ["/slurm/*/jobs"]\n'}
GZIP = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """What pollers got of slurmrestd itself: replies a second, bytes of each, and the most memory that it came to have (MB)."""

    per_second: float
    size: float
    memory: float
    failed: int

    def __str__(self) -> str:
        return f"{self.per_second:.2f}/s" + (f", {self.failed} polls failed" if self.failed else "")


def measure(bench: Bench) -> list[Row]:
    """Compare polls, bytes and slurmrestd's memory."""
    with filled(bench, JOBS):
        alone, few, many = (asked_directly(bench, *how) for how in ((1, ALONE), (8, FEW), (POLLERS, MANY)))
        with slurmrestd(bench) as behind, gateway(bench, upstream=behind.address, settings=SHARED) as ours:
            with front(bench, to_gateway=ours.address, direct=behind.address) as nginx:
                plain, tagged = _through(bench, nginx, ours)
            memory = high_water(behind.pids)
    best = max(few, many, key=lambda direct: direct.per_second)
    rows = [
        _polls("gzip", plain, best, few, many),
        _polls("If-None-Match", tagged, best, few, many),
        _bytes("gzip", plain, alone),
        _bytes("If-None-Match", tagged, alone),
    ]
    return [*rows, _memory(memory, alone, many)]


def asked_directly(bench: Bench, pollers: int, seconds: float, *, submitter: bool = False) -> Direct:
    """Poll a fresh slurmrestd, which nobody else asks, for so long and until the first reply is there."""
    with slurmrestd(bench) as server:
        return asyncio.run(_directly(bench, server, pollers, seconds, submitter=submitter))


async def _directly(bench: Bench, server: Server, pollers: int, seconds: float, *, submitter: bool) -> Direct:
    done: list[tuple[float, int]] = []
    failed = 0
    first, began = asyncio.Event(), time.monotonic()

    async def poll(number: int) -> None:
        nonlocal failed
        client = Client(server.address)
        try:
            while True:
                answer = await client.ask("GET", PATH, bench.people[number % len(bench.people)].direct(), keep=False)
                # Under so much load slurmrestd at times waits for slurmctld until it gives up (500), which is no poll.
                if answer.status == 200:
                    done.append((time.monotonic() - began, answer.size))
                    first.set()
                else:
                    failed += 1
                    await asyncio.sleep(0.2)
        finally:
            client.close()

    tasks = [asyncio.create_task(poll(number)) for number in range(pollers)]
    if submitter:
        tasks.append(asyncio.create_task(submit_now_and_then(bench.site.told["slurmrestd"], bench.people[-1].direct(), 1.0)))
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    if not any(task.done() for task in tasks):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(first.wait(), PATIENCE)
    memory = high_water(server.pids)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if not isinstance(outcome, asyncio.CancelledError):
            raise SystemExit(f"a poller failed: {outcome!r}")
    # Up to the last reply, so that those which are all but ready are no loss; none at all counts as one.
    rate = len(done) / done[-1][0] if done else 1 / (time.monotonic() - began)
    return Direct(per_second=rate, size=statistics.median(size for _, size in done) if done else 0, memory=memory, failed=failed)


def _through(bench: Bench, nginx: Front, ours: Server) -> tuple[list[Sample], list[Sample]]:
    tags = asyncio.run(_tags(bench, ours))
    people = [person.ours() | GZIP for person in bench.people]
    tagged = [headers | {"If-None-Match": tag} for headers, tag in zip(people, tags, strict=True)]
    processes = {"nginx": nginx.pid, "gateway": ours.pid}
    taken: tuple[list[Sample], list[Sample]] = ([], [])
    for _ in range(bench.rounds):
        for samples, headers in zip(taken, (people, tagged), strict=True):
            samples.append(reads(nginx.ours, PATH, headers, POLLERS, bench.seconds, processes))
    return taken


async def _tags(bench: Bench, ours: Server) -> list[str]:
    """Return the tag of everybody's list."""
    client, tags = Client(ours.address), []
    for person in bench.people:
        answer = await client.ask("GET", PATH, person.ours() | GZIP, keep=False)
        if answer.status != 200 or answer.etag is None:
            raise SystemExit(f"the gateway answered {answer.status} with the tag {answer.etag}")
        tags.append(answer.etag)
    client.close()
    return tags


def _polls(how: str, ours: list[Sample], best: Direct, few: Direct, many: Direct) -> Row:
    rate = statistics.median(one.per_second for one in ours)
    spent = {name: statistics.median(one.cpu[name] for one in ours) for name in ours[0].cpu}
    ratio = rate / best.per_second
    return Row(
        work=f"{POLLERS} pollers of `/jobs`, {JOBS} jobs, nothing changing, {how}",
        without=f"{many} (8 pollers: {few})",
        ours=f"{rate:.0f}/s (CPU ms each: {', '.join(f'{name} {cpu:.2f}' for name, cpu in spent.items())})",
        ratio=f"{ratio:.0f}",
        aim=f"≥ {AIM_POLLS}",
        met=ratio >= AIM_POLLS,
    )


def _bytes(how: str, ours: list[Sample], direct: Direct) -> Row:
    size = statistics.median(one.bytes_each for one in ours)
    return Row(
        work=f"bytes of a poll, {how}",
        without=f"{direct.size / 1e6:.1f} MB",
        ours=f"{size / 1e3:.1f} kB",
        ratio=f"1/{direct.size / size:.0f}",
        aim=f"≤ 1/{AIM_BYTES}",
        met=direct.size / size >= AIM_BYTES,
    )


def _memory(memory: float, alone: Direct, many: Direct) -> Row:
    return Row(
        work=f"slurmrestd's memory with {POLLERS} pollers",
        without=f"{many.memory:.0f} MB (one poller: {alone.memory:.0f} MB)",
        ours=f"{memory:.0f} MB",
        ratio=f"{memory / alone.memory:.2f} of one poller's",
        aim=f"≤ {AIM_MEMORY}",
        met=memory <= AIM_MEMORY * alone.memory,
    )

"""Sixty-four pollers of a queue of 5,000 jobs while somebody else submits one job a second."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
from collections import Counter

from tests.bench.client import Client
from tests.bench.pollers import GZIP, JOBS, PATH, POLLERS, SHARED, Direct, asked_directly
from tests.bench.processes import cpu
from tests.bench.queue import filled, submit_now_and_then
from tests.bench.servers import Bench, Front, Server, front, gateway, slurmrestd
from tests.bench.table import Row

AIM = 30
SECONDS, DIRECT = 10.0, 32.0


def measure(bench: Bench) -> list[Row]:
    """Compare the polls; each poller of ours brings the tag of the list that it got last."""
    with filled(bench, JOBS):
        direct = asked_directly(bench, POLLERS, DIRECT, submitter=True)
        with (
            slurmrestd(bench) as behind,
            gateway(bench, upstream=behind.address, settings=SHARED) as ours,
            front(bench, to_gateway=ours.address, direct=behind.address) as nginx,
        ):
            row = asyncio.run(_through(bench, nginx, ours, direct))
    bench.inside("scancel", f"--user={bench.people[-1].name}")
    return [row]


async def _through(bench: Bench, nginx: Front, ours: Server, direct: Direct) -> Row:
    trust = ssl.create_default_context(cafile=str(nginx.certificate))
    answers: Counter[int] = Counter()
    sizes: list[int] = []
    waits: list[float] = []

    async def poll(number: int) -> None:
        client, headers = Client(nginx.ours, trust), bench.people[number % len(bench.people)].ours() | GZIP
        try:
            while True:
                began = time.monotonic()
                answer = await client.ask("GET", PATH, headers, keep=False)
                waits.append(time.monotonic() - began)
                answers[answer.status] += 1
                sizes.append(answer.size)
                if answer.etag is not None:
                    headers["If-None-Match"] = answer.etag
        finally:
            client.close()

    tasks = [asyncio.create_task(poll(number)) for number in range(POLLERS)]
    tasks.append(asyncio.create_task(submit_now_and_then(ours.address, bench.people[-1].ours(), 1.0)))
    await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_EXCEPTION)  # nobody measures a cold start
    for taken in (answers, sizes, waits):
        taken.clear()
    spent, load, began = cpu(ours.pid), time.process_time(), time.monotonic()
    await asyncio.wait(tasks, timeout=SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    took = time.monotonic() - began
    spent, load = (cpu(ours.pid) - spent) / took, (time.process_time() - load) / took
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, asyncio.CancelledError):
            raise SystemExit(f"a poller or the submitter failed: {outcome!r}")
    if wrong := set(answers) - {200, 304}:
        raise SystemExit(f"polls were answered {wrong}")
    rate, count = len(sizes) / took, sum(answers.values())
    share = f"{100 * answers[304] / count:.0f} % of them 304, the slowest {max(waits):.1f} s"
    return Row(
        work=f"the same, one job submitted a second, If-None-Match, {statistics.mean(sizes) / 1e3:.1f} kB a poll",
        without=str(direct),
        ours=f"{rate:.0f}/s, {share} (cores: gateway {spent:.2f}, load {load:.2f})",
        ratio=f"{rate / direct.per_second:.0f}",
        aim=f"≥ {AIM}",
        met=rate / direct.per_second >= AIM,
    )

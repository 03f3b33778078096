"""A thousand listeners for events: what they cost slurmrestd against one, counted in front of it, and what memory each costs the gateway.

They are sixteen people, and the site says that the list of jobs looks the same to all of them.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.bench.client import Client
from tests.bench.pollers import SHARED
from tests.bench.processes import resident
from tests.bench.queue import submit_now_and_then
from tests.bench.servers import Bench, Server, gateway
from tests.bench.table import Row

LISTENERS = 1000
SECONDS = 12.0
AIM = 1.2


@dataclass(slots=True)
class Relay:
    """Stands in front of slurmrestd and counts the calls."""

    real: str
    calls: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to slurmrestd and back; a request's head begins a piece of its own, for the gateway waits for each answer."""
        real, onwards = await asyncio.open_unix_connection(self.real.removeprefix("unix:"))
        back = asyncio.create_task(_pour(real, writer))
        try:
            while piece := await reader.read(65536):
                if piece.startswith((b"GET ", b"POST ", b"DELETE ")):
                    self.calls[piece.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")] += 1
                onwards.write(piece)
                await onwards.drain()
        except ConnectionError:
            pass
        finally:
            onwards.close()
            back.cancel()
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


def measure(bench: Bench) -> list[Row]:
    """Compare one listener with a thousand, one job being submitted every other second."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))  # for the gateway, too, which inherits it
    path = f"unix:{bench.folder}/relay"
    try:
        with gateway(bench, upstream=path, tcp=True, settings=SHARED) as ours:
            return asyncio.run(_measure(bench, ours, path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        bench.inside("scancel", f"--user={bench.people[-1].name}")


async def _measure(bench: Bench, ours: Server, path: str) -> list[Row]:
    relay = Relay(bench.site.told["slurmrestd"])
    server = await asyncio.start_unix_server(relay.serve, path.removeprefix("unix:"))
    async with server:
        submitter = asyncio.create_task(submit_now_and_then(bench.site.told["slurmrestd"], bench.people[-1].direct(), 2.0))
        one, _ = await _listen(bench, ours, relay, 1)
        many, memory = await _listen(bench, ours, relay, LISTENERS)
        submitter.cancel()
        await asyncio.gather(submitter, return_exceptions=True)
    ratio = many / one
    return [
        Row(
            work=f"{LISTENERS} listeners on `/events`, {SECONDS:.0f} s",
            without=f"one listener: {one} calls of slurmrestd",
            ours=f"{many} calls; {memory:.0f} kB of memory a listener",
            ratio=f"{ratio:.2f}",
            aim=f"≤ {AIM}",
            met=ratio <= AIM,
        )
    ]


async def _listen(bench: Bench, ours: Server, relay: Relay, count: int) -> tuple[int, float]:
    """Return how many calls slurmrestd got while so many listened, and the kB of memory that each took."""
    before, heard = resident(ours.pids), [0] * count
    connected = asyncio.Semaphore(50)

    async def listen(number: int) -> None:
        client = Client(ours.address)
        try:
            async with connected:
                reader = await client.send("GET", "/events", bench.people[number % len(bench.people)].ours() | {"Accept": "text/event-stream"})
                head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the gateway answered {head[:200]!r}")
            while piece := await reader.read(65536):
                heard[number] += piece.count(b"event:")
            raise RuntimeError("a stream ended")
        finally:
            client.close()

    tasks = [asyncio.create_task(listen(number)) for number in range(count)]
    await asyncio.wait(tasks, timeout=3, return_when=asyncio.FIRST_EXCEPTION)
    relay.calls.clear()
    for number in range(count):
        heard[number] = 0
    began = time.monotonic()
    await asyncio.wait(tasks, timeout=SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    calls, memory = sum(relay.calls.values()), 1024 * (resident(ours.pids) - before) / count
    took = time.monotonic() - began
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, asyncio.CancelledError):
            raise SystemExit(f"a listener failed: {outcome!r}")
    if took >= SECONDS and not all(heard):
        raise SystemExit(f"{heard.count(0)} of {count} listeners heard nothing of the jobs that were submitted")
    return calls, memory

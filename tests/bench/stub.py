"""The gateway by itself: in front of a stub that answers at once, against the plainest aiohttp pass-through, one process each, without nginx."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.bench.load import Sample, figures, reads, taken_in_turn
from tests.bench.servers import Bench, Server, gateway, stub
from tests.bench.table import Row, median_ratio
from tests.system.support import free_port, wait_for

PATH = "/slurm/v0.0.38/ping"
AIM = 1.5
BODY = '{"meta":{"plugin":{"type":"openapi/v0.0.38","name":"REST v0.0.38"}},"errors":[],"pings":[{"hostname":"stub","ping":"UP","status":0}]}'
WAYS: dict[str, dict[str, str]] = {"each sent on": {"Cache-Control": "no-cache"}, "shared": {}}


def measure(bench: Bench) -> list[Row]:
    """Compare at 1, 16 and 64 connections: reads that are all sent on, which is what the aim is for, and shared ones."""
    rows = []
    with stub(bench, BODY) as behind, gateway(bench, upstream=behind.address, tcp=True) as ours, _bare(behind) as bare:
        people = [person.ours() for person in bench.people]
        ways = {"bare": partial(reads, f"http://{bare.address}", PATH, people)}
        for name, more in WAYS.items():
            ways[name] = partial(reads, f"http://{ours.address}", PATH, [headers | more for headers in people])
        for connections in (1, 16, 64):
            watched = {name: {"proxy": (bare if name == "bare" else ours).pid, "stub": behind.pid} for name in ways}
            bursts = {name: partial(load, connections, bench.seconds, watched[name]) for name, load in ways.items()}
            taken = taken_in_turn(bursts, bench.rounds)
            rows += [_row(name, connections, taken) for name in WAYS]
    return rows


@contextlib.contextmanager
def _bare(behind: Server) -> Iterator[Server]:
    port = free_port()
    words = ["nice", "-n", "-5", sys.executable, "-m", "tests.bench.bare_proxy", str(port), behind.address.removeprefix("unix:")]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port), 10, "the bare proxy")
        yield Server(process.pid, f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _row(name: str, connections: int, taken: dict[str, list[Sample]]) -> Row:
    ours, theirs = taken[name], taken["bare"]
    ratio = median_ratio([one.per_second for one in ours], [one.per_second for one in theirs])
    aimed = name == "each sent on"
    return Row(
        work=f"a stub that answers at once, one worker, {connections} connection{'s' * (connections > 1)}, {name}",
        without=f"aiohttp alone: {figures(theirs)}",
        ours=figures(ours),
        ratio=f"{ratio:.2f}",
        aim=f"≥ {AIM}" if aimed else "",
        met=ratio >= AIM if aimed else None,
    )

"""A small GET of distinct people through nginx: with shared reads as they are, and with each request sent on to slurmrestd."""

from __future__ import annotations

import statistics
from functools import partial

from tests.bench.load import Sample, figures, reads, taken_in_turn
from tests.bench.servers import Bench, front, gateway
from tests.bench.table import Row, median_ratio

PATH = "/slurm/v0.0.38/ping"
AIM_RATIO, AIM_MILLISECONDS = 0.90, 1.0
WAYS = {"as it is": {}, "`Cache-Control: no-cache`": {"Cache-Control": "no-cache"}}


def measure(bench: Bench) -> list[Row]:
    """Compare both with nginx → slurmrestd, at 1 and at 16 connections."""
    rows = []
    with (
        gateway(bench, upstream=bench.site.told["slurmrestd"]) as ours,
        front(bench, to_gateway=ours.address, direct=bench.site.told["slurmrestd"]) as nginx,
    ):
        processes = {"nginx": nginx.pid, "gateway": ours.pid, "slurmrestd": bench.site.told["pids"]["slurmrestd"]}
        ways = {"direct": partial(reads, nginx.direct, PATH, [person.direct() for person in bench.people])}
        for name, more in WAYS.items():
            ways[name] = partial(reads, nginx.ours, PATH, [person.ours() | more for person in bench.people])
        for connections in (1, 16):
            for load in ways.values():
                load(connections, 1)
            taken = taken_in_turn({name: partial(load, connections, bench.seconds, processes) for name, load in ways.items()}, bench.rounds)
            rows += [_row(connections, name, taken[name], taken["direct"]) for name in WAYS]
    return rows


def _row(connections: int, name: str, ours: list[Sample], theirs: list[Sample]) -> Row:
    ratio = median_ratio([one.per_second for one in ours], [one.per_second for one in theirs])
    more = statistics.median(mine.p50 - other.p50 for mine, other in zip(ours, theirs, strict=True))
    alone = connections == 1
    return Row(
        work=f"`GET {PATH}`, {connections} connection{'s' * (not alone)}, {name}",
        without=figures(theirs),
        ours=figures(ours),
        ratio=f"{more:+.2f} ms" if alone else f"{ratio:.2f}",
        aim=f"at most +{AIM_MILLISECONDS:.0f} ms" if alone else f"≥ {AIM_RATIO:.2f}",
        met=more <= AIM_MILLISECONDS if alone else ratio >= AIM_RATIO,
    )

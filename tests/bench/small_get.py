"""A small GET of distinct people through nginx: with shared reads as they are, and with each request sent on to slurmrestd."""

from __future__ import annotations

import statistics
from functools import partial

from tests.bench.load import Sample, reads
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
            taken = _taken(ways, connections, bench, processes)
            rows += [_row(connections, name, taken[name], taken["direct"]) for name in WAYS]
    return rows


def _taken(ways: dict[str, partial[Sample]], connections: int, bench: Bench, processes: dict[str, int]) -> dict[str, list[Sample]]:
    taken: dict[str, list[Sample]] = {name: [] for name in ways}
    for number in range(bench.rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            taken[name].append(ways[name](connections, bench.seconds, processes))
    return taken


def _row(connections: int, name: str, ours: list[Sample], theirs: list[Sample]) -> Row:
    ratio = median_ratio([one.per_second for one in ours], [one.per_second for one in theirs])
    more = statistics.median(mine.p50 - other.p50 for mine, other in zip(ours, theirs, strict=True))
    alone = connections == 1
    return Row(
        work=f"`GET {PATH}`, {len(WAYS) and connections} connection{'s' * (not alone)}, {name}",
        without=_figures(theirs),
        ours=_figures(ours),
        ratio=f"{more:+.2f} ms" if alone else f"{ratio:.2f}",
        aim=f"at most +{AIM_MILLISECONDS:.0f} ms" if alone else f"≥ {AIM_RATIO:.2f}",
        met=more <= AIM_MILLISECONDS if alone else ratio >= AIM_RATIO,
    )


def _figures(samples: list[Sample]) -> str:
    median = {key: statistics.median(getattr(sample, key) for sample in samples) for key in ("per_second", "p50")}
    spent = {name: statistics.median(sample.cpu[name] for sample in samples) for name in samples[0].cpu}
    cpu = ", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items())
    return f"{median['per_second']:.0f}/s, p50 {median['p50']:.2f} ms (CPU ms each: {cpu})"

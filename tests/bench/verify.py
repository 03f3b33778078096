"""An application behind the gateway's sign-in, nginx keeping the answers of ``/auth/verify``, against the same application without it."""

from __future__ import annotations

import statistics
from functools import partial

from tests.bench.load import Sample, reads
from tests.bench.servers import Bench, front, gateway, stub
from tests.bench.table import Row, median_ratio

PATH = "/portal/things"
AIM = 0.95
CONNECTIONS = 16


def measure(bench: Bench) -> list[Row]:
    """Compare nginx → application with and without asking who it is."""
    with stub(bench, '{"things":[]}') as behind, gateway(bench, upstream=bench.site.told["slurmrestd"]) as ours:
        options = [f"--application=/portal/={behind.address}", f"--verify-cache={bench.folder}/verify"]
        with front(bench, to_gateway=ours.address, direct=behind.address, render=options) as nginx:
            processes = {"nginx": nginx.pid, "gateway": ours.pid}
            people = [person.ours() for person in bench.people]
            ways = {"direct": partial(reads, nginx.direct, PATH, people), "ours": partial(reads, nginx.ours, PATH, people)}
            taken: dict[str, list[Sample]] = {name: [] for name in ways}
            for load in ways.values():
                load(CONNECTIONS, 1)
            for number in range(2 * bench.rounds):
                for name in ways if number % 2 == 0 else reversed(ways):
                    taken[name].append(ways[name](CONNECTIONS, bench.seconds, processes))
    ratio = median_ratio([one.per_second for one in taken["ours"]], [one.per_second for one in taken["direct"]])
    figures = {name: _figures(samples) for name, samples in taken.items()}
    row = Row(
        work=f"`auth_request`, {CONNECTIONS} connections",
        without=figures["direct"],
        ours=figures["ours"],
        ratio=f"{ratio:.2f}",
        aim=f"≥ {AIM}",
        met=ratio >= AIM,
    )
    return [row]


def _figures(samples: list[Sample]) -> str:
    rate = statistics.median(one.per_second for one in samples)
    spent = {name: statistics.median(sample.cpu[name] for sample in samples) for name in samples[0].cpu}
    return f"{rate:.0f}/s (CPU ms each: {', '.join(f'{name} {cpu:.3f}' for name, cpu in spent.items())})"

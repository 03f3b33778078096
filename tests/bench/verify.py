"""An application behind the gateway's sign-in, nginx keeping the answers of ``/auth/verify``, against the same application without it."""

from __future__ import annotations

from functools import partial

from tests.bench.load import figures, reads, taken_in_turn
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
            for load in ways.values():
                load(CONNECTIONS, 1)
            taken = taken_in_turn({name: partial(load, CONNECTIONS, bench.seconds, processes) for name, load in ways.items()}, 2 * bench.rounds)
    ratio = median_ratio([one.per_second for one in taken["ours"]], [one.per_second for one in taken["direct"]])
    row = Row(
        work=f"`auth_request`, {CONNECTIONS} connections",
        without=figures(taken["direct"]),
        ours=figures(taken["ours"]),
        ratio=f"{ratio:.2f}",
        aim=f"≥ {AIM}",
        met=ratio >= AIM,
    )
    return [row]

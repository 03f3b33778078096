"""An application behind the gateway's sign-in, nginx keeping the answers of ``/auth/verify``, against the same application without it.

Both are locations of one server, with all the settings of our site; they differ in nothing but that the gateway is asked. What a bare
``proxy_pass`` without those settings does is told beside it.
"""

from __future__ import annotations

from functools import partial

from tests.bench.load import figures, reads, taken_in_turn
from tests.bench.servers import Bench, front, gateway, stub
from tests.bench.table import Row, median_ratio

ASKED, OPEN = "/portal/things", "/open/things"
AIM = 0.95
CONNECTIONS = 16


def measure(bench: Bench) -> list[Row]:
    """Compare nginx → application with and without asking who it is."""
    with stub(bench, '{"things":[]}') as behind, gateway(bench, upstream=bench.site.told["slurmrestd"]) as ours:
        options = [f"--application=/portal/={behind.address}", f"--application=/open/={behind.address}", f"--verify-cache={bench.folder}/verify"]
        with front(bench, to_gateway=ours.address, direct=behind.address, render=options, edit=_opened) as nginx:
            processes = {"nginx": nginx.pid, "gateway": ours.pid}
            people = [person.ours() for person in bench.people]
            ways = {
                "bare": partial(reads, nginx.direct, ASKED, people),
                "open": partial(reads, nginx.ours, OPEN, people),
                "asked": partial(reads, nginx.ours, ASKED, people),
            }
            for load in ways.values():
                load(CONNECTIONS, 1)
            taken = taken_in_turn({name: partial(load, CONNECTIONS, bench.seconds, processes) for name, load in ways.items()}, 2 * bench.rounds)
    rates = {name: [one.per_second for one in samples] for name, samples in taken.items()}
    ratio = median_ratio(rates["asked"], rates["open"])
    row = Row(
        work=f"`auth_request`, {CONNECTIONS} connections",
        without=f"{figures(taken['open'])}; a bare proxy_pass {figures(taken['bare'])}",
        ours=figures(taken["asked"]),
        ratio=f"{ratio:.2f} (of the bare one {median_ratio(rates['asked'], rates['bare']):.2f})",
        aim=f"≥ {AIM}",
        met=ratio >= AIM,
    )
    return [row]


def _opened(site: str) -> str:
    """Let everybody into /open/, as the same somebody."""
    before, location, after = site.partition("    location /open/ {")
    lines = [line for line in after.splitlines(keepends=True) if "auth_request" not in line]
    named = f"        set $sgw_verified 200;\n        set $sgw_user_name somebody;\n        set $sgw_user_token {'.'.join('abc')};\n"
    return before + location + "\n" + named + "".join(lines[1:])

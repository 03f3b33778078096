"""Load from wrk: requests of several people in turn, from a script that nobody else may read, since there are tokens in it."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import cpu

Headers = Mapping[str, str]

_SCRIPT = """
local given = {%s}
local ready, turn = {}, 0
function init(_) for n, headers in ipairs(given) do ready[n] = wrk.format("GET", "%s", headers) end end
function request() turn = turn %% #ready + 1 return ready[turn] end
"""
DONE = """
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("MEASURED %d %d %d %f %f %d %d\\n", summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst of load over one way; latencies in milliseconds, ``cpu`` in seconds that a process spent on 1,000 requests."""

    count: int
    seconds: float
    size: int
    p50: float
    p99: float
    refused: int
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.count / self.seconds

    @property
    def bytes_each(self) -> float:
        """Bytes of an answer, heads and all."""
        return self.size / self.count


def reads(base: str, path: str, people: Sequence[Headers], connections: int, seconds: float, processes: Mapping[str, int] | None = None) -> Sample:
    """Read ``path`` as these people in turn for some seconds; exit unless every request succeeds."""
    script = _SCRIPT % (",".join(map(lua_table, people)), path) + DONE
    sample = scripted(base, script, connections, seconds, processes)
    if sample.refused:
        raise SystemExit(f"{sample.refused} of {sample.count} requests for {path} did not succeed")
    return sample


def lua_table(headers: Headers) -> str:
    """Return headers as Lua writes them; JSON's strings are Lua's, for what stands in them."""
    return "{" + ",".join(f"[{json.dumps(name)}]={json.dumps(value)}" for name, value in headers.items()) + "}"


def scripted(base: str, script: str, connections: int, seconds: float, processes: Mapping[str, int] | None = None) -> Sample:
    """Have wrk run a script, one thread, so many connections; exit when a connection fails."""
    watched = processes or {}
    with tempfile.NamedTemporaryFile("w", prefix="sgw-bench-", suffix=".lua") as file:
        file.write(script)
        file.flush()
        before = {name: cpu(pid) for name, pid in watched.items()}
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s", "-s", file.name, base]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        spent = {name: cpu(pid) - before[name] for name, pid in watched.items()}
    line = next((line for line in done.stdout.splitlines() if line.startswith("MEASURED ")), None)
    if done.returncode or line is None:
        raise SystemExit(f"wrk failed:\n{done.stdout}{done.stderr}")
    count, took, size, p50, p99, refused, broken = (float(word) for word in line.split()[1:])
    if broken or not count:
        raise SystemExit(f"connections failed:\n{done.stdout}")
    return Sample(
        count=int(count),
        seconds=took / 1e6,
        size=int(size),
        p50=p50 / 1000,
        p99=p99 / 1000,
        refused=int(refused),
        cpu={name: 1000 * seconds_spent / count for name, seconds_spent in spent.items()},
    )


def beside(script: Path) -> str:
    """Return the path of a file that a script may write, as Lua writes it."""
    return json.dumps(str(script))


def figures(samples: Sequence[Sample], *, latency: bool = True) -> str:
    """Return the medians as a cell of the table has them."""
    rate = statistics.median(sample.per_second for sample in samples)
    wait = f", p50 {statistics.median(sample.p50 for sample in samples):.2f} ms" if latency else ""
    spent = {name: statistics.median(sample.cpu[name] for sample in samples) for name in samples[0].cpu}
    cpu_each = ", ".join(f"{name} {seconds:.3f}" for name, seconds in spent.items() if seconds)
    return f"{rate:.0f}/s{wait} (CPU ms each: {cpu_each})"


def taken_in_turn(ways: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Measure every way once a round, each round in the other order, so that neighbours in time can be compared."""
    taken: dict[str, list[Sample]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in ways if number % 2 == 0 else reversed(list(ways)):
            taken[name].append(ways[name]())
    return taken

"""The same small GET through nginx → slurmrestd and through nginx → gateway → slurmrestd, interleaved, on the real site.

Both ways end TLS in the same nginx with the same settings. Printed: requests a second, latency, and the CPU seconds that each process
spent on 1,000 requests. The ratios are medians over the rounds, each round comparing neighbours in time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt

from tests.bench.processes import cpu
from tests.bench.servers import running_site
from tests.system.support import Site, free_port, wait_for

PATH = "/slurm/v0.0.36/ping"
_LATENCY = re.compile(r"^\s+(50|99)%\s+([0-9.]+)(us|ms|s)$", re.MULTILINE)
_REQUESTS = re.compile(r"^\s+(\d+) requests in ([0-9.]+)s", re.MULTILINE)
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

DIRECT = """
upstream bench_slurmrestd {{ server unix:{socket}; keepalive 16; }}
server {{
    listen 127.0.0.1:{port} ssl http2;
    server_name bench.invalid;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
        proxy_pass http://bench_slurmrestd;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-SLURM-USER-NAME alice;
        proxy_set_header X-SLURM-USER-TOKEN {token};
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst of load over one way."""

    per_second: float
    p50: float
    p99: float
    cpu: dict[str, float]  # seconds a process spent on 1,000 requests


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--state", type=Path)
    arguments = parser.parse_args()
    with running_site(arguments.state) as site, _nginx(site) as (pids, direct, through):
        header = f"Authorization: Bearer {site.token('alice')}"
        processes = {**pids, **{name: site.told["pids"][name] for name in ("gateway", "slurmrestd", "slurmctld")}}
        _load(through, header, 4, 2, processes)  # nobody measures a cold start
        _load(direct, header, 4, 2, processes)
        print(f"\n`GET {PATH}` over TLS, {os.cpu_count()} cores, {arguments.rounds} rounds of {arguments.seconds} s each way, medians:\n")
        for connections in (1, 16):
            _compare(connections, arguments, header, direct, through, processes)
    return 0


@contextlib.contextmanager
def _nginx(site: Site) -> Iterator[tuple[dict[str, int], str, str]]:
    """Run an nginx of our own with the site's rendered file and, beside it, a server that leads to slurmrestd directly."""
    folder = Path(tempfile.mkdtemp(prefix="sgw-bench-nginx-"))
    through, direct = free_port(), free_port()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    token = jwt.encode({"sun": "alice", "exp": int(time.time()) + 7200}, Path(site.told["jwt_key"]).read_bytes(), algorithm="HS256")
    (folder / "direct.conf").write_text(
        DIRECT.format(socket=site.told["slurmrestd"].removeprefix("unix:"), port=direct, certificate=certificate, key=key, token=token)
    )
    (folder / "direct.conf").chmod(0o600)
    tls = ["--certificate", str(certificate), "--certificate-key", str(key)]
    site.gateway("nginx", "render", "--server-name", "127.0.0.1", "--listen", f"127.0.0.1:{through}", *tls, "--output", str(folder / "site.conf"))
    includes = ["--include", str(folder / "site.conf"), "--include", str(folder / "direct.conf")]
    logs = ["--error-log", str(folder / "error.log"), "--access-log", str(folder / "access.log"), "--pid", str(folder / "nginx.pid")]
    site.gateway("nginx", "main", *includes, *logs, "--temp-dir", str(folder), "--user", "root", "--output", str(folder / "nginx.conf"))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        wait_for((folder / "nginx.pid").exists, 10, "nginx")
        yield {"nginx": process.pid}, f"https://127.0.0.1:{direct}{PATH}", f"https://127.0.0.1:{through}{PATH}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _load(url: str, header: str, connections: int, seconds: int, processes: dict[str, int]) -> Sample:
    before = {name: cpu(pid) for name, pid in processes.items()}
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", header, url], capture_output=True, text=True, check=True
    )
    spent = {name: cpu(pid) - before[name] for name, pid in processes.items()}
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"not every request succeeded:\n{done.stdout}")
    found = _REQUESTS.search(done.stdout)
    if found is None:
        raise SystemExit(f"wrk said nothing that could be read:\n{done.stdout}")
    count, took = int(found[1]), float(found[2])
    latency = {percent: float(value) * _MILLISECONDS[unit] for percent, value, unit in _LATENCY.findall(done.stdout)}
    per_thousand = {name: 1000 * seconds_spent / count for name, seconds_spent in spent.items()}
    return Sample(per_second=count / took, p50=latency["50"], p99=latency["99"], cpu=per_thousand)


def _compare(connections: int, arguments: argparse.Namespace, header: str, direct: str, through: str, processes: dict[str, int]) -> None:
    samples: dict[str, list[Sample]] = {"nginx → slurmrestd": [], "nginx → gateway → slurmrestd": []}
    for number in range(arguments.rounds):
        ways = list(zip(samples, (direct, through), strict=True))
        for name, url in ways if number % 2 == 0 else reversed(ways):
            samples[name].append(_load(url, header, connections, arguments.seconds, processes))
    columns = ["way", "requests/s", "p50 ms", "p99 ms", *(f"{name} CPU s" for name in processes)]
    print(f"{connections} connection{'s' if connections > 1 else ''}:\n")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name, taken in samples.items():
        row = [statistics.median(getattr(sample, key) for sample in taken) for key in ("per_second", "p50", "p99")]
        cpu = [statistics.median(sample.cpu[process] for sample in taken) for process in processes]
        print(f"| {name} | {row[0]:.0f} | {row[1]:.2f} | {row[2]:.2f} | " + " | ".join(f"{value:.2f}" for value in cpu) + " |")
    without, through_gateway = samples.values()
    ratio = statistics.median(ours.per_second / theirs.per_second for ours, theirs in zip(through_gateway, without, strict=True))
    more = statistics.median(ours.p50 - theirs.p50 for ours, theirs in zip(through_gateway, without, strict=True))
    print(f"\nratio of requests/s {ratio:.2f}, median latency {more:+.2f} ms\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())

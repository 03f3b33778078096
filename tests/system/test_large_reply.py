"""A reply of thirty megabytes, with the worker's memory watched."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.support import Site

MIB = 1024 * 1024
# Slurm bounds each of these at about a thousand characters: together they make a job of nine kilobytes.
LONG_FIELDS = ("comment", "name", "standard_output", "standard_error", "standard_input", "wckey", "burst_buffer")
JOBS, SENDERS = 3600, 4


@pytest.fixture(scope="module")
def many_jobs(site: Site) -> int:
    """Submit so many long jobs, held, that /jobs grows above thirty megabytes; return how many."""
    job = site.job("bob", hold=True, **dict.fromkeys(LONG_FIELDS, "/" * 1000))
    body = json.dumps({"job": job, "script": "#!/bin/sh\ntrue\n"})
    headers = {"Authorization": f"Bearer {site.token('bob')}", "Content-Type": "application/json"}
    url = urlsplit(site.told["url"])

    def submit(count: int) -> Counter[str]:
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=site.tls(), timeout=60)
        answers: Counter[str] = Counter()
        for _ in range(count):
            connection.request("POST", "/slurm/v0.0.36/job/submit", body, headers)
            response = connection.getresponse()
            content = response.read()
            answers["accepted" if response.status == 200 else f"{response.status} {content!r}"] += 1
        connection.close()
        return answers

    with ThreadPoolExecutor(SENDERS) as threads:
        answers = sum(threads.map(submit, [JOBS // SENDERS] * SENDERS), Counter())
    assert answers == {"accepted": JOBS}
    return JOBS


def high_water(pid: int) -> int:
    """Return the most memory that the process has had, in bytes, since it was last asked to forget (proc(5): VmHWM, clear_refs)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_memory_does_not_grow_with_the_reply(site: Site, many_jobs: int) -> None:
    pid = json.loads((site.state / "demo.json").read_text())["pids"]["gateway"]
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = high_water(pid)
    url = urlsplit(site.told["url"])
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=site.tls(), timeout=120)
    connection.request("GET", "/slurm/v0.0.36/jobs", headers={"Authorization": f"Bearer {site.token('bob')}"})
    response = connection.getresponse()
    size, jobs = 0, 0
    while piece := response.read(65536):
        size += len(piece)
        jobs += piece.count(b'"job_id"')
    connection.close()
    assert size == int(response.headers["Content-Length"]) > 30 * MIB
    assert jobs >= many_jobs - size // 65536  # a name may lie across two pieces
    assert high_water(pid) - before < 8 * MIB

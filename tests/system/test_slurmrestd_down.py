"""slurmrestd stopped, hung, killed and started again under way; and what users are told meanwhile."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.system.support import Answer, Site, wait_for

PING = "/slurm/v0.0.36/ping"


@pytest.fixture
def stopped(site: Site) -> Iterator[None]:
    site.demo("stop", "slurmrestd")
    try:
        yield
    finally:
        site.demo("start", "slurmrestd")
        wait_for(lambda: site.call("alice", "GET", PING).status == 200, 20, "slurmrestd's return")


@pytest.mark.usefixtures("stopped")
def test_while_slurmrestd_is_down_the_answer_says_so_and_that_nothing_was_done(site: Site) -> None:
    answer = site.call("alice", "POST", "/slurm/v0.0.36/job/submit", {"job": site.job("alice"), "script": "#!/bin/sh\ntrue\n"})
    assert (answer.status, answer.reason) == (502, "upstream_unreachable")
    assert "not sent" in answer.json["detail"]
    assert answer.json["errors"][0]["source"] == "slurm-gateway"


@pytest.mark.usefixtures("stopped")
def test_while_slurmrestd_is_down_readiness_names_it(site: Site) -> None:
    def not_ready() -> dict[str, str] | None:
        try:
            urllib.request.urlopen(site.told["admin_url"] + "/health/ready", timeout=10)  # noqa: S310 - loopback
        except urllib.error.HTTPError as error:
            checks: dict[str, str] = json.load(error)["checks"]
            return checks
        return None

    checks = wait_for(not_ready, 10, "readiness") or {}
    assert {name: state == "ok" for name, state in checks.items()} == {"store": True, "directory": True, "audit": True, "slurmrestd": False}


def test_a_kept_connection_that_died_with_slurmrestd_costs_no_read(site: Site) -> None:
    assert site.call("alice", "GET", PING).status == 200
    site.demo("restart", "slurmrestd")
    assert site.call("alice", "GET", PING).status == 200


def test_reads_under_way_while_slurmrestd_restarts_succeed_or_are_told_why(site: Site) -> None:
    stop, seen = threading.Event(), Counter[str]()
    site.token("alice")

    def poll() -> None:
        while not stop.is_set():
            answer = site.call("alice", "GET", PING)
            seen[answer.reason or str(answer.status)] += 1

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        site.demo("restart", "slurmrestd")
        before = seen["200"]
        wait_for(lambda: seen["200"] > before + 20, 20, "answers after the restart")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {"200", "upstream_unreachable", "upstream_broken"}


def test_a_submission_whose_answer_was_lost_is_not_sent_again(site: Site) -> None:
    """slurmrestd is frozen, takes the submission into its socket, and is killed: whatever happened, it happened once at most."""
    name = f"lost-{os.getpid()}"
    pid = json.loads((site.state / "demo.json").read_text())["pids"]["slurmrestd"]
    answers: list[Answer] = []

    def submit() -> None:
        tree = {"job": site.job("alice", name=name, hold=True), "script": "#!/bin/sh\ntrue\n"}
        answers.append(site.call("alice", "POST", "/slurm/v0.0.36/job/submit", tree))

    site.token("alice")
    os.kill(pid, signal.SIGSTOP)
    sender = threading.Thread(target=submit)
    sender.start()
    try:
        wait_for(lambda: "slurm_gateway_upstream_connections" in _metrics(site) and _taken(site) >= 1, 10, "the request's leaving")
    finally:
        os.kill(pid, signal.SIGKILL)
        sender.join(30)
        site.demo("start", "slurmrestd")
    assert (answers[0].status, answers[0].reason) == (502, "upstream_broken")
    assert "not known" in answers[0].json["detail"]
    wait_for(lambda: site.call("alice", "GET", PING).status == 200, 20, "slurmrestd's return")
    jobs = site.call("alice", "GET", "/slurm/v0.0.36/jobs").json["jobs"]
    assert sum(job["name"] == name for job in jobs) <= 1


def _metrics(site: Site) -> str:
    with urllib.request.urlopen(site.told["admin_url"] + "/metrics", timeout=10) as response:  # noqa: S310 - loopback
        return str(response.read().decode())


def _taken(site: Site) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in _metrics(site).splitlines() if line.startswith("slurm_gateway_upstream_connections{"))

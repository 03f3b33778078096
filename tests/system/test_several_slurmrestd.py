"""A cluster with three slurmrestd: one is killed under way and comes back, one hangs; nobody's read fails, and no job is lost or doubled."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.second_gateway import SecondGateway, UnixConnection, second_gateway
from tests.system.support import Site, wait_for

PING, SUBMIT = "/slurm/v0.0.36/ping", "/slurm/v0.0.36/job/submit"
SETTINGS = 'connect_timeout = "2s"\nbreaker_silence = "1s"\nbreaker_open = "500ms"\n'


@dataclass(slots=True)
class Slurmrestd:
    """One beside the site's own: the same program for the same user in the same namespaces, on a socket of its own."""

    site: Site
    socket: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        pid = json.loads((self.site.state / "demo.json").read_text())["pids"]["slurmrestd"]
        model = Path(f"/proc/{pid}")
        owner = model.stat()
        words = model.joinpath("cmdline").read_text().split("\0")[:-2]
        inside = ["nsenter", f"--target={pid}", "--mount", "--uts", "--pid", "--wdns=/", "--"]
        user = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
        variables = dict(line.split("=", 1) for line in model.joinpath("environ").read_text().split("\0") if line)
        self.process = subprocess.Popen(
            [*inside, *user, *words, f"unix:{self.socket}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=variables,
            umask=0o007,
        )
        wait_for(self.answers, 20, "an answer of slurmrestd's")

    def answers(self) -> bool:
        """Say whether it refuses strangers, as it does when it is there."""
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", "/openapi")
            return connection.getresponse().status == 401
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self.process is not None
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            os.kill(int(child), number)
        if number is signal.SIGCONT:
            self.process.send_signal(number)  # nsenter stops when its child does

    def kill(self) -> None:
        """Kill it as the kernel would, out of memory."""
        if self.process is not None:
            self.send(signal.SIGKILL)
            self.process.wait(10)
            self.process = None


@dataclass(slots=True)
class Three:
    """The three, and a gateway that knows them."""

    slurmrestd: list[Slurmrestd]
    gateway: SecondGateway

    def left_alone(self, number: int) -> int:
        """Return how many workers leave one of them alone at this moment; metrics tell it up to two seconds later."""
        left, back = (
            sum(int(line["endpoint"]) == number for line in self.gateway.said(event))
            for event in ("slurmrestd_left_alone", "slurmrestd_answers_again")
        )
        return left - back


@pytest.fixture(scope="module")
def three(site: Site) -> Iterator[Three]:
    folder = Path(site.told["slurmrestd"].removeprefix("unix:")).parent
    some = [Slurmrestd(site, folder / f"{number}.sock") for number in range(3)]

    def edit(config: str) -> str:
        urls = ", ".join(f'"unix:{one.socket}"' for one in some)
        return re.sub(r'(?m)^url = "unix:.*slurmrestd.*"$', f"urls = [{urls}]\n{SETTINGS}", config)

    try:
        for one in some:
            one.start()
        with second_gateway(site, edit) as gateway:
            yield Three(some, gateway)
    finally:
        for one in some:
            one.kill()
            one.socket.unlink(missing_ok=True)


@dataclass(slots=True)
class Load:
    """Reads of bob's and submissions of alice's, side by side, and what became of each."""

    site: Site
    gateway: SecondGateway
    prefix: str
    stop: threading.Event = field(default_factory=threading.Event)
    reads: Counter[str] = field(default_factory=Counter)
    submissions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def read(self) -> None:
        headers = [("Authorization", f"Bearer {self.site.token('bob')}")]
        while not self.stop.is_set():
            answer = self.gateway.ask("GET", PING, headers=headers)
            self.reads[answer.reason or str(answer.status)] += 1

    def submit(self, sender: int) -> None:
        headers = [("Authorization", f"Bearer {self.site.token('alice')}"), ("Content-Type", "application/json")]
        number = 0
        while not self.stop.wait(0.02):
            name = f"{self.prefix}-{sender}-{number}"
            tree = {"job": self.site.job("alice", name=name, hold=True), "script": "#!/bin/sh\ntrue\n"}
            answer = self.gateway.ask("POST", SUBMIT, headers=headers, body=json.dumps(tree).encode())
            self.submissions[answer.reason or str(answer.status)].append(name)
            number += 1

    def more(self, count: int = 30) -> None:
        """Wait for so many more reads."""
        before = self.reads.total()
        wait_for(lambda: self.reads.total() > before + count, 30, "more reads")


@contextlib.contextmanager
def load(site: Site, three: Three, prefix: str) -> Iterator[Load]:
    """Read and submit until the block is left, and let what is under way end."""
    site.token("alice")
    site.token("bob")
    some = Load(site, three.gateway, f"{prefix}-{os.getpid()}")
    threads = [threading.Thread(target=some.read) for _ in range(4)] + [threading.Thread(target=some.submit, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield some
    finally:
        some.stop.set()
        for thread in threads:
            thread.join(60)


def jobs(site: Site, prefix: str) -> Counter[str]:
    """Return how often there is a job of each name."""
    tree = site.call("alice", "GET", "/slurm/v0.0.36/jobs").json
    return Counter(job["name"] for job in tree["jobs"] if job["name"].startswith(prefix))


def test_when_one_is_killed_no_read_fails_and_no_job_is_lost_or_doubled_and_it_is_used_when_it_is_back(site: Site, three: Three) -> None:
    with load(site, three, "killed") as some:
        some.more()
        three.slurmrestd[0].kill()
        some.more(100)
        three.slurmrestd[0].start()
        wait_for(lambda: not three.left_alone(0), 20, "its return")
        some.more(100)
        for other in three.slurmrestd[1:]:  # the last one left is the one that was killed
            other.kill()
            some.more(100)
    for other in three.slurmrestd[1:]:
        other.start()
    found = jobs(site, some.prefix)
    assert set(some.reads) == {"200"}
    assert set(some.submissions) <= {"200", "upstream_broken"}
    assert {name: found[name] for name in some.submissions["200"]} == dict.fromkeys(some.submissions["200"], 1)
    assert all(found[name] <= 1 for name in some.submissions["upstream_broken"])
    assert len(some.submissions["upstream_broken"]) <= 3 * 2  # what was under way at the three that were killed
    assert found.total() <= sum(map(len, some.submissions.values()))


def test_when_one_hangs_reads_go_elsewhere_and_submissions_are_answered_when_it_goes_on(site: Site, three: Three) -> None:
    with load(site, three, "hung") as some:
        wait_for(lambda: not any(map(three.left_alone, range(3))), 20, "their health")
        three.slurmrestd[1].send(signal.SIGSTOP)
        try:
            wait_for(lambda: three.left_alone(1), 20, "the gateway's finding out")
            some.more(100)
        finally:
            three.slurmrestd[1].send(signal.SIGCONT)
        wait_for(lambda: not three.left_alone(1), 20, "its return")
        some.more()
    found = jobs(site, some.prefix)
    assert set(some.reads) == {"200"}
    assert set(some.submissions) == {"200"}
    assert found == Counter(some.submissions["200"])

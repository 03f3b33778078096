"""Idempotency keys on the real site: the gateway is killed at each moment of a submission, and no job is there twice or lost without a word.

The gateway is one of the test's own, before somebody who stands where slurmrestd is and holds requests and answers, so that each moment is exact.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from tests.system import chain as chains
from tests.system.chain import Chain, Seen, at_once, chain, family
from tests.system.support import START, Answer, Site, free_port, runs, wait_for

# A token lives for as short as it may, so that it is soon known what cannot come any more.
SLURM = 'token_lifetime = "10s"\n'
SUBMISSIONS = 'settle = "2s"\n'
LIMIT = 60.0


def version(site: Site) -> str:
    return str(site.told["api_versions"][-1])


def body(site: Site, name: str, of: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a submission in the form of a version."""
    job = site.job("alice", name=name, **more)
    if int((of or version(site)).rpartition(".")[2]) >= 39:
        job["environment"] = ["PATH=/bin:/usr/bin"]
    return {"job": job, "script": "#!/bin/sh\ntrue\n"}


def new_name() -> str:
    return f"once-{secrets.token_hex(6)}"


def jobs(site: Site, name: str) -> list[dict[str, Any]]:
    """Return what Slurm itself has under a name, as the site's own door shows it, whoever's it is."""
    answer = site.call("alice", "GET", f"/slurm/{version(site)}/jobs", timeout=60)
    assert answer.status == 200, answer.body
    return [job for job in answer.json["jobs"] if job["name"] == name]


@dataclass(slots=True)
class Hold:
    """Stands where slurmrestd does: ``passes`` submissions on to it when ``before`` is set, and gives the answer back when ``after`` is."""

    chain: Chain
    before: threading.Event = field(default_factory=threading.Event)
    after: threading.Event = field(default_factory=threading.Event)
    has_request: threading.Event = field(default_factory=threading.Event)
    has_answer: threading.Event = field(default_factory=threading.Event)
    was_read: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.chain.witness.answer = self
        return self

    def __exit__(self, *_: object) -> None:
        self.before.set()
        self.after.set()
        self.chain.witness.answer = None

    def __call__(self, connection: socket.socket, request: Seen) -> None:
        if not request.request_line.startswith("POST"):
            return self.chain.witness._relay(connection, request)
        self.has_request.set()
        assert self.before.wait(LIMIT)
        answer = _ask(self.chain.witness._real, request)
        self.has_answer.set()
        assert self.after.wait(LIMIT)
        with contextlib.suppress(OSError):
            connection.sendall(answer)
            self.was_read.set()
        return None


def _ask(path: str, request: Seen) -> bytes:
    """Ask the real slurmrestd."""
    with socket.socket(socket.AF_UNIX) as real:
        real.connect(path)
        real.sendall(request.head + request.body)
        answer = b""
        while not chains._is_whole(answer) and (piece := real.recv(65536)):
            answer += piece
    return answer


class Door:
    """The test's own gateway: it can be killed and started again; what it is asked is asked on a thread."""

    def __init__(self, chained: Chain, stack: contextlib.ExitStack, admin: int) -> None:
        self.chain = chained
        self.site = chained.site
        self._stack = stack
        self._admin = admin
        self._pid = chained.gateway_pid
        self._pool = stack.enter_context(ThreadPoolExecutor(32))

    def submit(self, key: str, tree: object, user: str = "alice", path: str | None = None) -> Answer:
        headers = [("Authorization", f"Bearer {self.site.token(user)}"), ("Content-Type", "application/json"), ("Idempotency-Key", f'"{key}"')]
        content = json.dumps(tree).encode()
        return self.site.ask("POST", path or f"/slurm/{version(self.site)}/job/submit", headers=headers, body=content)

    def begin(self, key: str, tree: object) -> Future[Answer]:
        self.site.token("alice")
        return self._pool.submit(self.submit, key, tree)

    def submit_until_known(self, key: str, tree: object) -> Answer:
        """Send it again and again while the answer is that it is not known, as a careful client would."""

        def known() -> Answer | None:
            answer = self.submit(key, tree)
            if answer.status == 409:
                assert answer.reason in {"idempotency_under_way", "submission_unknown"}
                time.sleep(min(1.0, float(answer.headers.get("Retry-After", "1"))))
                return None
            return answer

        answer = wait_for(known, LIMIT, "an end")
        assert answer is not None
        return answer

    def kill(self) -> None:
        pids = family(self._pid)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(runs, pids)), 10, "the gateway's end")

    def start(self) -> None:
        folder = self.chain.folder
        words = [*self.site.told["command"], "--config", str(folder / "gateway.toml"), "serve"]
        self._pid = chains._start(self._stack, words, folder, "gateway.log", (folder / "gateway").stat())
        wait_for(lambda: chains._serves(folder / "gateway.log", self._pid, 1), START, "the gateway's return")

    def under_way(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("slurm_gateway_requests_under_way"))

    def rows(self, where: str = "1 = 1") -> int:
        with contextlib.closing(sqlite3.connect(self._store(), timeout=10)) as store:
            count: int = store.execute(f"SELECT count(*) FROM submissions WHERE {where}").fetchone()[0]  # noqa: S608 - words of the test's
            return count

    @contextlib.contextmanager
    def store_locked(self) -> Iterator[None]:
        """Let nobody write to the store."""
        with contextlib.closing(sqlite3.connect(self._store(), timeout=10, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                store.execute("ROLLBACK")

    def _store(self) -> Path:
        text = (self.chain.folder / "gateway.toml").read_text()
        [path] = [line.partition("sqlite:///")[2].rstrip('"') for line in text.splitlines() if "sqlite:///" in line]
        return Path(path)


@contextlib.contextmanager
def opened(site: Site, **settings: str) -> Iterator[Door]:
    admin = free_port()
    tables = {"server": f'admin_listen = "127.0.0.1:{admin}"\n', "slurm": SLURM, "submissions": SUBMISSIONS, **settings}
    with contextlib.ExitStack() as stack:
        chained = stack.enter_context(chain(site, settings=tables))
        yield Door(chained, stack, admin)


@pytest.fixture(scope="module")
def door(site: Site) -> Iterator[Door]:
    with opened(site) as made:
        yield made


# Killed.


def test_killed_before_the_key_is_claimed(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree, before = body(door.site, name), door.rows()
    with door.store_locked():
        lost = door.begin(key, tree)
        # One is this very question's.
        wait_for(lambda: door.under_way() >= 1, 10, "the request's arrival")
        door.kill()
    assert lost.exception() is not None or lost.result().status >= 500
    assert door.rows() == before
    door.start()
    answer = door.submit(key, tree)
    assert (answer.status, answer.headers.get("Idempotency-Replayed")) == (200, None)
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]


def test_killed_after_the_claim_and_before_anything_was_sent(site: Site) -> None:
    key, name = secrets.token_hex(8), new_name()
    with opened(site) as door:
        config = door.chain.folder / "gateway.toml"
        config.write_text(config.read_text().replace("[clusters.demo]\n", "[clusters.demo]\npool = 1\n"))
        door.kill()
        door.start()
        tree, before = body(site, name), door.rows("status = 0")
        with Hold(door.chain) as hold:
            # The one connection is taken.
            other = door.begin(secrets.token_hex(8), body(site, new_name()))
            assert hold.has_request.wait(LIMIT)
            lost = door.begin(key, tree)
            wait_for(lambda: door.rows("status = 0") == before + 2, 10, "the claim")
            door.kill()
        for answer in (other, lost):
            assert answer.exception() is not None or answer.result().status >= 500
        assert [request for request in door.chain.witness.taken() if name.encode() in request.body] == []
        door.start()
        first = door.submit(key, tree)
        assert (first.status, first.reason) == (409, "idempotency_under_way")
        last = door.submit_until_known(key, tree)
        assert last.status == 200, last.body
        assert [job["job_id"] for job in jobs(site, name)] == [last.json["job_id"]]


def test_killed_while_slurmrestd_has_it_and_before_slurm_does(door: Door) -> None:
    """What was lost on the way is sent anew; what comes late after all, within its token's life, is found."""
    key, name = secrets.token_hex(8), new_name()
    tree = body(door.site, name)
    with Hold(door.chain) as hold:
        lost = door.begin(key, tree)
        assert hold.has_request.wait(LIMIT)
        door.kill()
        assert lost.exception() is not None or lost.result().status >= 500
        door.start()
        assert door.submit(key, tree).reason == "idempotency_under_way"
        hold.before.set()  # now it comes
        assert hold.has_answer.wait(LIMIT)
    answer = door.submit_until_known(key, tree)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, "true")
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]


def test_killed_while_it_was_lost_on_its_way_to_slurm(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree, arrived = body(door.site, name), threading.Event()

    def lose(connection: socket.socket, request: Seen) -> None:
        if not request.request_line.startswith("POST"):
            return door.chain.witness._relay(connection, request)
        arrived.set()
        return None

    door.chain.witness.answer = lose
    lost = door.begin(key, tree)
    assert arrived.wait(LIMIT)
    door.kill()
    door.chain.witness.answer = None
    assert lost.exception() is not None or lost.result().status >= 500
    door.start()
    answer = door.submit_until_known(key, tree)
    assert (answer.status, answer.headers.get("Idempotency-Replayed")) == (200, None)
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]


def test_killed_after_slurm_had_it_and_before_the_answer(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree = body(door.site, name)
    with Hold(door.chain) as hold:
        lost = door.begin(key, tree)
        hold.before.set()
        assert hold.has_answer.wait(LIMIT)
        door.kill()
    assert lost.exception() is not None or lost.result().status >= 500
    door.start()
    answer = door.submit_until_known(key, tree)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, "true")
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]
    assert door.submit(key, tree).body == answer.body


def test_killed_after_the_answer_and_before_it_is_kept(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree, before = body(door.site, name), door.rows("status != 0")
    with Hold(door.chain) as hold:
        lost = door.begin(key, tree)
        hold.before.set()
        assert hold.has_answer.wait(LIMIT)
        with door.store_locked():
            hold.after.set()
            assert hold.was_read.wait(LIMIT)
            door.kill()
    assert lost.exception() is not None or lost.result().status >= 500
    assert door.rows("status != 0") == before
    door.start()
    answer = door.submit_until_known(key, tree)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, "true")
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]


def test_killed_after_the_answer_is_kept_and_before_its_sender_had_it(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree, before = body(door.site, name), door.rows("status != 0")
    url, content = urlsplit(door.site.told["url"]), json.dumps(tree).encode()
    head = [
        f"POST /slurm/{version(door.site)}/job/submit HTTP/1.1",
        f"Host: {url.netloc}",
        f"Authorization: Bearer {door.site.token('alice')}",
        "Content-Type: application/json",
        f"Idempotency-Key: {key}",
        f"Content-Length: {len(content)}",
    ]
    with Hold(door.chain) as hold:
        plain = socket.create_connection((url.hostname, url.port), timeout=LIMIT)
        with door.site.tls().wrap_socket(plain, server_hostname=url.hostname) as client:
            client.sendall("\r\n".join([*head, "", ""]).encode() + content)
            hold.before.set()
            assert hold.has_answer.wait(LIMIT)
        hold.after.set()
        wait_for(lambda: door.rows("status != 0") == before + 1, 10, "the answer's keeping")
        door.kill()
    door.start()
    answer = door.submit(key, tree)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, "true")
    assert [job["job_id"] for job in jobs(door.site, name)] == [answer.json["job_id"]]


# Lost.


@pytest.mark.parametrize("own_comment", [False, True], ids=["marked", "by its name"])
@pytest.mark.parametrize("number", range(3))
def test_a_lost_answer_is_made_up_for_in_each_version(door: Door, number: int, own_comment: bool) -> None:
    of = str(door.site.told["api_versions"][number])
    key, name = secrets.token_hex(8), new_name()
    tree = body(door.site, name, of, **({"comment": "mine"} if own_comment else {}))

    def lose(connection: socket.socket, request: Seen) -> None:
        if not request.request_line.startswith("POST"):
            return door.chain.witness._relay(connection, request)
        told.append(_ask(door.chain.witness._real, request))
        connection.shutdown(socket.SHUT_RDWR)
        return None

    told: list[bytes] = []
    door.chain.witness.answer = lose
    try:
        answer = door.submit(key, tree, path=f"/slurm/{of}/job/submit")
    finally:
        door.chain.witness.answer = None
    assert answer.status == 200, answer.body
    real = json.loads(told[0].partition(b"\r\n\r\n")[2])
    assert shape({**real, "meta": 0}) == shape({**answer.json, "meta": 0})
    assert answer.json["job_id"] == real["job_id"]
    [job] = jobs(door.site, name)
    assert job["comment"].startswith("mine" if own_comment else "idempotency:")


def shape(value: Any) -> Any:
    """Return what an answer looks like, whatever its values are."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value)


def test_a_slurmctld_that_is_too_slow_to_answer_makes_no_second_job(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree = body(door.site, name)
    pid = int(door.site.told["pids"]["slurmctld"])
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = door.submit(key, tree)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (answer.status, answer.reason) in {(504, "upstream_timeout"), (502, "upstream_broken")}
    assert "timed out" in answer.json["detail"]
    assert "not known" in answer.json["detail"]
    last = door.submit_until_known(key, tree)
    assert last.status == 200, last.body
    assert [job["job_id"] for job in jobs(door.site, name)] == [last.json["job_id"]]


def test_what_slurmctld_may_have_forgotten_is_asked_of_slurmdbd(site: Site) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree = body(site, name)
    with opened(site, submissions=SUBMISSIONS + 'job_age = "3s"\n') as door:

        def lose(connection: socket.socket, request: Seen) -> None:
            if request.request_line.startswith("POST"):
                connection.shutdown(socket.SHUT_RDWR)
            else:
                door.chain.witness._relay(connection, request)

        door.chain.witness.answer = lose
        assert door.submit(key, tree).reason == "upstream_broken"
        door.chain.witness.answer = None
        answer = door.submit_until_known(key, tree)
        asked = [request.request_line for request in door.chain.witness.taken()]
    assert (answer.status, answer.headers.get("Idempotency-Replayed")) == (200, None)
    assert [line for line in asked if line.startswith(f"GET /slurmdb/{version(site)}/jobs?start_time=uts")] != []
    assert [job["job_id"] for job in jobs(site, name)] == [answer.json["job_id"]]


# Without a mishap.


def test_of_sixteen_with_one_key_one_becomes_a_job(site: Site) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree = body(site, name)
    with chain(site, settings={"submissions": SUBMISSIONS}, workers=2) as chained, contextlib.ExitStack() as stack:
        door = Door(chained, stack, 0)
        site.token("alice")
        answers = at_once(lambda _: door.submit(key, tree), {str(number): number for number in range(16)})
        last = door.submit(key, tree)
    assert (last.status, last.headers["Idempotency-Replayed"]) == (200, "true")
    assert {answer.reason if answer.status == 409 else answer.json["job_id"] for answer in answers.values()} <= {
        "idempotency_under_way",
        last.json["job_id"],
    }
    assert [job["job_id"] for job in jobs(site, name)] == [last.json["job_id"]]


def test_a_key_is_good_for_one_body_and_one_person(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    answer = door.submit(key, body(door.site, name))
    assert answer.status == 200
    other = door.submit(key, body(door.site, name, time_limit=5))
    assert (other.status, other.reason) == (422, "idempotency_key_reused")
    tree = body(door.site, name)
    tree["job"]["current_working_directory"] = str(door.site.home("bob"))
    bobs = door.submit(key, tree, user="bob")
    assert (bobs.status, bobs.headers.get("Idempotency-Replayed")) == (200, None)
    assert bobs.json["job_id"] != answer.json["job_id"]


def test_a_refusal_of_slurms_is_the_same_refusal_again(door: Door) -> None:
    key, name = secrets.token_hex(8), new_name()
    tree = body(door.site, name, partition="nowhere")
    first, again = door.submit(key, tree), door.submit(key, tree)
    assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (first.status, first.body, "true")
    assert first.status == 400
    assert jobs(door.site, name) == []


def test_a_key_that_is_none_is_refused_with_how_to_write_it(door: Door) -> None:
    answer = door.submit("a b", body(door.site, new_name()))
    assert (answer.status, answer.reason) == (400, "bad_request")
    assert "Idempotency-Key:" in answer.json["hint"]

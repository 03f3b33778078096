"""What two nodes on one PostgreSQL keep when one of them, or PostgreSQL itself, is lost."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest

from tests.system.support import Answer, Site, wait_for
from tests.system.two_nodes import Node, TwoNodes, two_nodes

PING = "/slurm/v0.0.36/ping"
OUTAGE = 10.0


@pytest.fixture(scope="module")
def nodes(site: Site) -> Iterator[TwoNodes]:
    with two_nodes(site) as started:
        yield started


@pytest.fixture(autouse=True)
def _all_is_well(nodes: TwoNodes) -> None:
    """What a test before this one ended is there again."""
    for node in (nodes.a, nodes.b):
        if node.process is None or node.process.poll() is not None:
            node.start()


class Load:
    """Threads that ask the same thing again and again until they are stopped, and keep what was answered."""

    def __init__(self, ask: Callable[[int], Answer], threads: int = 4) -> None:
        self.answers: dict[int, Answer] = {}
        self.broken = 0
        self._ask = ask
        self._over = threading.Event()
        self._numbers = iter(range(1_000_000))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._over.is_set():
            with self._lock:
                number = next(self._numbers)
            try:
                self.answers[number] = self._ask(number)
            except OSError:
                self.broken += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = len(self.answers) + count
        wait_for(lambda: len(self.answers) >= wanted, 60, f"{count} answers")

    @property
    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers.values()}


def test_a_session_is_known_to_both_nodes_and_its_end_within_a_second(nodes: TwoNodes) -> None:
    session = nodes.session()
    assert [node.ask("GET", PING, headers=session).status for node in (nodes.a, nodes.b, nodes.a, nodes.b)] == [200] * 4
    assert nodes.a.ask("DELETE", "/auth/session", headers=session).status == 204
    wait_for(lambda: nodes.b.ask("GET", PING, headers=session).status == 401, 1.0, "the end of the session at the other node")


def test_one_code_sent_to_both_nodes_at_once_two_hundred_times_is_good_once(nodes: TwoNodes) -> None:
    body = nodes.credentials(nodes.code())
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: (nodes.a, nodes.b)[number % 2].ask("POST", "/auth/login", body=body), range(200)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.status for answer in answers} <= {200, 401, 429}


def test_guesses_at_both_nodes_at_once_share_one_limit(nodes: TwoNodes) -> None:
    nodes.code()
    body = json.dumps({"username": "bob", "password": "wrong", "otp": "123456"}).encode()
    headers = [("X-Forwarded-For", "127.70.0.1")]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: (nodes.a, nodes.b)[number % 2].ask("POST", "/auth/login", body=body, headers=headers), range(200)))
    assert Counter(answer.status for answer in answers) == {401: 10, 429: 190}


@pytest.mark.parametrize("lost", ["a", "b"])
def test_a_node_that_is_killed_under_load_costs_no_session_and_no_read(nodes: TwoNodes, lost: str) -> None:
    session = nodes.session()
    node: Node = getattr(nodes, lost)
    with Load(lambda _: nodes.front.ask("GET", PING, headers=session)) as reads:
        reads.more(40)
        node.kill()
        reads.more(100)
        node.start()
        reads.more(40)
    assert ([answer.body for answer in reads.answers.values() if answer.status != 200], reads.broken) == ([], 0)


@pytest.mark.parametrize("lost", ["a", "b"])
def test_a_node_that_is_killed_under_load_costs_no_submission_that_was_answered_and_does_none_twice(nodes: TwoNodes, lost: str) -> None:
    session, stamp = nodes.session(), f"{lost}{time.time_ns()}"
    node: Node = getattr(nodes, lost)

    sent: dict[int, float] = {}

    def submit(number: int) -> Answer:
        job = nodes.front.job("bob", name=f"{stamp}-{number}", hold=True)
        sent[number] = time.monotonic()
        body = json.dumps({"job": job, "script": "#!/bin/sh\ntrue\n"}).encode()
        headers = [*session, ("Content-Type", "application/json")]
        return nodes.front.ask("POST", "/slurm/v0.0.36/job/submit", headers=headers, body=body)

    with Load(submit, threads=3) as submissions:
        submissions.more(10)
        node.kill()
        dead = time.monotonic()
        submissions.more(20)
        node.start()
        submissions.more(10)
    told = {number: answer.json["job_id"] for number, answer in submissions.answers.items() if answer.status == 200}
    refused = {number: answer.json["detail"] for number, answer in submissions.answers.items() if answer.status != 200}
    jobs = nodes.front.ask("GET", "/slurm/v0.0.36/jobs", headers=session).json["jobs"]
    names = Counter(job["name"] for job in jobs if job["name"].startswith(stamp))
    assert set(told.values()) <= {job["job_id"] for job in jobs}
    assert set(names.values()) == {1}
    # What the node had in its hands is called unknown; of the rest it is known that nothing was done.
    unknown = [number for number, detail in refused.items() if "not known" in detail]
    undone = [number for number, detail in refused.items() if "nothing was done" in detail]
    assert len(unknown) + len(undone) == len(refused)
    # Only of what was on its way when the node died is nothing known. While it dies, the kernel closes its connections one after the other, so that
    # each of the three senders, all led there by their token, may meet one more of them.
    assert {number: (sent[number] - dead, refused[number]) for number in unknown if sent[number] >= dead} == {}
    assert len(unknown) <= 6
    assert not any(f"{stamp}-{number}" in names for number in undone)
    for job in {job["job_id"] for job in jobs if job["name"] in names}:
        nodes.front.ask("DELETE", f"/slurm/v0.0.36/job/{job}", headers=session)


def test_while_postgresql_is_stopped_sessions_go_on_and_nobody_signs_in(nodes: TwoNodes) -> None:
    session = nodes.session()
    used, unused = nodes.code("alice"), nodes.later_code("alice", 1)
    assert nodes.front.ask("POST", "/auth/login", body=nodes.credentials(used, "alice")).status == 200
    time_to_know(nodes, session)
    nodes.database.stop()
    stopped = time.monotonic()
    try:
        with Load(lambda _: nodes.front.ask("GET", PING, headers=session), threads=2) as reads:
            tried = nodes.front.ask("POST", "/auth/login", body=nodes.credentials(unused, "alice"))
            wait_for(lambda: time.monotonic() - stopped >= OUTAGE, OUTAGE + 1, "the end of the outage")
    finally:
        nodes.database.start()
    assert (tried.status, tried.reason) == (503, "store_unavailable")
    assert (reads.statuses, reads.broken, len(reads.answers) > 100) == ({200}, 0, True)
    # Afterwards nothing is accepted twice: what was used before is used, and what was refused meanwhile is good once.
    assert nodes.front.ask("POST", "/auth/login", body=nodes.credentials(used, "alice")).status == 401
    answers = [nodes.front.ask("POST", "/auth/login", body=nodes.credentials(unused, "alice")).status for _ in range(2)]
    assert answers == [200, 401]


def time_to_know(nodes: TwoNodes, session: list[tuple[str, str]]) -> None:
    """See that each worker of both nodes has heard of the session, as they have of everybody who has been here for some seconds."""
    for node in (nodes.a, nodes.b):
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _, node=node: node.ask("GET", PING, headers=session).status, range(32))) == {200}


def test_a_session_that_a_worker_has_never_been_asked_for_goes_on_as_well(nodes: TwoNodes) -> None:
    session = nodes.session()
    assert nodes.a.ask("GET", PING, headers=session).status == 200
    # Every worker hears of those who were here lately, once in two seconds.
    time.sleep(3)  # there is nothing to be seen from outside that could be waited for
    nodes.database.stop()
    try:
        assert {nodes.b.ask("GET", PING, headers=session).status for _ in range(8)} == {200}
    finally:
        nodes.database.start()


def test_what_ended_before_the_outage_does_not_come_back_by_it(nodes: TwoNodes) -> None:
    session = nodes.session()
    time_to_know(nodes, session)
    assert nodes.a.ask("DELETE", "/auth/session", headers=session).status == 204
    for node in (nodes.a, nodes.b):
        wait_for(lambda node=node: node.ask("GET", PING, headers=session).status == 401, 1.0, "the end")  # type: ignore[misc]
    time.sleep(3)  # as above
    nodes.database.stop()
    try:
        assert {node.ask("GET", PING, headers=session).status for node in (nodes.a, nodes.b) for _ in range(8)} <= {401, 503}
    finally:
        nodes.database.start()


def test_codes_are_good_once_while_postgresql_is_killed_again_and_again(nodes: TwoNodes) -> None:
    code = nodes.code()
    body = nodes.credentials(code)
    with Load(lambda number: (nodes.a, nodes.b)[number % 2].ask("POST", "/auth/login", body=body), threads=4) as sign_ins:
        for _ in range(3):
            sign_ins.more(5)
            nodes.database.kill()
            nodes.database.start()
        sign_ins.more(5)
    assert sum(answer.status == 200 for answer in sign_ins.answers.values()) <= 1
    assert sign_ins.statuses <= {200, 401, 429, 503}

"""Events and waits on the real site: nginx, the gateway, and jobs that really run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.system.chain import Chain, chain, hangs_up
from tests.system.second_gateway import SecondGateway, UnixConnection, second_gateway
from tests.system.support import Site, wait_for
from tests.system.test_sessions import change_group

LIMIT = 20.0
V = "/slurm/v0.0.38"
SHARED = {"clusters.demo": 'shared = ["/slurm/*/jobs"]\n'}
NAP = "#!/bin/sh\nsleep 3\n"


class Stream:
    """A stream of events that is read on a thread."""

    def __init__(self, connection: http.client.HTTPConnection, token: str, path: str, event_id: str | None) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.over = threading.Event()
        more = {"Last-Event-ID": event_id} if event_id else {}
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", **more})
        self._socket = connection.sock
        self.response = connection.getresponse()
        assert self.response.status == 200, self.response.read()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        block: dict[str, str] = {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := self.response.readline():
                name, _, value = line.decode().rstrip("\n").partition(":")
                if name:
                    block[name] = value.removeprefix(" ")
                elif block:
                    self.events.append({**block, "data": json.loads(block.get("data", "null"))})
                    block = {}
        self.over.set()

    def break_off(self) -> None:
        """Be gone, as a client is whose network is."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        assert self.over.wait(LIMIT)
        self._socket.close()

    def wait(self, event: str, count: int = 1, limit: float = LIMIT) -> list[dict[str, Any]]:
        """Return the events of a kind once there are so many."""
        wait_for(lambda: len(self.of(event)) >= count, limit, f"{count} of {event} (there are {self.events})")
        return self.of(event)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events if found.get("event") == event]

    def states(self, job_id: int) -> list[str]:
        return [found["data"]["job_state"] for found in self.of("job") if found["data"]["job_id"] == job_id]


@contextlib.contextmanager
def listening(site: Site, token: str, path: str = "/events", event_id: str | None = None) -> Iterator[Stream]:
    """Listen through nginx until the block ends; then the connection is simply gone."""
    url = urlsplit(site.told["url"])
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=site.tls(), timeout=60)
    with heard(connection, token, path, event_id) as stream:
        yield stream


@contextlib.contextmanager
def heard(connection: http.client.HTTPConnection, token: str, path: str = "/events", event_id: str | None = None) -> Iterator[Stream]:
    stream = Stream(connection, token, path, event_id)
    try:
        yield stream
    finally:
        stream.break_off()


def finished(site: Site, user: str, job_id: int) -> None:
    """Wait for a job's end, by asking once."""
    assert site.call(user, "GET", f"{V}/job/{job_id}?wait=60").headers["X-Gateway-Waited"] == "met"


@pytest.fixture(scope="module")
def alike(site: Site) -> Iterator[Chain]:
    """A way in where everybody sees the same jobs, and where what reaches slurmrestd is seen."""
    with chain(site, settings=SHARED) as made:
        yield made


def test_a_job_is_told_from_the_queue_to_its_end_within_seconds(site: Site) -> None:
    with listening(site, site.token("alice")) as stream:
        assert stream.wait("ready")[0]["data"] == {"cluster": "demo", "jobs": "own", "resumed": False}
        job_id = site.submit("alice", NAP, name="told")
        began = time.monotonic()
        wait_for(lambda: "COMPLETED" in stream.states(job_id), LIMIT, "the end of the job")
        assert time.monotonic() - began < 3 + 6
        # A job that starts at once may do so between two looks; the order is always right.
        assert [state for state in stream.states(job_id) if state != "COMPLETING"] in (["PENDING", "RUNNING", "COMPLETED"], ["RUNNING", "COMPLETED"])
        last = stream.of("job")[-1]["data"]
        assert (last["name"], last["user_name"], last["partition"], last["cluster"]) == ("told", "alice", site.partition(), "demo")


def test_the_headers_are_those_of_a_stream(site: Site) -> None:
    with listening(site, site.token("alice")) as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["Cache-Control"] == "no-store"
        assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])
        assert "Content-Encoding" not in headers


def test_nobody_hears_of_anothers_jobs_whatever_they_choose(site: Site) -> None:
    choices = ("", "?user=bob", "?job_id={}", "?state=PENDING,RUNNING,COMPLETED,COMPLETING", "?user=alice&user=bob")
    job_id = site.submit("bob", NAP, name="bobs", hold=True)
    token = site.token("alice")
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listening(site, token, "/events" + choice.format(job_id))) for choice in choices]
        his = stack.enter_context(listening(site, site.token("bob")))
        for stream in (*streams, his):
            stream.wait("ready")
        assert site.call("bob", "DELETE", f"{V}/job/{job_id}").status == 200
        last = his.wait("job")[-1]
        own = site.submit("alice", "#!/bin/sh\n")
        wait_for(lambda: streams[0].states(own), LIMIT, "an event of her own")
        assert {found["data"]["user_name"] for stream in streams for found in stream.of("job")} == {"alice"}
        with listening(site, token, event_id=last["id"]) as stream:
            assert stream.wait("reset")[0]["data"]["reason"] == "unknown_id"
            assert "bobs" not in json.dumps(stream.events)


def test_where_the_list_is_alike_everybody_hears_of_every_job(alike: Chain) -> None:
    site = alike.site
    with listening(site, site.token("alice")) as stream:
        assert stream.wait("ready")[0]["data"]["jobs"] == "all"
        job_id = site.submit("bob", NAP)
        wait_for(lambda: stream.states(job_id), LIMIT, "an event of bob's")


def test_a_connection_that_breaks_loses_nothing_and_repeats_nothing(site: Site) -> None:
    token = site.token("alice")
    with listening(site, token) as every:
        every.wait("ready")
        with listening(site, token) as first:
            first.wait("ready")
            jobs = [site.submit("alice", NAP, name=f"broken-{number}") for number in range(3)]
            wait_for(lambda: first.of("job"), LIMIT, "a first event")
            time.sleep(0.5)  # wherever in between: nothing depends on it
        before = [found["id"] for found in first.of("job")]
        jobs += [site.submit("alice", NAP, name="while it was broken")]
        for job_id in jobs:
            wait_for(lambda job_id=job_id: "COMPLETED" in every.states(job_id), 60, "the end of the job")  # type: ignore[misc]
        with listening(site, token, event_id=before[-1]) as second:
            assert second.wait("ready")[0]["data"]["resumed"]
            all_of = [found["id"] for found in every.of("job")]
            second.wait("job", len(all_of) - len(before))
            assert before + [found["id"] for found in second.of("job")] == all_of


@pytest.mark.parametrize("name", ["x\n\ndata: x\n\nevent: end", "\r\r\n\nid: 1", '"}\n\n', "\u2028\u0085"])
def test_no_name_of_a_job_breaks_out_of_its_event(site: Site, name: str) -> None:
    with listening(site, site.token("alice")) as stream:
        stream.wait("ready")
        job_id = site.submit("alice", "#!/bin/sh\n", name=name)
        wait_for(lambda: stream.states(job_id), LIMIT, "its event")
        assert {found["data"]["name"] for found in stream.of("job") if found["data"]["job_id"] == job_id} == {name}
        assert {found.get("event") for found in stream.events} <= {None, "ready", "job"}


@pytest.mark.parametrize("version", ["v0.0.36", "v0.0.37", "v0.0.38"])
def test_a_wait_ends_within_two_seconds_of_the_job(site: Site, version: str) -> None:
    job_id = site.submit("alice", "#!/bin/sh\nsleep 2\ndate +%s.%N > waited\n")
    answer = site.call("alice", "GET", f"/slurm/{version}/job/{job_id}?wait=60&until=finished")
    now = time.time()
    assert (answer.status, answer.headers["X-Gateway-Waited"], answer.json["jobs"][0]["job_state"]) == (200, "met", "COMPLETED")
    assert now - float((site.home("alice") / "waited").read_text()) < 2.5


def test_a_wait_for_the_start_and_one_that_is_too_short(site: Site) -> None:
    job_id = site.submit("alice", NAP, hold=True)
    short = site.call("alice", "GET", f"{V}/job/{job_id}?wait=1&until=started")
    assert (short.headers["X-Gateway-Waited"], short.json["jobs"][0]["job_state"]) == ("timeout", "PENDING")
    assert site.call("alice", "DELETE", f"{V}/job/{job_id}").status == 200
    over = site.call("alice", "GET", f"{V}/job/{job_id}?wait=60&until=running")
    assert (over.headers["X-Gateway-Waited"], over.json["jobs"][0]["job_state"]) == ("over", "CANCELLED")


def test_a_job_that_has_ended_is_not_waited_for_to_change(site: Site) -> None:
    job_id = site.submit("alice", "#!/bin/sh\n")
    finished(site, "alice", job_id)
    began = time.monotonic()
    answer = site.call("alice", "GET", f"{V}/job/{job_id}?wait=60&until=changed")
    assert (answer.headers["X-Gateway-Waited"], answer.json["jobs"][0]["job_state"]) == ("over", "COMPLETED")
    assert time.monotonic() - began < 30


def test_an_array_is_finished_when_its_tasks_are(site: Site) -> None:
    job_id = site.submit("alice", "#!/bin/sh\nsleep $((SLURM_ARRAY_TASK_ID * 2))\n", array="0-2")
    answer = site.call("alice", "GET", f"{V}/job/{job_id}?wait=100")
    assert answer.headers["X-Gateway-Waited"] == "met"
    assert [job["job_state"] for job in answer.json["jobs"]] == ["COMPLETED"] * 3


@pytest.mark.parametrize("count", [1, 200])
def test_however_many_listen_slurmrestd_is_looked_at_once_a_second(alike: Chain, count: int) -> None:
    site, witness = alike.site, alike.witness
    users = ("alice", "bob", "adele")
    tokens = {user: site.token(user) for user in users}
    with contextlib.ExitStack() as stack:
        for number in range(count):
            stack.enter_context(listening(site, tokens[users[number % 3]])).wait("ready")
        witness.taken()
        began = time.monotonic()
        time.sleep(6)
        looks, span = Counter(seen.request_line.split("?")[0] for seen in witness.taken()), time.monotonic() - began
    assert looks.keys() == {f"GET {V}/jobs"}
    assert looks.total() <= span + 1, (looks, span)  # fewer on a machine that is busy with other things


def test_many_who_wait_cost_slurmrestd_what_one_does(alike: Chain) -> None:
    site, witness = alike.site, alike.witness
    token = site.token("alice")
    job_id = site.submit("alice", "#!/bin/sh\nsleep 6\n")
    witness.taken()
    results: list[tuple[int, str | None]] = []

    def wait() -> None:
        answer = site.ask("GET", f"{V}/job/{job_id}?wait=60", headers=[("Authorization", f"Bearer {token}")])
        results.append((answer.status, answer.headers["X-Gateway-Waited"]))

    threads = [threading.Thread(target=wait) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asked = Counter(seen.request_line.split()[1].partition("?")[0] for seen in witness.taken())
    assert results == [(200, "met")] * 60
    assert asked[f"{V}/job/{job_id}"] <= 10, asked
    assert asked[f"{V}/jobs"] <= 30, asked


def test_a_slurmrestd_that_is_away_is_told_of_and_then_what_happened_meanwhile(alike: Chain) -> None:
    site = alike.site
    with listening(site, site.token("alice")) as stream:
        stream.wait("ready")
        alike.witness.answer = hangs_up
        stream.wait("trouble")
        job_id = alike_submit(site)
        alike.witness.answer = None
        stream.wait("recovered")
        wait_for(lambda: stream.states(job_id), LIMIT, "what happened meanwhile")


def alike_submit(site: Site) -> int:
    """Submit at the site's own door, since this one is shut."""
    own = Site.at(Path(os.environ.get("SLURM_GATEWAY_TEST_STATE") or Path(site.told["slurmrestd"].removeprefix("unix:")).parents[2]))
    own._tokens = site._tokens
    return own.submit("alice", "#!/bin/sh\n")


def test_a_session_that_ends_ends_its_streams_at_once(site: Site) -> None:
    token = str(site.login("adele", site.fresh_code("adele")).json["token"])
    with listening(site, token) as stream:
        stream.wait("ready")
        began = time.monotonic()
        assert site.ask("DELETE", "/auth/session", headers=[("Authorization", f"Bearer {token}")]).status == 204
        assert stream.wait("end", limit=5)[0]["data"]["reason"] == "token_refused"
        assert time.monotonic() - began < 3
        assert stream.over.wait(5)


@pytest.fixture(scope="module")
def second(site: Site) -> Iterator[SecondGateway]:
    with second_gateway(site, recheck="2s") as gateway:
        yield gateway


def test_an_account_that_is_taken_out_of_the_group_loses_its_streams(site: Site, second: SecondGateway) -> None:
    token = str(site.login("bob", site.fresh_code("bob")).json["token"])
    with heard(UnixConnection(second.path), token) as stream:
        stream.wait("ready")
        change_group(site, "delete", "bob")
        try:
            assert stream.wait("end", limit=10)[0]["data"]["reason"] == "token_refused"
        finally:
            change_group(site, "add", "bob")
            site._tokens.pop("bob", None)


def test_an_id_of_another_worker_is_known_for_foreign(site: Site, second: SecondGateway) -> None:
    """Two workers: whichever one answers, it either goes on or says that it cannot; it never takes the id for one of its own."""
    token = site.token("alice")
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(heard(UnixConnection(second.path), token)) for _ in range(12)]
        stamps = {stream.wait("ready")[0]["id"].rpartition("-")[0] for stream in streams}
        event_id = streams[0].of("ready")[0]["id"]
        again = [stack.enter_context(heard(UnixConnection(second.path), token, event_id=event_id)) for _ in range(12)]
        for stream in again:
            wait_for(lambda stream=stream: stream.of("ready") or stream.of("reset"), LIMIT, "an answer")  # type: ignore[misc]
            [told] = stream.of("ready") + stream.of("reset")
            own = told["id"].rpartition("-")[0] == event_id.rpartition("-")[0]
            assert told["event"] == ("ready" if own else "reset")
        assert len(stamps) <= 2


def test_a_gateway_that_stops_lets_streams_and_waits_go_at_once(site: Site) -> None:
    with chain(site) as made:
        there = made.site
        job_id = there.submit("alice", NAP, hold=True)
        answers: list[str | None] = []
        token = there.token("alice")
        url = f"{V}/job/{job_id}?wait=60"
        waiter = threading.Thread(
            target=lambda: answers.append(there.ask("GET", url, headers=[("Authorization", f"Bearer {token}")]).headers["X-Gateway-Waited"])
        )
        with listening(there, token) as stream:
            stream.wait("ready")
            waiter.start()
            wait_for(
                lambda: any(f"/job/{job_id} " in seen.request_line or f"{V}/jobs" in seen.request_line for seen in made.witness.taken()), 10, "a look"
            )
            time.sleep(1)
            began = time.monotonic()
            os.kill(made.gateway_pid, signal.SIGTERM)
            assert stream.wait("end", limit=5)[0]["data"]["reason"] == "stopping"
            waiter.join(10)
            wait_for(lambda: b'"stopped"' in (made.folder / "gateway.log").read_bytes(), 10, "the gateway's end")
            assert time.monotonic() - began < 5
        assert answers == ["timeout"]
        site.call("alice", "DELETE", f"{V}/job/{job_id}")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/events", [], 401),
        ("/clusters/none/events", None, 404),
        ("/events?job_id=99999999999999999999", None, 400),
        ("/events?user=a%0Ab", None, 400),
        ("/events?nonsense=1", None, 400),
        ("/events/", None, 200),
        ("//events", None, 200),
    ],
)
def test_what_is_wrong_is_refused_in_the_form_of_slurms_own_errors(site: Site, path: str, headers: list[tuple[str, str]] | None, status: int) -> None:
    sent = [("Authorization", f"Bearer {site.token('alice')}")] if headers is None else headers
    answer = site.ask("HEAD" if status == 200 else "GET", path, headers=sent)
    assert answer.status == status
    if status >= 400:
        assert answer.json["errors"][0]["source"] == "slurm-gateway"


def _is_left_alone(way: Chain) -> bool:
    """Tell whether nothing reaches slurmrestd for three looks' time."""
    way.witness.taken()
    time.sleep(3)
    return not way.witness.taken()


def test_thousands_who_come_and_go_leave_the_gateway_as_it_was(alike: Chain) -> None:
    site = alike.site
    token = site.token("alice")

    def come_and_go() -> None:
        for _ in range(100):
            with listening(site, token):
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    wait_for(lambda: _is_left_alone(alike), 30, "nobody listening, and slurmrestd left alone")
    with listening(site, token) as stream:
        stream.wait("ready")

"""Events through the whole application: who is told what, for how long, and what it costs slurmrestd."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.store.sqlite import database_path
from tests.unit.slurm import lists
from tests.web import fakes
from tests.web.conftest import Build, House
from tests.web.sse import JOBS, VERSION, Queue, listening

QUICK = {"interval": "20ms", "heartbeat": "10s"}
SHARED = {"shared": ["/slurm/*/jobs"]}


@pytest.fixture
def queue(slurm: fakes.FakeSlurmrestd) -> Queue:
    made = Queue()
    slurm.behaviour = made
    return made


def quick(**more: Any) -> dict[str, Any]:
    return {"events": {**QUICK, **more}, "reads": {"enabled": True, "max_age": "10ms"}}


@pytest.fixture
async def quiet(build: Build, queue: Queue) -> House:
    """A house whose jobs everybody sees alike, with one that runs."""
    queue.put(1, "RUNNING")
    return await build(**quick(), clusters__main=SHARED)


@pytest.fixture
async def private(build: Build, queue: Queue) -> House:
    """A house where nothing is said to look the same to all."""
    queue.put(1, "RUNNING")
    return await build(**quick())


# What is told.


async def test_a_stream_begins_with_how_to_come_back_and_from_where(quiet: House) -> None:
    async with listening(quiet, await quiet.token()) as stream:
        assert (await stream.next("")).retry == 2000
        ready = await stream.next()
        assert (ready.type, ready.data) == ("ready", {"cluster": "main", "jobs": "all", "resumed": False})
        assert ready.id.endswith("-0")
        wanted = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no", "transfer-encoding": "chunked"}
        assert wanted.items() <= stream.fields.items()
        assert stream.fields["x-request-id"]
        assert "etag" not in stream.fields


async def test_a_job_is_followed_from_the_queue_to_its_end(quiet: House, queue: Queue) -> None:
    async with listening(quiet, await quiet.token()) as stream:
        await stream.next("ready")
        found = []
        for states in (["PENDING"], ["RUNNING"], ["COMPLETED", "COMPLETING"], ["COMPLETED"]):
            queue.put(7, *states)
            found += await stream.take(1)
        assert [event.change for event in found] == [
            (7, "PENDING", None),
            (7, "RUNNING", "PENDING"),
            (7, "COMPLETED", "RUNNING"),
            (7, "COMPLETED", "COMPLETED"),
        ]
        assert [event.id.rpartition("-")[2] for event in found] == ["1", "2", "3", "4"]


async def test_a_job_whose_name_has_lines_is_one_event(quiet: House, queue: Queue) -> None:
    name = 'x\n\nid: 1\nevent: end\ndata: {}\n\n"\r\r'
    async with listening(quiet, await quiet.token()) as stream:
        await stream.next("ready")
        queue.put(7, "PENDING", name=name)
        queue.put(8, "PENDING")
        first, second = await stream.take(2)
        assert (first.type, first.data["name"], second.data["job_id"]) == ("job", name, 8)


async def test_a_named_clusters_events_have_a_path_of_their_own(quiet: House, queue: Queue) -> None:
    async with listening(quiet, await quiet.token(), path="/clusters/main/events") as stream:
        await stream.next("ready")
        queue.put(7)
        [event] = await stream.take(1)
        assert event.data["cluster"] == "main"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [7, 8, 9]),
        ("user=bob", [8]),
        ("user=alice,bob&state=pending", [7]),
        ("job_id=9,8", [8, 9]),
        ("partition=debug", [9]),
        ("job_id=70", [9]),
    ],
)
async def test_a_listener_may_choose(quiet: House, queue: Queue, query: str, expected: list[int]) -> None:
    token = await quiet.token()
    async with listening(quiet, token, query) as stream, listening(quiet, token) as every:
        await stream.next("ready")
        await every.next("ready")
        queue.put(7, "PENDING")
        queue.put(8, user="bob")
        queue.put(9, partition="main,debug", array_job_id=lists.number(VERSION, 70))
        assert [event.data["job_id"] for event in await stream.take(len(expected))] == expected
        assert len(await every.take(3)) == 3


async def test_an_idle_stream_is_kept_alive_by_comments(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(heartbeat="50ms"))
    async with listening(house, await house.token()) as stream:
        for _ in range(3):
            await stream.next(":", limit=5)


# Who is told.


async def test_where_lists_differ_everybody_is_told_of_their_own_jobs_whatever_they_choose(private: House, queue: Queue) -> None:
    async with AsyncExitStack() as stack:
        streams = {
            (user, query): await stack.enter_async_context(listening(private, await private.token(user), query))
            for user in ("alice", "bob")
            for query in ("", "user=alice,bob", "job_id=7,8", "state=RUNNING,COMPLETED", "partition=main")
        }
        for stream in streams.values():
            assert (await stream.next()).data["jobs"] == "own"
        queue.put(7, user="alice")
        queue.put(8, user="bob")
        queue.put(9, user="")
        for (user, _), stream in streams.items():
            assert [event.data["user_name"] for event in await stream.take(1)] == [user]
        queue.put(7, "COMPLETED", user="alice")
        queue.put(8, "COMPLETED", user="bob")
        for (user, _), stream in streams.items():
            assert [event.data["user_name"] for event in await stream.take(1)] == [user]
    lookers = {seen.field("x-slurm-user-name") for seen in private.slurm.seen if JOBS in seen.line}
    assert lookers == {"alice", "bob"}


async def test_where_lists_are_alike_everybody_is_told_of_every_job_by_one_look(quiet: House, queue: Queue) -> None:
    async with listening(quiet, await quiet.token("alice")) as hers, listening(quiet, await quiet.token("bob")) as his:
        for stream in (hers, his):
            assert (await stream.next()).data["jobs"] == "all"
        queue.put(7, user="alice")
        assert [(await stream.take(1))[0].data["job_id"] for stream in (hers, his)] == [7, 7]
    assert len({seen.field("x-slurm-user-name") for seen in quiet.slurm.seen if JOBS in seen.line}) == 1


async def test_without_a_token_there_is_nothing(quiet: House) -> None:
    answer = await quiet.ask("GET", "/events")
    assert (answer.status, answer.reason) == (401, "credentials_required")
    assert "errors" in answer.json
    assert quiet.slurm.seen == []


async def test_credentials_for_one_request_are_not_for_a_stream_and_not_used_up(quiet: House) -> None:
    code = await quiet.code()
    answer = await quiet.ask("GET", "/events", fakes.basic("alice", otp=code))
    assert (answer.status, answer.reason) == (403, "not_permitted")
    assert (await quiet.ask("POST", "/auth/login", fakes.basic("alice", otp=code))).status == 200


async def test_who_may_not_read_the_list_may_not_hear_of_it(build: Build, queue: Queue) -> None:
    queue.put(1)
    rules = [{"name": "all but lists", "effect": "deny", "paths": ["/slurm/*/jobs"]}, {"name": "rest", "effect": "allow"}]
    house = await build(**quick(), policy={"rules": rules})
    for target in ("/events", "/clusters/main/events"):
        answer = await house.ask("GET", target, fakes.bearer(await house.token()))
        assert (answer.status, answer.reason) == (403, "not_permitted")
    assert queue.looks() == 0


@pytest.mark.parametrize(("scope", "status"), [("submit", 403), ("GET /slurm/v*/job/*", 403)])
async def test_a_token_needs_the_scope_that_the_list_needs(quiet: House, scope: str, status: int) -> None:
    token = await quiet.token()
    await change(quiet, kind="token", scopes=json.dumps([scope]))
    assert (await quiet.ask("GET", "/events", fakes.bearer(token))).status == status


async def test_a_token_that_may_read_may_listen(quiet: House) -> None:
    token = await quiet.token()
    await change(quiet, kind="token", scopes=json.dumps(["read"]))
    async with listening(quiet, token) as stream:
        await stream.next("ready")


async def change(house: House, **columns: object) -> None:
    """Change every session in the store, behind the gateway's back."""
    marks = ", ".join(f"{name} = ?" for name in columns)
    await asyncio.to_thread(fakes.execute, database_path(house.config.store.url), f"UPDATE sessions SET {marks}", tuple(columns.values()))  # noqa: S608


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_events_are_read_and_nothing_else(quiet: House, method: str) -> None:
    answer = await quiet.ask(method, "/events", fakes.bearer(await quiet.token()), b"{}")
    assert (answer.status, answer.reason) == (405, "method_not_allowed")
    assert "GET" in (answer.field("allow") or "")


@pytest.mark.parametrize(
    ("target", "status"), [("/clusters/other/events", 404), ("/events/more", 404), ("/events?users=x", 400), ("/events?job_id=x", 400)]
)
async def test_what_is_not_there_or_makes_no_sense_is_refused(quiet: House, target: str, status: int) -> None:
    assert (await quiet.ask("GET", target, fakes.bearer(await quiet.token()))).status == status


async def test_a_head_has_the_headers_alone(quiet: House) -> None:
    answer = await quiet.ask("HEAD", "/events", fakes.bearer(await quiet.token()))
    assert (answer.status, answer.field("content-type"), answer.body) == (200, "text/event-stream", b"")


async def test_an_old_client_gets_a_stream_that_ends_with_the_connection(quiet: House, queue: Queue) -> None:
    reader, writer = await quiet.connect()
    writer.write(f"GET /events HTTP/1.0\r\nAuthorization: Bearer {await quiet.token()}\r\n\r\n".encode())
    status, fields = await fakes.read_head(reader)
    assert (status, dict(fields).get("transfer-encoding"), dict(fields).get("content-length")) == (200, None, None)
    await reader.readuntil(b"event: ready\n")
    queue.put(7)
    await reader.readuntil(b"event: job\n")
    writer.close()


# Coming back.


async def test_who_comes_back_misses_nothing_and_hears_nothing_twice(quiet: House, queue: Queue) -> None:
    token = await quiet.token()
    async with listening(quiet, token):
        async with listening(quiet, token) as stream:
            await stream.next("ready")
            queue.put(7, "PENDING")
            [last] = await stream.take(1)
        queue.put(7, "RUNNING")
        queue.put(8, "PENDING")
        async with listening(quiet, token, event_id=last.id) as stream:
            ready = await stream.next()
            assert (ready.type, ready.data["resumed"], ready.id) == ("ready", True, last.id)
            assert sorted(event.change for event in await stream.take(2)) == [(7, "RUNNING", "PENDING"), (8, "PENDING", None)]
            queue.put(8, "RUNNING")
            assert (await stream.take(1))[0].change == (8, "RUNNING", "PENDING")


async def test_the_last_who_leaves_may_come_back_too(quiet: House, queue: Queue) -> None:
    token = await quiet.token()
    async with listening(quiet, token) as stream:
        ready = await stream.next("ready")
    await fakes.until(lambda: not len(quiet.application._company))
    queue.put(7, "PENDING")
    async with listening(quiet, token, f"last_event_id={ready.id}") as stream:
        assert (await stream.next()).data["resumed"]
        assert (await stream.take(1))[0].change == (7, "PENDING", None)


@pytest.mark.parametrize("event_id", ["0123456789abcdef-1", "1", "-1", "x" * 5000, "0123456789abcdef-99999999999999999999", "\u00e4"])
async def test_a_foreign_id_is_answered_by_the_advice_to_look_anew(quiet: House, event_id: str) -> None:
    async with listening(quiet, await quiet.token(), event_id=event_id) as stream:
        reset = await stream.next()
        assert (reset.type, reset.data["reason"]) == ("reset", "unknown_id")
        assert event_id not in json.dumps(reset.data)
        assert reset.id


async def test_an_id_of_somebody_elses_stream_tells_nothing_of_it(private: House, queue: Queue) -> None:
    async with listening(private, await private.token("alice")) as stream:
        await stream.next("ready")
        queue.put(7)
        [hers] = await stream.take(1)
        queue.put(7, "COMPLETED")
        await stream.take(1)
        async with listening(private, await private.token("bob"), event_id=hers.id) as his:
            assert (await his.next()).data["reason"] == "unknown_id"
            queue.put(8, user="bob")
            assert (await his.take(1))[0].data["job_id"] == 8


async def test_what_is_too_old_is_said_to_be(build: Build, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.proxy.history._LEAST", -1.0)
    queue.put(1)
    house = await build(**quick(history=2))
    token = await house.token()
    async with listening(house, token) as stream:
        first = await stream.next("ready")
        for number in range(10, 14):
            queue.put(number)
            await stream.take(1)
        async with listening(house, token, event_id=first.id) as again:
            reset = await again.next()
            assert (reset.type, reset.data["reason"]) == ("reset", "too_old")


# How long.


async def test_a_session_that_ends_ends_its_streams(quiet: House) -> None:
    token = await quiet.token()
    async with listening(quiet, token) as one, listening(quiet, await quiet.token()) as other:
        for stream in (one, other):
            await stream.next("ready")
        assert (await quiet.ask("DELETE", "/auth/session", fakes.bearer(token))).status == 204
        end = await one.next(limit=4)
        assert (end.type, end.data["reason"]) == ("end", "token_refused")
        assert await one.rest() == []
        assert not other.over
    await fakes.until(lambda: not len(quiet.application._company))


async def test_a_session_that_ends_elsewhere_ends_its_streams(quiet: House) -> None:
    async with listening(quiet, await quiet.token()) as stream:
        await stream.next("ready")
        await asyncio.to_thread(fakes.execute, database_path(quiet.config.store.url), "DELETE FROM sessions", ())
        assert (await stream.next("end", limit=5)).data["reason"] == "token_refused"


async def test_a_stream_is_no_use_that_keeps_a_session_alive(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(), sessions={"idle": "3s"})
    async with listening(house, await house.token()) as stream:
        await stream.next("ready")
        assert (await stream.next("end", limit=10)).data["reason"] == "token_refused"


async def test_whoever_is_locked_out_is_sent_away_when_the_directory_is_next_asked(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(), directory={"recheck": "1s"})
    async with listening(house, await house.token()) as stream, listening(house, await house.token("bob")) as his:
        for each in (stream, his):
            await each.next("ready")
        del house.directory.people["alice"]
        assert (await stream.next("end", limit=10)).data["reason"] == "token_refused"
        queue.put(8, user="bob")
        await his.take(1)


async def test_whoever_loses_the_group_that_the_policy_asks_for_is_sent_away(build: Build, queue: Queue) -> None:
    queue.put(1)
    rules = [{"name": "staff", "effect": "allow", "groups": ["staff"]}]
    house = await build(**quick(), directory={"recheck": "1s", "groups": {"staff": "cn=staff,dc=example,dc=org"}}, policy={"rules": rules})
    alice = house.directory.people["alice"]
    house.directory.people["alice"] = type(alice)(username="alice", uid=alice.uid, groups=alice.groups | {"staff"})
    async with listening(house, await house.token()) as stream:
        await stream.next("ready")
        house.directory.people["alice"] = alice
        assert (await stream.next("end", limit=10)).data["reason"] == "not_permitted"


async def test_a_gateway_that_stops_ends_streams_at_once_and_lets_nobody_in(quiet: House) -> None:
    token = await quiet.token()
    async with listening(quiet, token) as one, listening(quiet, token) as other:
        for stream in (one, other):
            await stream.next("ready")
        began = time.monotonic()
        quiet.application.end_streams()
        ends = [await stream.next("end") for stream in (one, other)]
        assert [end.data["reason"] for end in ends] == ["stopping"] * 2
        assert ends[0].retry != ends[1].retry
        await quiet.application.front.drain(5)
        assert time.monotonic() - began < 2
    answer = await quiet.ask("GET", "/events", fakes.bearer(token))
    assert (answer.status, answer.reason) == (503, "stopping")


# What it costs.


async def test_two_hundred_listeners_cost_slurmrestd_no_more_than_one(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(interval="100ms"))
    token = await house.token()
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(house, token)) for _ in range(200)]
        for stream in streams:
            await stream.next("ready")
        before, began = queue.looks(), time.monotonic()
        await asyncio.sleep(1)
        assert queue.looks() - before <= (time.monotonic() - began) / 0.1 + 2
        queue.put(7)
        assert {event.data["job_id"] for stream in streams for event in await stream.take(1)} == {7}
    assert house.slurm.connections <= 3


async def test_nobody_listens_and_slurmrestd_is_left_alone(quiet: House, queue: Queue) -> None:
    async with listening(quiet, await quiet.token()) as stream:
        await stream.next("ready")
    await fakes.until(lambda: not len(quiet.application._company))
    looks = queue.looks()
    await asyncio.sleep(0.2)
    assert queue.looks() <= looks + 1
    metrics = (await quiet.admin("/metrics")).body
    assert b'slurm_gateway_listeners{kind="stream"} 0.0' in metrics


async def test_what_was_sent_is_counted(quiet: House, queue: Queue) -> None:
    token = await quiet.token()
    async with listening(quiet, token) as one, listening(quiet, token, "user=bob") as other:
        for stream in (one, other):
            await stream.next("ready")
        queue.put(7)
        await one.take(1)
        metrics = (await quiet.admin("/metrics")).body
        assert b'slurm_gateway_listeners{kind="stream"} 2.0' in metrics
        assert b"slurm_gateway_events_sent_total 1.0" in metrics


async def test_slurmrestd_that_is_down_is_told_of_once_and_what_happened_meanwhile(quiet: House, queue: Queue) -> None:
    async with listening(quiet, await quiet.token()) as stream:
        await stream.next("ready")
        queue.failing = 500
        trouble = await stream.next()
        assert (trouble.type, trouble.data["reason"]) == ("trouble", "upstream_broken")
        await asyncio.sleep(0.2)
        queue.put(7, "RUNNING")
        queue.failing = 0
        assert (await stream.next()).type == "recovered"
        assert (await stream.take(1))[0].change == (7, "RUNNING", None)


async def test_a_look_that_hangs_holds_up_no_stream(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(heartbeat="200ms"))
    async with listening(house, await house.token()) as stream:
        await stream.next("ready")
        queue.gate.clear()
        assert (await stream.next()).data["reason"] == "upstream_slow"
        await stream.next(":")
        queue.put(7)
        queue.gate.set()
        assert [(await stream.next()).type for _ in range(2)] == ["recovered", "job"]


# Bounds.


async def test_one_person_has_so_many_streams_and_no_more(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(listeners_per_user=2, listeners=3))
    token = await house.token()
    async with listening(house, token) as first, listening(house, token):
        answer = await house.ask("GET", "/events", fakes.bearer(token))
        assert (answer.status, answer.reason, answer.field("retry-after")) == (429, "too_many_calls", "10")
        async with listening(house, await house.token("bob")):
            answer = await house.ask("GET", "/events", fakes.bearer(await house.token("carol")))
            assert (answer.status, answer.reason) == (429, "too_many_calls")
        await fakes.until(lambda: len(house.application._company) == 2)
        first.writer.transport.abort()
        await fakes.until(lambda: len(house.application._company) == 1)
        async with listening(house, token):
            pass


async def test_a_reader_who_does_not_read_is_cut_off_and_holds_up_nobody(build: Build, queue: Queue) -> None:
    queue.put(1)
    house = await build(**quick(), server={"body_timeout": "1s"})
    token = await house.token()
    async with listening(house, token) as lazy, listening(house, token) as stream:
        await stream.next("ready")
        lazy.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a transport that reads
        for wave in range(1, 40):
            for number in range(100):
                queue.put(1000 + number, "PENDING" if wave % 2 else "RUNNING", name="n" * 200)
            for event in await stream.take(100):
                assert event.data["job_id"] >= 1000
            if len(house.application._company) == 1:
                break
        await fakes.until(lambda: len(house.application._company) == 1)
        queue.put(7)
        assert (await stream.take(1))[0].data["job_id"] == 7


async def test_a_thousand_who_come_and_go_leave_nothing(quiet: House) -> None:
    token = await quiet.token()

    async def once() -> None:
        async with listening(quiet, token):
            pass

    for _ in range(10):
        await asyncio.gather(*(once() for _ in range(50)))
    company = quiet.application._company
    await fakes.until(lambda: not len(company))
    assert (len(company._feeds), len(company._of), len(company._turns)) == (1, 0, 0)


# Waiting for a job.


async def wait(house: House, token: str, job_id: int, query: str, version: int = VERSION) -> fakes.Answer:
    return await house.ask("GET", f"/slurm/v0.0.{version}/job/{job_id}?{query}", fakes.bearer(token))


def state(answer: fakes.Answer) -> tuple[str | None, list[Any]]:
    jobs = answer.json["jobs"]
    assert isinstance(jobs, list)
    return answer.field("x-gateway-waited"), [job["job_state"] for job in jobs]


async def test_a_wait_ends_when_the_job_does(quiet: House, queue: Queue) -> None:
    queue.put(7, "PENDING")
    waiting = asyncio.create_task(wait(quiet, await quiet.token(), 7, "wait=60&until=finished"))
    for states in (["RUNNING"], ["COMPLETED", "COMPLETING"]):
        await asyncio.sleep(0.1)
        queue.put(7, *states)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    queue.put(7, "COMPLETED")
    assert state(await waiting) == ("met", [["COMPLETED"]])
    assert not any("wait" in seen.line or "until" in seen.line for seen in quiet.slurm.seen)


async def test_a_list_after_a_wait_is_none_from_before_the_end(build: Build, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    house = await build(events=QUICK, reads={"enabled": True, "max_age": "60s"}, clusters__main=SHARED)
    token = await house.token()
    waiting = asyncio.create_task(wait(house, token, 7, "wait=60"))
    await house.ask("GET", JOBS, fakes.bearer(token))  # from here on there is a list that is kept for a minute
    queue.put(7, "COMPLETED")
    assert state(await waiting) == ("met", [["COMPLETED"]])
    assert state(await house.ask("GET", JOBS, fakes.bearer(token))) == (None, [["COMPLETED"]])


async def test_a_job_that_has_finished_is_answered_at_once_and_no_list_is_fetched(quiet: House, queue: Queue) -> None:
    queue.put(7, "FAILED")
    assert state(await wait(quiet, await quiet.token(), 7, "wait=60")) == ("met", [["FAILED"]])
    assert queue.looks() == 0


async def test_when_the_time_is_over_the_state_is_told_as_it_is(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    began = time.monotonic()
    assert state(await wait(quiet, await quiet.token(), 7, "wait=1")) == ("timeout", [["RUNNING"]])
    assert 1 <= time.monotonic() - began < 5
    assert state(await wait(quiet, await quiet.token(), 7, "wait=0")) == ("timeout", [["RUNNING"]])


@pytest.mark.parametrize(
    ("until", "before", "after", "said"),
    [("started", "PENDING", "RUNNING", "met"), ("changed", "PENDING", "CANCELLED", "met"), ("suspended", "RUNNING", "SUSPENDED", "met"),
     ("running", "PENDING", "CANCELLED", "over")],
)  # fmt: skip
async def test_one_may_wait_for_other_things(quiet: House, queue: Queue, until: str, before: str, after: str, said: str) -> None:
    queue.put(7, before)
    waiting = asyncio.create_task(wait(quiet, await quiet.token(), 7, f"wait=60&until={until}"))
    await fakes.until(lambda: queue.looks() > 2)
    assert not waiting.done()
    queue.put(7, after)
    assert state(await waiting) == (said, [[after]])


async def test_an_array_is_finished_when_all_its_tasks_are(quiet: House, queue: Queue) -> None:
    of = {"array_job_id": lists.number(VERSION, 7)}
    queue.put(7, "PENDING", **of)
    queue.put(8, "COMPLETED", **of)
    waiting = asyncio.create_task(wait(quiet, await quiet.token(), 7, "wait=60"))
    await fakes.until(lambda: queue.looks() > 2)
    assert not waiting.done()
    queue.put(7, "COMPLETED", **of)
    assert state(await waiting) == ("met", [["COMPLETED"], ["COMPLETED"]])


async def test_a_job_that_is_not_there_is_answered_as_slurmrestd_does(quiet: House) -> None:
    answer = await wait(quiet, await quiet.token(), 99, "wait=60")
    assert (answer.status, answer.field("x-gateway-waited")) == (404, "over")


async def test_a_job_that_slurm_forgets_meanwhile_is_over(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    waiting = asyncio.create_task(wait(quiet, await quiet.token(), 7, "wait=60"))
    await fakes.until(lambda: queue.looks() > 2)
    del queue.jobs[7]
    answer = await waiting
    assert (answer.status, answer.field("x-gateway-waited")) == (404, "over")


async def test_a_job_that_the_list_does_not_have_yet_is_waited_for_all_the_same(private: House, queue: Queue) -> None:
    token = await private.token()
    async with listening(private, token) as stream:
        await stream.next("ready")
        queue.put(7, "PENDING", user="bob")
        waiting = asyncio.create_task(wait(private, token, 7, "wait=60"))
        await asyncio.sleep(0.1)
        queue.put(7, "COMPLETED", user="bob")
        assert state(await waiting) == ("met", [["COMPLETED"]])


async def test_what_is_hidden_from_somebody_stays_so_however_long_they_wait(private: House, queue: Queue) -> None:
    queue.hides = lambda user, job: bool(job["user_name"] != user)
    queue.put(7, "RUNNING", user="bob")
    answer = await wait(private, await private.token("alice"), 7, "wait=60")
    assert (answer.status, b"bob" in answer.body) == (404, False)


async def test_ones_own_change_is_not_judged_by_what_was_seen_before_it(build: Build, queue: Queue) -> None:
    """A job that is put back into the queue is not finished because it was a moment ago."""
    queue.put(7, "COMPLETED")
    house = await build(events={"interval": "1s"}, reads={"enabled": True, "max_age": "60s"})
    token = await house.token()
    async with listening(house, token) as stream:
        await stream.next("ready")
        queue.put(7, "PENDING")
        assert (
            await house.ask("POST", f"/slurm/v0.0.{VERSION}/job/7", [*fakes.bearer(token), ("Content-Type", "application/json")], b"{}")
        ).status == 200
        assert state(await wait(house, token, 7, "wait=1")) == ("timeout", [["PENDING"]])


async def test_many_who_wait_for_one_job_cost_slurmrestd_what_one_does(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    token = await quiet.token()
    waiting = [asyncio.create_task(wait(quiet, token, 7, "wait=60")) for _ in range(100)]
    await fakes.until(lambda: len(quiet.application._company) == 100)
    await fakes.until(lambda: queue.looks() > 3)
    queue.put(7, "COMPLETED")
    answers = await asyncio.gather(*waiting)
    assert {json.dumps(state(answer)) for answer in answers} == {json.dumps(("met", [["COMPLETED"]]))}
    assert len(queue.asked) - queue.looks() < 20


async def test_a_wait_that_makes_no_sense_is_refused_before_slurmrestd_hears_of_it(quiet: House) -> None:
    answer = await wait(quiet, await quiet.token(), 7, "wait=121")
    assert (answer.status, answer.reason) == (400, "bad_request")
    assert "errors" in answer.json
    assert quiet.slurm.seen == []


async def test_a_wait_ends_with_its_session(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    token = await quiet.token()
    waiting = asyncio.create_task(wait(quiet, token, 7, "wait=60"))
    await fakes.until(lambda: len(quiet.application._company) == 1)
    await quiet.ask("DELETE", "/auth/session", fakes.bearer(token))
    answer = await asyncio.wait_for(waiting, 5)
    assert (answer.status, answer.reason) == (401, "token_refused")


async def test_a_gateway_that_stops_answers_those_who_wait(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    waiting = asyncio.create_task(wait(quiet, await quiet.token(), 7, "wait=60"))
    await fakes.until(lambda: queue.looks() > 1)
    quiet.application.end_streams()
    assert state(await asyncio.wait_for(waiting, 5)) == ("timeout", [["RUNNING"]])


async def test_who_waits_counts_among_their_streams(build: Build, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    house = await build(**quick(listeners_per_user=1))
    token = await house.token()
    async with listening(house, token):
        answer = await wait(house, token, 7, "wait=60")
        assert (answer.status, answer.reason) == (429, "too_many_calls")


async def test_who_goes_away_while_waiting_leaves_nothing(quiet: House, queue: Queue) -> None:
    queue.put(7, "RUNNING")
    _, writer = await quiet.connect()
    writer.write(fakes.encode("GET", f"/slurm/v0.0.{VERSION}/job/7?wait=60", fakes.bearer(await quiet.token())))
    await fakes.until(lambda: queue.looks() > 1)
    writer.transport.abort()
    await fakes.until(lambda: not len(quiet.application._company))


async def test_one_request_with_credentials_of_its_own_may_wait_for_as_long_as_they_are_good(quiet: House, queue: Queue) -> None:
    queue.put(7, "COMPLETED")
    answer = await quiet.ask("GET", f"/slurm/v0.0.{VERSION}/job/7?wait=60", fakes.basic("alice", otp=await quiet.code()))
    assert state(answer) == ("met", [["COMPLETED"]])

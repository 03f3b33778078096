"""Lists that go on: what has changed is shown, and what breaks off is begun anew."""

from __future__ import annotations

import io
import itertools
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gateway.cli import person, tables, watching
from gateway.cli.watching import Change, Screen, Seen, chosen
from gateway.client.cluster import Job
from gateway.client.errors import GatewayError
from gateway.secret import Secret
from tests.saying import Asked, FakeGateway, Says, event, refuses
from tests.unit.cli.conftest import Run


def told(number: int, state: str, **more: object) -> dict[str, Any]:
    return {"job_id": number, "name": f"job{number}", "user_name": "alice", "job_state": state, "partition": "main", **more}


def job(number: int, state: str, **more: object) -> Job:
    return Job.of(told(number, state, **more))


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_AGAIN", "_AGAIN_LONGEST", "_FIRST", "_LONGEST", "_SOME_TOLD", "_TICK", "_APART"):
        monkeypatch.setattr(watching, name, 0.01)


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """What holds a stream open until the test is over."""
    held = threading.Event()
    yield held
    held.set()


def lists(*answers: Sequence[dict[str, Any]]) -> Callable[[Asked], Says]:
    """Answer these lists one after the other, and then with Ctrl-C."""
    left = list(answers)

    def answer(_asked: Asked) -> Says:
        if left:
            return Says(body={"jobs": left.pop(0)})
        return refuses(418, "teapot", "The test is over.", "Go home.")

    return answer


def stream(over: threading.Event, *events: bytes) -> Says:
    return Says(media_type="text/event-stream", pieces=(*events, _until(over)))


def lines(ran_out: str) -> list[list[str]]:
    return [line.split()[1:] for line in ran_out.splitlines()]


# What has changed.


def test_what_is_there_at_first_is_no_change() -> None:
    seen = Seen()
    assert [change.what for change in seen.take([job(1, "RUNNING"), job(2, "PENDING")])] == ["there", "there"]
    assert seen.take([job(1, "RUNNING"), job(2, "PENDING")]) == []


def test_new_changed_and_gone_are_told() -> None:
    seen = Seen()
    seen.take([job(1, "RUNNING"), job(2, "PENDING")])
    changes = seen.take([job(2, "RUNNING"), job(3, "PENDING")])
    assert [(change.what, change.job.id, change.before) for change in changes] == [
        ("changed", 2, "PENDING"),
        ("new", 3, None),
        ("gone", 1, None),
    ]


def test_a_flag_is_a_change() -> None:
    seen = Seen()
    seen.take([job(1, "RUNNING")])
    assert [change.what for change in seen.take([Job.of({**told(1, "RUNNING"), "job_state": ["RUNNING", "COMPLETING"]})])] == ["changed"]


# What there is room for.


@pytest.mark.parametrize(
    ("most", "kept", "left_out"),
    [
        (9, [1, 2, 3, 4, 5], 0),
        (5, [1, 2, 3, 4, 5], 0),
        (4, [2, 3, 4, 5], 1),  # what ended longest ago goes first
        (3, [3, 4, 5], 2),
        (2, [3, 4], 3),
        (0, [3], 4),
    ],
)
def test_what_ended_long_ago_makes_room(most: int, kept: list[int], left_out: int) -> None:
    jobs = [job(1, "FAILED", end_time=10), job(2, "COMPLETED", end_time=20), job(3, "RUNNING"), job(4, "PENDING"), job(5, "PENDING")]
    assert ([found.id for found in chosen(jobs, most)[0]], chosen(jobs, most)[1]) == (kept, left_out)


# Where there is no terminal.


def stepping(over: threading.Event, gateway: FakeGateway, *answers: Sequence[dict[str, Any]]) -> None:
    """Have each list be read after an event of its own."""
    read = [threading.Event() for _ in range(len(answers) + 1)]
    left = list(answers)

    def answer(_asked: Asked) -> Says:
        read[len(answers) - len(left)].set()
        return Says(body={"jobs": left.pop(0)}) if left else refuses(418, "teapot", "The test is over.", "Go home.")

    pieces: list[bytes | Callable[[], None]] = [event("ready")]
    for number, done in enumerate(read[:-1]):
        pieces += [_until(done), event("job", number + 2, job_id=1)]
    gateway.on("GET /events", Says(media_type="text/event-stream", pieces=(*pieces, _until(over))))
    gateway.on("GET /slurm/latest/jobs", answer)


def _until(done: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        done.wait(30)

    return wait


def test_a_job_is_told_from_its_beginning_to_its_end(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    waits = [told(1, "PENDING", state_reason="Priority")]
    stepping(over, gateway, [], waits, [told(1, "RUNNING", nodes="n1")], [told(1, "FAILED", nodes="n1", exit_code=768)], [])
    ran = run("jobs", "--watch")
    assert lines(ran.out) == [
        ["1", "PENDING", "job1", "(Priority)"],
        ["1", "RUNNING", "job1", "n1"],
        ["1", "FAILED", "job1", "exit", "3"],
        ["1", "gone", "job1", "exit", "3"],
    ]
    assert next(asked for asked in gateway.asked if asked.path == "/events").query == {"user": "alice"}
    assert (ran.code, ran.err) == (1, "slurm-gateway: The test is over.\nhint: Go home.\n")


def test_json_is_a_line_for_each_change(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    stepping(over, gateway, [told(1, "PENDING")], [told(1, "RUNNING")])
    changes = [json.loads(line) for line in run("jobs", "--watch", "--json").out.splitlines()]
    assert [(change["change"], change["previous_state"], change["job"]["state"]) for change in changes] == [
        ("there", None, "PENDING"),
        ("changed", "PENDING", "RUNNING"),
    ]


def test_others_are_said_with_their_jobs(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    stepping(over, gateway, [told(1, "PENDING", user_name="bob")])
    assert lines(run("jobs", "--watch", "--all").out) == [["1", "PENDING", "job1", "bob"]]
    assert next(asked for asked in gateway.asked if asked.path == "/events").query == {}


def test_a_stream_that_breaks_off_is_begun_anew_and_said(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    gateway.on("GET /events", refuses(502, "gateway_unavailable", "The gateway is away."), stream(over, event("ready")))
    gateway.on("GET /slurm/latest/jobs", lists([told(1, "RUNNING")]))
    ran = run("jobs", "--watch", "--all")
    assert "The gateway is away.; trying again in 0 s." in ran.err
    assert lines(ran.out) == [["1", "RUNNING", "job1", "alice"]]


def test_a_stream_that_ends_is_resumed_and_said(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    ends = Says(media_type="text/event-stream", pieces=(b"retry: 10\n\n", event("ready", 7)))
    gateway.on("GET /events", ends, stream(over, event("ready", 8)))
    calls = iter(range(99))

    def answer(_asked: Asked) -> Says:
        resumed = gateway.paths("GET").count("/events") == 2 and next(calls) > 0
        return refuses(418, "teapot", "The test is over.") if resumed else Says(body={"jobs": []})

    gateway.on("GET /slurm/latest/jobs", answer)
    assert "the stream of events ended; trying again in " in run("jobs", "--watch", "--all").err
    assert [asked.headers.get("last-event-id") for asked in gateway.asked if asked.path == "/events"] == [None, "7"]


@pytest.mark.parametrize(
    "away",
    [
        refuses(502, "upstream_broken", "Slurm is away."),
        Says(status=500, body={"errors": [{"error_number": -1, "description": "Slurm is away."}]}),
    ],
    ids=["slurmrestd", "slurmctld"],
)
def test_a_list_that_fails_for_a_while_is_read_again(run: Run, gateway: FakeGateway, over: threading.Event, away: Says) -> None:
    gateway.on("GET /events", stream(over, event("ready")))
    gateway.on(
        "GET /slurm/latest/jobs",
        away,
        Says(body={"jobs": [told(1, "RUNNING")]}),
        refuses(418, "teapot", "The test is over."),
    )
    ran = run("jobs", "--watch", "--all")
    assert "Slurm is away.; trying again in 0 s." in ran.err
    assert lines(ran.out) == [["1", "RUNNING", "job1", "alice"]]


def test_trouble_and_recovery_are_said(run: Run, gateway: FakeGateway, over: threading.Event) -> None:
    gateway.on("GET /events", stream(over, event("trouble"), event("recovered", 2)))
    gateway.on("GET /slurm/latest/jobs", lists())
    assert "Slurm does not answer the gateway just now" in run("jobs", "--watch").err


@pytest.mark.parametrize("status", [403, 404, 405])
def test_without_events_the_list_is_looked_at_again_and_again(run: Run, gateway: FakeGateway, status: int) -> None:
    gateway.on("GET /events", refuses(status, "not_found"))
    gateway.on("GET /slurm/latest/jobs", lists([told(1, "PENDING")], [told(1, "RUNNING")], [told(1, "RUNNING")], [told(1, "COMPLETED")]))
    assert [line[1] for line in lines(run("jobs", "--watch").out)] == ["PENDING", "RUNNING", "COMPLETED"]


def test_without_events_it_is_looked_at_ever_more_seldom_while_nothing_happens(
    run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LONGEST", 0.04)
    waits: list[float] = []
    look = watching.Watch._look

    def looks(watch: watching.Watch) -> None:
        look(watch)
        waits.append(watch._between)

    monkeypatch.setattr(watching.Watch, "_look", looks)
    gateway.on("GET /events", refuses(404, "not_found"))
    still, gone = [told(1, "PENDING")], [told(1, "COMPLETED")]
    gateway.on("GET /slurm/latest/jobs", lists(still, still, still, still, gone))
    run("jobs", "--watch")
    assert waits == [0.01, 0.02, 0.04, 0.04, 0.01]


def test_an_ended_session_is_told_where_nobody_can_sign_in(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /events", refuses(401, "token_refused", "The session has ended."))
    ran = run("jobs", "--watch")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "slurm-gateway: The session has ended.")
    assert ran.err.splitlines()[1].startswith("hint: Give another one: --token-file or SLURM_GATEWAY_TOKEN;")


def test_after_a_new_sign_in_it_goes_on(run: Run, gateway: FakeGateway, over: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def proves(_gateway: person.PersonsGateway, _error: GatewayError) -> Secret:
        return Secret(b"sgw_new")

    monkeypatch.setattr(person.PersonsGateway, "_prove", proves)
    gateway.on("GET /events", refuses(401, "token_refused"), stream(over, event("ready")))
    gateway.on("GET /slurm/latest/jobs", lists([told(1, "RUNNING")]))
    run("jobs", "--watch", "--all")
    assert [asked.headers["authorization"] for asked in gateway.asked if asked.path == "/events"][-1] == "Bearer sgw_new"


def test_what_does_not_pass_ends_it_with_its_hint(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /events", refuses(400, "bad_request", "No such user.", "Name another."))
    ran = run("jobs", "--watch", "--user", "x")
    assert (ran.code, ran.err) == (1, "slurm-gateway: No such user.\nhint: Name another.\n")


def test_an_interrupt_is_how_it_ends(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    del gateway

    def interrupted(_watch: watching.Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.Watch, "run", interrupted)
    assert run("jobs", "--watch").code == 0


# On a terminal.


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "8")
    return Terminal()


def test_the_table_is_no_higher_than_the_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    screen = Screen(users=False)
    screen.show([job(number, "RUNNING") for number in range(100, 120)], [])
    screen.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()).replace("\r", "").splitlines()
    frames = len([line for line in shown if "SUBMITTED" in line])
    assert len([line for line in shown if "RUNNING" in line]) == 5 * frames
    assert len(shown) <= 7 * frames
    assert "20 jobs, 15 not shown · Ctrl-C ends" in terminal.getvalue()


def test_trouble_is_said_below_the_table(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    screen = Screen(users=True)
    screen.show([job(1, "RUNNING")], [Change(what="there", job=job(1, "RUNNING"))])
    screen.say("It is away\x1b[2J.")
    screen.asks()
    assert "It is away?[2J. · Ctrl-C ends" in terminal.getvalue()


def test_a_dumb_terminal_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    assert watching._is_screen()
    monkeypatch.setenv("TERM", "dumb")
    assert not watching._is_screen()
    assert tables.console(terminal).is_dumb_terminal


def test_however_much_is_heard_the_list_is_read_now_and_then(
    run: Run, gateway: FakeGateway, over: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_APART", 0.2)
    read: list[float] = []

    def answer(_asked: Asked) -> Says:
        read.append(time.monotonic())
        if len(read) == 4:
            over.set()
            return refuses(418, "teapot", "The test is over.", "Go home.")
        return Says(body={"jobs": [told(len(read), "RUNNING")]})

    many = b"".join(event("job", number, job_id=number) for number in range(500))
    gateway.on("GET /events", Says(media_type="text/event-stream", pieces=(event("ready"), *([many] * 400), _until(over))))
    gateway.on("GET /slurm/latest/jobs", answer)
    assert run("jobs", "--watch").err.startswith("slurm-gateway: The test is over.")
    assert min(after - before for before, after in itertools.pairwise(read)) >= 0.1

"""Listening as a conversation: resumed after a break, patient while nobody answers, and told where there are no events."""

from __future__ import annotations

import pytest

from gateway.client.asking import Answer, More
from gateway.client.errors import GatewayError, NoEventsError, NotUnderstoodError, RefusedError, UnreachableError
from gateway.client.listening import listen
from tests.unit.client.driving import Clock, Reply, drive, page, problem, slurm, where

OPEN = Answer(status=200, headers={"content-type": "text/event-stream; charset=utf-8"}, body=b"")
BROKE_OFF = UnreachableError("x", hint="h", sent=True)
END = b""


def event(number: int, kind: str = "job") -> bytes:
    return f'id: e-{number}\nevent: {kind}\ndata: {{"job_id": {number}}}\n\n'.encode()


def last_ids(*replies: Reply, clock: Clock | None = None, last: str | None = None) -> list[str | None]:
    driven = drive(listen(where(clock), last_event_id=last), replies, clock=clock)
    return [dict(question.headers).get("Last-Event-ID") for question in driven.asked]


def test_what_is_wanted_is_asked_for_and_told() -> None:
    driven = drive(listen(where(cluster="b"), user="alice", job_ids=[5, 6], states=["R"]), [OPEN, event(0, "ready"), event(5)])
    [question] = driven.asked
    assert (question.path, question.stream, question.repeatable) == ("/clusters/b/events", True, True)
    assert question.query == (("user", "alice"), ("job_id", "5,6"), ("state", "R"))
    assert [(event.kind, event.job_id) for event in driven.told] == [("ready", 0), ("job", 5)]


def test_streams_that_end_without_a_word_are_given_up_with_something_to_do() -> None:
    clock = Clock()
    driven = drive(listen(where(clock)), [OPEN, END] * 20, clock=clock)
    assert isinstance(driven.error, UnreachableError)
    hint = "Try again in a minute; if it stays so, tell your administrators."
    assert (str(driven.error), driven.error.hint) == ("the stream of events ended", hint)


def test_a_server_that_wants_no_pause_between_its_streams_does_not_get_that() -> None:
    driven = drive(listen(where()), [OPEN, b"retry: 0\n\n" + event(1), END, OPEN])
    assert [pause.seconds for pause in driven.pauses] == [0.5]


@pytest.mark.parametrize("broken", [END, BROKE_OFF])
def test_a_stream_is_resumed_where_it_ended(broken: Reply) -> None:
    assert last_ids(OPEN, event(1), event(2)[:9], broken, OPEN, event(2), broken) == [None, "e-1", "e-2"]


def test_a_stream_may_be_resumed_from_before() -> None:
    assert last_ids(OPEN, END, OPEN, last="e-7") == ["e-7", "e-7"]


def test_the_server_says_when_to_come_back() -> None:
    driven = drive(listen(where()), [OPEN, b"retry: 3500\n\n" + event(1), END, OPEN])
    assert [pause.seconds for pause in driven.pauses] == [3.5]


def test_the_end_of_a_stream_is_not_the_end_and_is_not_told() -> None:
    driven = drive(listen(where()), [OPEN, event(1), b'event: end\ndata: {"reason": "unavailable"}\n\n', END, OPEN, event(2)])
    assert [event.kind for event in driven.told] == ["job", "job"]


def test_a_session_that_ended_under_a_stream_is_begun_anew() -> None:
    driven = drive(
        listen(where()), [OPEN, event(1), b'event: end\ndata: {"reason": "token_refused"}\n\n', END, problem("token_refused", 401), OPEN, event(2)]
    )
    assert len(driven.proofs) == 1
    assert [event.job_id for event in driven.told] == [1, 2]


def test_a_stream_that_says_nothing_again_and_again_is_given_up() -> None:
    clock = Clock()
    driven = drive(listen(where(clock, patience=30)), [OPEN, END] * 100, clock=clock)
    assert isinstance(driven.error, UnreachableError)
    assert 3 < len(driven.asked) < 20
    assert sum(pause.seconds for pause in driven.pauses) <= 30


def test_patience_begins_anew_with_each_stream_that_tells_something() -> None:
    clock = Clock()
    driven = drive(listen(where(clock, patience=30)), [OPEN, event(1), END] * 100, clock=clock)
    assert driven.error is None
    assert len(driven.asked) == 101


def test_a_stream_that_tells_something_makes_up_for_those_before_that_did_not() -> None:
    clock = Clock()
    silent: list[Reply] = [OPEN, END] * 5
    driven = drive(listen(where(clock, patience=30)), [*silent, OPEN, event(1), END, *silent, OPEN, event(2)], clock=clock)
    assert driven.error is None
    assert [one.job_id for one in driven.told] == [1, 2]
    assert sum(pause.seconds for pause in driven.pauses) > 30


@pytest.mark.parametrize("reply", [problem("not_found", 404), page(404), slurm(404)])
def test_where_there_are_no_events_programs_are_told_to_poll(reply: Answer) -> None:
    driven = drive(listen(where()), [reply])
    assert isinstance(driven.error, NoEventsError)
    assert (driven.error.reason, driven.error.status) == ("no_events", 404)
    assert driven.error.hint == "Ask for the jobs again and again in its place."


def test_other_refusals_are_told_as_they_are() -> None:
    driven = drive(listen(where()), [problem("not_permitted", 403)])
    assert isinstance(driven.error, RefusedError)


def test_what_is_no_stream_is_not_listened_to() -> None:
    driven = drive(listen(where()), [page(200)])
    assert isinstance(driven.error, NotUnderstoodError)
    assert not any(isinstance(step, More) for step in driven.steps)


def test_whoever_cannot_sign_in_again_is_told_why() -> None:
    wrong = GatewayError("no terminal", hint="h")
    assert drive(listen(where()), [problem("token_refused", 401)], proof=wrong).error is wrong

"""Server-sent events, however they come in pieces (WHATWG HTML section 9.2.6)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.client.news import Event, Parser

STREAM = (
    '\ufeffretry: 1500\n\n: a comment\nid: e-0\nevent: ready\ndata: {"jobs": "own"}\n\n'
    'id: e-1\r\nevent: job\r\ndata: {"job_id":\r\ndata: 5, "job_state": "RUNNING"}\r\n\r\n:\n\n'
    'event:job\rdata:{"name": "\u00fc"}\r\rdata: no json\n\nid: e-2\n\nunknown: x\ndata: {}\n\nid: e-3\ndata: {"never": 1}\n'
).encode()  # fmt: skip


def read(*pieces: bytes) -> tuple[list[Event], str | None, float]:
    parser = Parser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found, parser.id, parser.retry


def test_events_are_read() -> None:
    events, last, retry = read(STREAM)
    assert [(event.kind, event.data, event.id) for event in events] == [
        ("ready", {"jobs": "own"}, "e-0"),
        ("job", {"job_id": 5, "job_state": "RUNNING"}, "e-1"),
        ("job", {"name": "ü"}, "e-1"),
        ("message", {}, "e-2"),
    ]
    assert (last, retry) == ("e-2", 1.5)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
@example(list(range(len(STREAM))))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[first:last] for first, last in pairwise(edges))) == read(STREAM)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b"\r", b"id: ", b"{}", b"retry: "]), max_size=30))
def test_whatever_comes_the_pieces_do_not_matter_and_nothing_breaks(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert read(*pieces) == read(whole) == read(*(whole[place : place + 1] for place in range(len(whole))))


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3), max_size=4), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read(trees: list[dict[str, Any]], end: str) -> None:
    import json  # noqa: PLC0415 - for this alone

    text = "".join(f"event: job{end}data: {json.dumps(tree)}{end}{end}" for tree in trees)
    assert [event.data for event in read(text.encode())[0]] == trees


def test_an_id_counts_only_when_its_event_has_come_whole() -> None:
    parser = Parser("e-1")
    assert list(parser.feed(b"id: e-2\ndata: {}\n")) == []
    assert parser.id == "e-1"
    [event] = parser.feed(b"\n")
    assert (parser.id, event.id) == ("e-2", "e-2")


@pytest.mark.parametrize("long", [b"data: " + b"x" * 2_000_000 + b"\n\n", b"data: {}\n" * 400_000 + b"\n", b"x" * 3_000_000 + b"\n\n"])
def test_what_is_too_long_is_no_event_and_takes_no_more_memory(long: bytes) -> None:
    parser = Parser()
    assert [event for place in range(0, len(long), 65536) for event in parser.feed(long[place : place + 65536])] == []
    assert [event.data for event in parser.feed(b'data: {"a": 1}\n\n')] == [{"a": 1}]
    assert len(parser._line) <= 1024 * 1024


@pytest.mark.parametrize(("said", "seconds"), [("0", 0.5), ("99999999999999999999", 60.0), ("-1", 2.0), ("1.5", 2.0), ("", 2.0), ("\u0663", 2.0)])
def test_when_to_come_back_is_a_number_of_milliseconds_and_neither_too_many_nor_too_few(said: str, seconds: float) -> None:
    assert read(f"retry: {said}\n\n".encode())[2] == seconds


@pytest.mark.parametrize(
    ("kind", "data", "over"),
    [
        ("job", {"job_state": "COMPLETED"}, True), ("job", {"job_state": "RUNNING"}, False),
        ("gone", {}, True), ("ready", {}, False), ("job", {}, False),
        ("job", {"job_state": "COMPLETED", "state_flags": ["COMPLETING"]}, False), ("job", {"job_state": ["X"], "state_flags": 5}, False),
    ],
)  # fmt: skip
def test_an_event_says_whether_its_job_is_over(kind: str, data: dict[str, Any], over: bool) -> None:
    assert Event(kind=kind, data=data).is_over is over


@pytest.mark.parametrize(("data", "job_id"), [({"job_id": 5}, 5), ({"job_id": "5"}, None), ({}, None), ({"job_id": True}, None)])
def test_an_event_knows_its_job(data: dict[str, Any], job_id: int | None) -> None:
    assert Event(kind="job", data=data).job_id == job_id


def test_what_an_event_tells_of_its_job_is_had_by_name() -> None:
    told = {"name": "hello", "user_name": "bob", "partition": "main", "job_state": "RUNNING", "previous_state": "PENDING"}
    event = Event(kind="job", data=told)
    assert (event.name, event.user, event.partition, event.state, event.previous_state) == tuple(told.values())


def test_of_what_is_no_text_an_event_tells_nothing() -> None:
    event = Event(kind="job", data={"name": 7, "user_name": None, "partition": ["main"], "job_state": {}})
    assert (event.name, event.user, event.partition, event.state, event.previous_state) == (None,) * 5

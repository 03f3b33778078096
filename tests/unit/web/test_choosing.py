from __future__ import annotations

import pytest

from gateway.errors import BadRequest
from gateway.slurm.news import Choice
from gateway.web.choosing import wish_of


def test_nothing_asked_for_is_everything_from_now_on() -> None:
    wish = wish_of("", [])
    assert (wish.choice, wish.last_event_id) == (Choice(), None)


def test_values_stand_in_a_list_or_one_by_one() -> None:
    wish = wish_of("user=alice,bob&user=carol&job_id=7&state=running,CD&partition=debug&partition=d%C3%A9but", [])
    assert wish.choice == Choice(
        users=frozenset({"alice", "bob", "carol"}),
        jobs=frozenset({7}),
        states=frozenset({"RUNNING", "COMPLETED"}),
        partitions=frozenset({"debug", "d\u00e9but"}),
    )


@pytest.mark.parametrize(
    ("query", "headers", "event_id"),
    [
        ("last_event_id=a-1", [], "a-1"),
        ("last_event_id=a-1", ["b-2"], "b-2"),
        ("", ["b-2"], "b-2"),
        ("last_event_id=", [], None),
        ("", ["x" * 1000], "x" * 100),
    ],
)
def test_the_last_event_is_named_by_the_header_or_else_the_query(query: str, headers: list[str], event_id: str | None) -> None:
    assert wish_of(query, headers).last_event_id == event_id


@pytest.mark.parametrize(
    "query",
    [
        "users=alice",
        "user=",
        "user=a,,b",
        "user=a%0Ab",
        "user=a%20b",
        "job_id=x",
        "job_id=-1",
        "job_id=12345678901",
        "job_id=\u0661",
        "state=DONE",
        "state=",
        "partition=",
        "user=%ff",
        "last_event_id=a&last_event_id=b",
        "user=" + ",".join(["a"] * 201),
        "&".join(["user=a"] * 51),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_repeated(query: str) -> None:
    with pytest.raises(BadRequest) as refused:
        wish_of(query, [])
    assert refused.value.cause == "events_malformed"


def test_two_headers_are_one_too_many() -> None:
    with pytest.raises(BadRequest):
        wish_of("", ["a-1", "a-2"])

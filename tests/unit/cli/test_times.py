from __future__ import annotations

import time

import pytest

from gateway.cli.times import duration, in_words, moment, on_the_clock, server_now
from gateway.errors import CommandError


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (42720, "11 h 52 min"),
        (86400, "1 d 0 h"),
        (30 * 86400 - 1, "29 d 23 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units_and_never_rounded_up(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800), ("2w", 1209600)])
def test_a_span_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "1.5h", "0s", "7D", "\uff11d", "7d ", "9999999999s", "521w6d", "3651d"])
def test_what_is_no_span_is_told_with_what_is(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        duration(text)
    assert (caught.value.hint, caught.value.exit_code) == ("Say it like 90s, 30m, 12h or 7d.", 2)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:01:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_moment_is_read_from_rfc_3339(told: object, seconds: float | None) -> None:
    assert moment(told) == seconds


def test_the_clock_is_the_servers_where_it_tells_it() -> None:
    assert server_now("Thu, 01 Jan 1970 00:01:00 GMT") == 60.0


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_else_it_is_ours(date: str | None) -> None:
    assert abs(server_now(date) - time.time()) < 5


def test_a_moment_is_shown_as_the_clock_here_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert on_the_clock(0.0) == "1970-01-01 01:00 CET"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("told", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-13-01T00:00:00Z", "9999-06-01T00:00:00Z"])
def test_a_time_that_no_calendar_has_everywhere_is_none(told: str) -> None:
    assert moment(told) is None

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observe.audit.event import Event

SIGN_IN = Event(event="sign_in", at=1_700_000_000.25, user="alice")


def test_a_line_has_the_time_in_utc_and_the_fields_that_are_known() -> None:
    assert SIGN_IN.line() == b'{"time":"2023-11-14T22:13:20.250Z","event":"sign_in","user":"alice"}\n'


def test_nought_is_a_value_and_stands_in_the_line() -> None:
    assert json.loads(Event(event="request", at=0.0, status=0).line())["status"] == 0


@given(st.text(), st.text())
@settings(max_examples=60, deadline=None)
def test_no_value_can_begin_a_line_of_its_own(user: str, path: str) -> None:
    line = Event(event="refusal", at=0.0, user=user, path=path).line()
    assert (line.count(b"\n"), line.isascii(), json.loads(line)["user"]) == (1, True, user)


def test_undecodable_bytes_of_a_client_are_written_too() -> None:
    assert Event(event="refusal", at=0.0, path="/\udcff").line().isascii()

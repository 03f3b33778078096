"""What the handlers make of values; their answers over the wire are in tests/web/test_signing_in.py."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web import auth
from tests.unit.web.conftest import Make


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "1970-01-01T00:00:00Z"), (1_700_000_000.99, "2023-11-14T22:13:20Z")])
def test_a_time_is_told_in_utc_to_the_second(seconds: float, text: str) -> None:
    assert auth.stamp(seconds) == text


@given(st.floats(min_value=0, max_value=4e9))
@settings(max_examples=60, deadline=None)
def test_a_time_that_was_told_can_be_read_back(seconds: float) -> None:
    assert datetime.fromisoformat(auth.stamp(seconds)).timestamp() == int(seconds)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/plain", True),
        ("TEXT/PLAIN ; q=0.9, */*", True),
        ("", False),
        ("text/html, text/plain", False),
        ("text/*", False),
        ("text/plain2", False),
    ],
)
def test_the_bare_token_is_for_those_who_name_text_plain_first(make: Make, accept: str, text: bool) -> None:
    assert auth._wants_text(make(fields=[("Accept", accept)])) == text


@pytest.mark.parametrize(("said", "kept"), [("curl/8", "curl/8"), ("a\r\nb\0\x7f", "a??b??"), ("\u202ex", "?x"), ("x" * 500, "x" * 200)])
def test_what_a_client_calls_itself_is_kept_printable_and_short(make: Make, said: str, kept: str) -> None:
    assert auth.client_name(make(fields=[("User-Agent", said)])) == kept


def test_a_client_without_a_name_has_none(make: Make) -> None:
    assert auth.client_name(make()) == ""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.negotiation import coding_for, has_it

CODINGS: list[tuple[str, str | None]] = [
    ("", None),
    ("gzip", "gzip"),
    ("GZIP", "gzip"),
    ("x-gzip", "gzip"),
    ("zstd", "zstd"),
    ("gzip, deflate, br", "gzip"),
    ("gzip, deflate, br, zstd", "zstd"),
    ("gzip;q=1.0, zstd;q=0.5", "gzip"),
    ("gzip;q=0", None),
    ("gzip; q = 0.5", "gzip"),
    ("*", "zstd"),
    ("*;q=0", None),
    ("*, zstd;q=0", "gzip"),
    ("identity", None),
    ("identity, gzip;q=0.5", None),
    ("identity;q=0.5, gzip;q=0.5", "gzip"),
    ("br", None),
    ("gzip;q=nonsense", None),
    ("gzip;q=2", None),
    ("gzip;q=nan", None),
    ("gzip;level=9", "gzip"),
]


@pytest.mark.parametrize(("said", "coding"), CODINGS)
def test_the_coding_is_what_the_client_likes_best(said: str, coding: str | None) -> None:
    assert coding_for(said) == coding


TAGS: list[tuple[str, bool]] = [
    ('W/"abc"', True),
    ('"abc"', True),
    ('"x", W/"abc"', True),
    ("*", True),
    (" * ", True),
    ('"abcd"', False),
    ("abc", False),
    ("", False),
    ('W/"ABC"', False),
]


@pytest.mark.parametrize(("said", "has"), TAGS)
def test_tags_are_compared_weakly(said: str, has: bool) -> None:
    assert has_it(said, 'W/"abc"') is has


@given(st.text(max_size=300))
def test_whatever_is_said_is_borne(said: str) -> None:
    assert coding_for(said) in {"gzip", "zstd", None}
    assert has_it(said, 'W/"a-tag-that-nobody-guesses"') in {True, False}

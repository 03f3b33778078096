"""What somebody may ask a token to be; the answers over the wire are in tests/web/test_tokens.py."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Tokens
from gateway.errors import BadRequest
from gateway.sessions.sessions import Grant
from gateway.web.tokens import read_grant

SETTINGS = Tokens()
DAY = 86400


def grant(**asked: object) -> Grant:
    return read_grant(json.dumps(asked).encode(), SETTINGS)


def test_what_is_not_asked_for_is_little() -> None:
    assert grant(name="ci") == Grant(name="ci", lifetime=30.0 * DAY, scopes=("read",), networks=())


def test_what_is_asked_for_is_given() -> None:
    asked = grant(name="näht", expires_in=90 * DAY, scopes=["submit", "GET /slurm/v*/jobs"], networks=["192.0.2.7"])
    assert asked == Grant(name="näht", lifetime=90.0 * DAY, scopes=("submit", "GET /slurm/v*/jobs"), networks=("192.0.2.7/32",))


MALFORMED: list[dict[str, object]] = [
    {},
    {"name": ""},
    {"name": "   "},
    {"name": "x" * 65},
    {"name": "a\nb"},
    {"name": "a\u202eb"},
    {"name": "\ud800"},
    {"name": 1},
    {"name": None},
    {"name": "x", "expires_in": 0},
    {"name": "x", "expires_in": -1},
    {"name": "x", "expires_in": 1.5},
    {"name": "x", "expires_in": "3600"},
    {"name": "x", "expires_in": True},
    {"name": "x", "expires_in": None},
    {"name": "x", "expires_in": 90 * DAY + 1},
    {"name": "x", "expires_in": 10**400},
    {"name": "x", "scopes": []},
    {"name": "x", "scopes": ["*"]},
    {"name": "x", "scopes": None},
    {"name": "x", "networks": ["everywhere"]},
    {"name": "x", "networks": None},
    {"name": "x", "username": "bob"},
    {"name": "x", "kind": "session"},
]


@pytest.mark.parametrize("asked", MALFORMED, ids=json.dumps)
def test_whatever_is_asked_for_otherwise_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        grant(**asked)


def test_who_asks_for_too_long_a_life_is_told_the_longest() -> None:
    with pytest.raises(BadRequest) as refused:
        grant(name="x", expires_in=91 * DAY)
    assert str(90 * DAY) in refused.value.detail


def test_the_default_life_is_never_longer_than_the_longest() -> None:
    settings = Tokens.model_validate({"max_lifetime": "1h"})
    assert read_grant(b'{"name": "x"}', settings).lifetime == 3600.0


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_grant(body, SETTINGS)

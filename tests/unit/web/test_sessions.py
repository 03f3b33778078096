"""What the handlers make of rows; their answers over the wire are in tests/web/test_sessions.py and test_stepup.py."""

from __future__ import annotations

from gateway.store.sessions import SessionRow
from gateway.web.sessions import _shown

ROW = SessionRow(
    id="s1",
    token_sha256=b"1" * 32,
    kind="session",
    username="alice",
    uid=2001,
    created_at=0.0,
    expires_at=3.0,
    last_used_at=1.0,
    second_factor_at=2.0,
    address="192.0.2.7",
    client="curl/8",
    factor="totp",
)


def test_a_session_is_shown_without_anything_of_its_token() -> None:
    assert _shown(ROW, current=True) == {
        "id": "s1",
        "created_at": "1970-01-01T00:00:00Z",
        "last_used_at": "1970-01-01T00:00:01Z",
        "expires_at": "1970-01-01T00:00:03Z",
        "address": "192.0.2.7",
        "client": "curl/8",
        "second_factor_at": "1970-01-01T00:00:02Z",
        "factor": "totp",
        "current": True,
    }

"""Which one-time code the gateway will accept now (RFC 6238, six digits of SHA-1, steps of 30 s)."""

from __future__ import annotations

import base64
import hmac
import sqlite3
from pathlib import Path

STEP_SECONDS = 30
AHEAD = 1
"""How many steps before its time the gateway takes a code."""


def code(secret: str, step: int) -> str:
    """Return the code of a step (RFC 4226, section 5.3); `secret` is in base 32, with or without padding."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


def next_step(now: float, last_used: int | None) -> tuple[int, float]:
    """Return the step whose code will be accepted, and how many seconds from `now` on it will be (0: now).

    A code works once and only for a step after the last one used; one step ahead of the clock is let through.
    """
    current = int(now // STEP_SECONDS)
    step = current if last_used is None else max(current, last_used + 1)
    return step, max(0.0, (step - AHEAD) * STEP_SECONDS - now)


def last_step(store: Path, user: str) -> int | None:
    """Return the last step that this user signed in with, from the gateway's own store, which is only read."""
    if not store.exists():
        return None
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5)
    try:
        row = connection.execute("SELECT max(last_step) FROM authenticators WHERE username = ?", (user,)).fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        connection.close()
    return int(row[0]) if row and row[0] is not None else None

"""Sessions and tokens as they stand in a store, for the commands that list and end them."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.cli.people import People, on_store
from gateway.config import load
from gateway.store.sessions import SessionRow
from tests.web import fakes


def keep(config: Path, user: str, number: int, kind: str = "session", *, age: float = 0.0, lifetime: float = 3600.0) -> str:
    """Put one into the store of a configuration, begun ``age`` seconds ago, and return its id."""
    database, at = config.parent / "gateway.db", time.time() - age
    if not database.exists():
        on_store(load(config), _nothing)
    row = SessionRow(
        id=f"{number:032x}",
        token_sha256=f"{kind}{number}".encode(),
        kind=kind,
        username=user,
        uid=2001,
        created_at=at,
        expires_at=at + lifetime,
        last_used_at=at,
        second_factor_at=at,
        address="192.0.2.7",
        client="curl/8",
        factor="totp",
        name="nightly" if kind == "token" else "",
        scopes=("read", "submit") if kind == "token" else ("*",),
        made_in="5e55" if kind == "token" else None,
    )
    fakes.insert(database, "sessions", row.values())
    return row.id


def trail(config: Path) -> list[tuple[object, ...]]:
    """Return what the audit trail says was done, to whom, and to which of theirs."""
    path = config.parent / "audit.log"
    return [(line["event"], line.get("user"), line.get("target")) for line in fakes.json_lines(path)] if path.exists() else []


async def _nothing(_people: People) -> None:
    """Have the store made, and no more."""

"""What ``enroll`` and ``disenroll`` share: the store, brought up to date, and an audit line for what was done."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.config import Config
from gateway.errors import CommandError, Refusal
from gateway.observe.audit import AuditTrail, Event
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database, open_database
from gateway.store.migrate import migrate
from gateway.store.sessions import SessionStore

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def user_name(text: str) -> str:
    """Return ``text`` if a Slurm user could be called that; raise CommandError otherwise."""
    if _NAME.fullmatch(text) is None:
        raise CommandError(f"{text!r} is no user name", "Give the name as Slurm spells it, in letters, digits, '.', '_' and '-'.", exit_code=2)
    return text


class People:
    """The stores that a command works on."""

    def __init__(self, database: Database) -> None:
        self.authenticators = AuthenticatorStore(database)
        self.sessions = SessionStore(database)


def on_store(config: Config, action: Callable[[People], Awaitable[_T]]) -> _T:
    """Run ``action`` on the store; raise CommandError when the store cannot be used."""
    try:
        migrate(config.store.url)
        return asyncio.run(_run(config, action))
    except Refusal as refusal:
        raise CommandError(f"store.url: {refusal.cause}", "Run this as the gateway's user or as root, and see that the folder is writable.") from None


async def _run(config: Config, action: Callable[[People], Awaitable[_T]]) -> _T:
    database = open_database(config.store.url, config.store.busy_timeout)
    try:
        return await action(People(database))
    finally:
        await database.close()


def note(config: Config, event: str, user: str, by: str, *, reason: str | None = None) -> None:
    """Write to the audit trail what ``by`` is about to do to ``user``; raise CommandError when it cannot be written.

    ``reason`` says why it was not done after all.
    """
    try:
        trail = AuditTrail(config.audit.file)
        trail.write_now(Event(event=event, at=time.time(), user=user, address="local", reason=reason, cause=f"by {by}"))
        trail.close()
    except Refusal as refusal:
        raise CommandError(f"audit.file: {refusal.cause}", "What cannot be written down is not done: make the audit file writable.") from None

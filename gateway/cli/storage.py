"""What commands that work on the store share: the store, brought up to date, and its failures in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.config import Config
from gateway.errors import CommandError, Refusal, StoreUnavailable
from gateway.store.engine import Database, open_database
from gateway.store.failures import explanation
from gateway.store.migrate import migrate

_T = TypeVar("_T")

HINT = "Run this as the gateway's user or as root; 'slurm-gateway check' says what is wrong."


def on_database(config: Config, action: Callable[[Database], Awaitable[_T]], *, limit: float | None = None) -> _T:
    """Run ``action`` on the store; raise CommandError when the store cannot be used.

    A transaction takes no longer than ``limit`` seconds, ``store.busy_timeout`` without it.
    """
    try:
        migrate(config.store)
        return asyncio.run(_run(config, action, limit))
    except StoreUnavailable as refusal:
        why = f" ({explanation(refusal.__cause__)})" if refusal.__cause__ is not None and refusal.cause.startswith("store: ") else ""
        raise CommandError(f"store.url: {refusal.cause}{why}", HINT) from None
    except Refusal as refusal:
        raise CommandError(f"store.url: {refusal.cause}", HINT) from None


async def _run(config: Config, action: Callable[[Database], Awaitable[_T]], limit: float | None) -> _T:
    database = open_database(config.store, limit=limit)
    try:
        return await action(database)
    finally:
        await database.close()

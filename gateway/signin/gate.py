"""The gate that every attempt passes, whichever way in it takes: counted before anything is evaluated, forgotten when it did not fail.

Parallel guesses, and a process that dies half-way, can so only count too many. All methods raise StoreUnavailable: closed, never open.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from gateway.config import Throttle
from gateway.signin import throttle
from gateway.store.attempts import AttemptStore
from gateway.store.known import KnownAddressStore

_MAX_ACCOUNT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt under way: its id, the account that it counts under, and where it comes from."""

    id: str
    account: str
    address: str


class Gate:
    """Counts attempts in the store, for all workers and nodes."""

    def __init__(self, attempts: AttemptStore, known: KnownAddressStore, settings: Throttle) -> None:
        self._attempts = attempts
        self._known = known
        self._settings = settings

    async def enter(self, account: str, address: str, now: float) -> Attempt:
        """Count an attempt to show the password of ``account``; raise Throttled instead when there were too many."""
        account = _bounded(account)
        attempt = Attempt(id=secrets.token_hex(16), account=account, address=address)
        exceeded = await self._attempts.enter(
            attempt.id,
            self._known.asking(account, throttle.address_key(address), now - self._settings.known_address),
            lambda known: throttle.password_limits(self._settings, account, address, known=known),
            now,
        )
        if exceeded is not None:
            raise throttle.refusal(exceeded, now)
        return attempt

    async def enter_code(self, attempt: Attempt, now: float) -> None:
        """Count the code of an attempt whose password was right; raise Throttled instead when too many codes were wrong."""
        exceeded = await self._attempts.reserve(attempt.id, throttle.code_limits(self._settings, attempt.account), now)
        if exceeded is not None:
            raise throttle.refusal(exceeded, now)

    async def enter_step_up(self, account: str, address: str, now: float) -> Attempt:
        """Count a code of somebody who has a session; raise Throttled instead when too many codes were wrong."""
        attempt = Attempt(id=secrets.token_hex(16), account=_bounded(account), address=address)
        await self.enter_code(attempt, now)
        return attempt

    async def forget(self, attempt: Attempt) -> None:
        """Take back an attempt that was no failed guess."""
        await self._attempts.release(attempt.id)

    async def passed(self, attempt: Attempt, now: float) -> None:
        """Take back an attempt that succeeded, and remember where it came from."""
        note = self._known.noting(attempt.account, throttle.address_key(attempt.address), now, self._settings.known_address)
        await self._attempts.release(attempt.id, also=note)

    async def enter_unnamed(self, address: str, now: float) -> Attempt:
        """Count an attempt with something that names no account; raise Throttled instead when too many such failed from ``address``."""
        attempt = Attempt(id=secrets.token_hex(16), account="", address=address)
        exceeded = await self._attempts.reserve(attempt.id, throttle.token_limits(self._settings, address), now)
        if exceeded is not None:
            raise throttle.refusal(exceeded, now)
        return attempt

    async def unknown_token(self, address: str, now: float) -> None:
        """Count a token that nobody has; raise Throttled when there were too many from ``address``."""
        await self.enter_unnamed(address, now)


def _bounded(account: str) -> str:
    """Return a name that the store has room for: nobody who exists has a longer one, but anything can be typed."""
    return account if len(account) <= _MAX_ACCOUNT else hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()

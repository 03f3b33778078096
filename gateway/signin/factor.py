"""The second factor: checks a code for someone whose password was right, and uses it up before it says yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.config import Totp
from gateway.errors import StoreUnavailable
from gateway.signin.recovery import code_digest, is_recovery_code
from gateway.signin.totp import matching_steps
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.sealing import BrokenSealError, KeyRing


@dataclass(frozen=True, slots=True)
class Proved:
    """The code was right and is now used up; ``method`` is ``totp`` or ``recovery_code``."""

    method: str


@dataclass(frozen=True, slots=True)
class NotProved:
    """The code was not good; ``cause`` (``code_wrong``, ``code_used``) is for the audit trail alone."""

    cause: str


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """The code is the person's own, but of another time; ``told`` says so, to someone whose password was right."""

    told: str


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """The person has no second factor."""


Outcome = Proved | NotProved | OutOfStep | NotEnrolled


class SecondFactor(Protocol):
    """Something that proves that its owner is there."""

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:
        """Return whether ``code`` is good at ``now``, having used it up if it is; ``address`` is the client's, for those that log it.

        Raises StoreUnavailable, or Unavailable when whoever checks codes does not answer.
        """
        ...


class TotpFactor:
    """One-time codes by time, and the recovery codes that stand in for them."""

    def __init__(self, store: AuthenticatorStore, ring: KeyRing, settings: Totp) -> None:
        self._store = store
        self._ring = ring
        self._window = settings.window

    def replace_ring(self, ring: KeyRing) -> None:
        """Open secrets with ``ring`` from now on."""
        self._ring = ring

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:  # noqa: ARG002 - the Protocol's
        """Return whether ``code`` is good, having claimed its step (RFC 6238 section 5.2) or the recovery code if it is."""
        rows = [row for row in await self._store.of(username) if row.confirmed_at is not None]
        if not rows:
            return NotEnrolled()
        if is_recovery_code(code):
            claimed = await self._store.claim_recovery_code(username, code_digest(username, code), now)
            return Proved("recovery_code") if claimed else NotProved("recovery_code_refused")
        matched = False
        for row in rows:
            for step in matching_steps(self._secret(row), code, now, self._window):
                matched = True
                if await self._store.claim_step(row.id, step, now):
                    return Proved("totp")
        return NotProved("code_used" if matched else "code_wrong")

    def _secret(self, row: AuthenticatorRow) -> str:
        try:
            return self._ring.open(row.sealed_secret, row.seal_row).reveal().decode()
        except BrokenSealError as error:
            raise StoreUnavailable(f"authenticator {row.id}: {error}") from error

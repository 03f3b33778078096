"""One-time codes by time, of any of the authenticators that a person has confirmed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.config import Totp
from gateway.errors import StoreUnavailable
from gateway.signin.factor.outcome import NotEnrolled, NotProved, Outcome, OutOfStep, Proved
from gateway.signin.recovery import is_recovery_code
from gateway.signin.seal import Seal
from gateway.signin.totp import STEP_SECONDS, matching_steps, step_at
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.sealing import BrokenSealError
from gateway.store.spent import SpentStore

# Ten minutes either way: a clock that is further off than that is nobody's who uses it.
WIDE = 20
_CODE = re.compile(r"[0-9]{6}")
_TOLD = "out_of_step"


@dataclass(frozen=True, slots=True)
class _Owned:
    row: AuthenticatorRow
    secret: str = field(repr=False)


class TotpFactor:
    """One-time codes by time (RFC 6238); each step of each authenticator is good once, and none after a later one."""

    def __init__(self, store: AuthenticatorStore, spent: SpentStore, seal: Seal, settings: Totp) -> None:
        self._store = store
        self._spent = spent
        self._seal = seal
        self._window = settings.window

    def could_be(self, code: str) -> bool:
        """Tell whether ``code`` is six digits of ASCII."""
        return _CODE.fullmatch(code) is not None

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:  # noqa: ARG002 - the Protocol's
        """Return whether ``code`` is good, having claimed its step (RFC 6238 section 5.2) if it is."""
        owned = [_Owned(row, await opened_secret(self._seal, row)) for row in await self._store.of(username) if row.confirmed_at is not None]
        if not owned:
            return NotEnrolled()
        if is_recovery_code(code):
            return NotProved("recovery_code_refused")
        # Each step of each authenticator is computed before one is asked for, whichever matches.
        matched = [(one, step) for one in owned for step in matching_steps(one.secret, code, now, self._window)]
        for one, step in matched:
            if not await self._spent.is_spent(_TOLD, _told_digest(one.row.id, step), now) and await self._store.claim_step(one.row.id, step, now):
                return Proved("totp")
        return NotProved("code_used") if matched else await self._of_another_time(owned, code, now)

    async def _of_another_time(self, owned: Sequence[_Owned], code: str, now: float) -> Outcome:
        """Look ten minutes either way; nothing is proved here, and nothing that is told can be used.

        Whoever is told that a code is of a time to come could wait for it: so that one step is used up by the telling.
        """
        found = [(one.row, step) for one in owned for step in matching_steps(one.secret, code, now, WIDE)]
        if not found:
            return NotProved("code_wrong")
        here = step_at(now)
        later = [(row, step) for row, step in found if step > row.last_step]
        if not later:
            return NotProved("code_used")
        for row, step in later:
            if step > here:
                await self._spent.spend(_TOLD, _told_digest(row.id, step), now=now, expires_at=now + 2 * WIDE * STEP_SECONDS)
        return OutOfStep(told(min((step - here for _, step in later), key=abs)))


def _told_digest(authenticator_id: str, step: int) -> bytes:
    return hashlib.sha256(f"{authenticator_id}/{step}".encode()).digest()


def told(steps: int) -> str:
    """Say in words how far an authenticator is off that shows the code of ``steps`` from now."""
    minutes = max(1, round(abs(steps) * STEP_SECONDS / 60))
    count = "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"The code is one of your authenticator's, but its clock is about {count} {'fast' if steps > 0 else 'slow'}."


async def opened_secret(seal: Seal, row: AuthenticatorRow) -> str:
    """Return an authenticator's secret; raise StoreUnavailable when it cannot be opened."""
    try:
        return (await seal.open(row.sealed_secret, row.seal_row)).reveal().decode()
    except BrokenSealError as error:
        raise StoreUnavailable(f"authenticator {row.id}: {error}") from error

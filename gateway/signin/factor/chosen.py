"""The second factor as it is configured: recovery codes always, then the first kind that has the person."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.signin.factor.outcome import NotEnrolled, Outcome, Proved, SecondFactor
from gateway.signin.recovery import code_digest, is_recovery_code
from gateway.store.authenticators import AuthenticatorStore


class ChosenFactors:
    """Asks each kind in turn until one has the person; ``how`` tells somebody whom none has how to come to a second factor."""

    def __init__(self, kinds: Sequence[SecondFactor], store: AuthenticatorStore, how: str) -> None:
        self._kinds = kinds
        self._store = store
        self._how = how

    def could_be(self, code: str) -> bool:
        """Tell whether ``code`` is a recovery code in form, or of a form that one of the kinds takes."""
        return is_recovery_code(code) or any(kind.could_be(code) for kind in self._kinds)

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:
        """Return what the first kind says that has the person, or that nobody has them."""
        if is_recovery_code(code) and await self._store.claim_recovery_code(username, code_digest(username, code), now):
            return Proved("recovery_code")
        for kind in self._kinds:
            outcome = await kind.verify(username, code, address, now)
            if not isinstance(outcome, NotEnrolled):
                return outcome
        return NotEnrolled(self._how)

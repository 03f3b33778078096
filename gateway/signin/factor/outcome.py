"""What can come of a code, and the Protocol that every kind of second factor implements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Proved:
    """The code was right and is now used up; ``method`` is ``totp``, ``recovery_code`` or ``radius``."""

    method: str


@dataclass(frozen=True, slots=True)
class NotProved:
    """The code was not good; ``cause`` (``code_wrong``, ``code_used``, …) is for the audit trail alone."""

    cause: str


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """The code is the person's own, but of another time; ``told`` says so, to someone whose password was right."""

    told: str


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """The person has no second factor of this kind; ``how`` says how to come to one, if that is known."""

    how: str | None = None


Outcome = Proved | NotProved | OutOfStep | NotEnrolled


class SecondFactor(Protocol):
    """Something that proves that its owner is there."""

    def could_be(self, code: str) -> bool:
        """Tell, without asking anybody, whether ``code`` has a form that could be right."""
        ...

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:
        """Return whether ``code`` is good at ``now``, having used it up if it is; ``address`` is the client's, for those that log it.

        Raises StoreUnavailable, or FactorUnavailable when whoever checks codes does not answer.
        """
        ...

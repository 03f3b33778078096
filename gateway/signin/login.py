"""Signing in: syntax, throttle, directory, code, in this order, and one answer to the outside for whatever was wrong."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.config import Throttle
from gateway.errors import CredentialsRefused, EnrolmentRequired, NotPermitted, Refusal
from gateway.signin import throttle
from gateway.signin.credentials import Credentials
from gateway.signin.directory import Denied, Directory, Person
from gateway.signin.factor import NotEnrolled, NotProved, SecondFactor
from gateway.slurm.names import NameRules, Subject
from gateway.store.attempts import AttemptStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody who has proved both factors: the Slurm user, when, and by which second factor."""

    subject: Subject
    at: float
    method: str


class Login:
    """Everyone who comes with credentials passes here, whether for a session or for one request."""

    def __init__(self, *, directory: Directory, factor: SecondFactor, attempts: AttemptStore, settings: Throttle, names: NameRules) -> None:
        self._directory = directory
        self._factor = factor
        self._attempts = attempts
        self._settings = settings
        self._names = names

    async def sign_in(self, credentials: Credentials, address: str, now: float) -> SignedIn:
        """Return who signed in. Raises Throttled, CredentialsRefused, EnrolmentRequired, NotPermitted, DirectoryUnavailable, StoreUnavailable.

        The attempt is counted before anything is evaluated and forgotten only when it turns out not to have failed, so that
        parallel guesses, and a process that dies half-way, can only count too many.
        """
        attempt = secrets.token_hex(16)
        exceeded = await self._attempts.reserve(attempt, throttle.limits(self._settings, credentials.account, address), now)
        if exceeded is not None:
            raise throttle.refusal(exceeded, now)
        try:
            signed_in = await self._prove(credentials, now)
        except Refusal as refusal:
            if not _is_failed_guess(refusal):
                await self._attempts.release(attempt)
            raise
        await self._attempts.release(attempt)
        return signed_in

    async def _prove(self, credentials: Credentials, now: float) -> SignedIn:
        person = await self._directory.authenticate(credentials.username, credentials.password)
        if isinstance(person, Denied):
            raise CredentialsRefused(person.cause)
        factor = await self._factor.verify(person.username, credentials.otp, now)
        if isinstance(factor, NotProved):
            raise CredentialsRefused(factor.cause)
        barred = self._barred(person)
        if isinstance(factor, NotEnrolled):
            # Nobody who could not come in anyway learns here that the password was right.
            raise CredentialsRefused(f"not_enrolled_and_{barred}") if barred else EnrolmentRequired("not_enrolled")
        if barred:
            raise NotPermitted(barred)
        return SignedIn(subject=Subject(username=person.username, uid=person.uid), at=now, method=factor.method)

    def _barred(self, person: Person) -> str | None:
        if cause := self._names.refusal(Subject(username=person.username, uid=person.uid)):
            return cause
        return None if person.member else "not_in_required_group"


def _is_failed_guess(refusal: Refusal) -> bool:
    """Tell whether a refusal counts as a failure: a replayed code was no guess, and an outage is nobody's."""
    return isinstance(refusal, CredentialsRefused) and refusal.cause != "code_used"

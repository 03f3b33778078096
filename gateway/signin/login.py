"""Signing in: syntax, directory's entry, throttle, password, code, in this order, and one answer to the outside for whatever was wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from gateway.config import Secret
from gateway.errors import CodeOutOfStep, CredentialsRefused, EnrolmentRequired, NotPermitted, Refusal, Throttled
from gateway.signin.account import Account, Candidate, Denied
from gateway.signin.credentials import Credentials
from gateway.signin.factor import NotEnrolled, NotProved, OutOfStep, Proved, SecondFactor
from gateway.signin.gate import Attempt, Gate
from gateway.signin.turns import Turns
from gateway.slurm.names import NameRules, Subject


class Directory(Protocol):
    """Something that knows people and their passwords. Every method raises DirectoryUnavailable when it cannot be told."""

    async def find(self, typed: str) -> Candidate:
        """Return whom a typed name stands for; no password is involved."""
        ...

    async def prove(self, candidate: Candidate, password: Secret) -> str | None:
        """Bind once with ``password``, for a name that nobody has as well; return why it was refused, or None."""
        ...

    async def account(self, username: str) -> Account | Denied:
        """Return the account whose Slurm user is exactly ``username``, as it is now."""
        ...

    async def by_uid(self, uid: int) -> Account | Denied:
        """Return the account with this uid, as it is now."""
        ...

    async def ping(self) -> None:
        """Return when a server answers the service account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody who has proved both factors: the Slurm user, the groups, when, and by which second factor."""

    subject: Subject
    groups: frozenset[str]
    at: float
    method: str


class Login:
    """Everyone who comes with credentials passes here, whether for a session, for one request, or to enrol."""

    def __init__(self, *, directory: Directory, factor: SecondFactor, gate: Gate, names: NameRules, turns: Turns) -> None:
        self._directory = directory
        self._factor = factor
        self._gate = gate
        self._names = names
        self._turns = turns

    async def sign_in(self, credentials: Credentials, address: str, now: float) -> SignedIn:
        """Return who signed in. Raises Throttled, CredentialsRefused, EnrolmentRequired, NotPermitted, DirectoryUnavailable, StoreUnavailable."""
        self._require_form(credentials.otp)
        async with self._turns:
            return await self._sign_in(credentials, address, now)

    async def _sign_in(self, credentials: Credentials, address: str, now: float) -> SignedIn:
        candidate = await self._directory.find(credentials.username)
        attempt = await self._enter(candidate, address, now)
        try:
            account = await self._password(candidate, credentials.password)
            await self._gate.enter_code(attempt, now)
            signed_in = await self._code(account, credentials.otp, address, now)
        except Refusal as refusal:
            await self._failed(attempt, refusal)
            raise
        await self._gate.passed(attempt, now)
        return signed_in

    async def show_password(self, username: str, password: Secret, address: str, now: float) -> tuple[Account, Attempt]:
        """Return the account that a password alone was shown for, barred or not, and the attempt, which the caller ends by ``Gate``'s methods.

        For the ways in that replace the code by something else (a ticket). Raises what ``sign_in`` does.
        """
        async with self._turns:
            return await self._show_password(username, password, address, now)

    async def _show_password(self, username: str, password: Secret, address: str, now: float) -> tuple[Account, Attempt]:
        candidate = await self._directory.find(username)
        attempt = await self._enter(candidate, address, now)
        try:
            account = await self._password(candidate, password)
        except Refusal as refusal:
            await self._failed(attempt, refusal)
            raise
        return account, attempt

    async def step_up(self, subject: Subject, otp: str, address: str, now: float) -> str:
        """Return by which method somebody who has a session proved a code; raise Throttled, CredentialsRefused, EnrolmentRequired."""
        self._require_form(otp)
        attempt = await self._gate.enter_step_up(subject.username.casefold(), address, now)
        try:
            method = _proved(await self._factor.verify(subject.username, otp, address, now))
        except Refusal as refusal:
            await self._failed(attempt, refusal)
            raise
        await self._gate.forget(attempt)
        return method

    def barred(self, account: Account) -> str | None:
        """Return why somebody who has proved everything may not come in all the same, or None."""
        if cause := self._names.refusal(Subject(username=account.username, uid=account.uid)):
            return cause
        return account.barred or (None if account.member else "not_in_required_group")

    async def _enter(self, candidate: Candidate, address: str, now: float) -> Attempt:
        try:
            return await self._gate.enter(_counted_under(candidate), address, now)
        except Throttled as refusal:
            refusal.of_nobody = isinstance(candidate.account, Denied)
            raise

    def _require_form(self, otp: str) -> None:
        """Refuse what cannot be a code before anybody is asked."""
        if not self._factor.could_be(otp):
            raise CredentialsRefused("code_malformed")

    async def _password(self, candidate: Candidate, password: Secret) -> Account:
        refused = await self._directory.prove(candidate, password)
        if isinstance(candidate.account, Denied):
            raise CredentialsRefused(candidate.account.cause)
        if refused:
            raise CredentialsRefused(refused)
        return candidate.account

    async def _code(self, account: Account, otp: str, address: str, now: float) -> SignedIn:
        barred = self.barred(account)
        outcome = await self._factor.verify(account.username, otp, address, now)
        if isinstance(outcome, NotEnrolled) and barred:
            # Nobody who could not come in anyway learns here that the password was right.
            raise CredentialsRefused(f"not_enrolled_and_{barred}")
        method = _proved(outcome)
        if barred:
            raise NotPermitted(barred)
        return SignedIn(subject=Subject(username=account.username, uid=account.uid), groups=account.groups, at=now, method=method)

    async def _failed(self, attempt: Attempt, refusal: Refusal) -> None:
        """Let a failed guess stand; a replayed code was no guess, and an outage is nobody's."""
        if not isinstance(refusal, CredentialsRefused) or refusal.cause == "code_used":
            await self._gate.forget(attempt)


def _counted_under(candidate: Candidate) -> str:
    """Return the name that attempts are counted under; of a name that nobody has a hash: it may be a password typed into the wrong place."""
    if isinstance(candidate.account, Account):
        return candidate.key
    return "?" + hashlib.sha256(candidate.key.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _proved(outcome: Proved | NotProved | OutOfStep | NotEnrolled) -> str:
    """Return the method by which the second factor was proved; raise the refusal otherwise."""
    if isinstance(outcome, Proved):
        return outcome.method
    if isinstance(outcome, OutOfStep):
        raise CodeOutOfStep("code_out_of_step", detail=outcome.told)
    if isinstance(outcome, NotEnrolled):
        raise EnrolmentRequired("not_enrolled", hint=outcome.how)
    raise CredentialsRefused(outcome.cause)

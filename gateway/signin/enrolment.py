"""Enrolment: a new authenticator and its recovery codes, each shown once, and taking them away again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.config import Enrolment as Settings
from gateway.config import Totp
from gateway.errors import BadRequest, CodeOutOfStep, Conflict, CredentialsRefused, NotFound, Refusal
from gateway.signin import recovery
from gateway.signin.factor.totp import WIDE, opened_secret, told
from gateway.signin.gate import Gate
from gateway.signin.seal import Seal
from gateway.signin.totp import matching_steps, new_secret, otpauth_uri, step_at
from gateway.signin.ways import ADMINISTRATOR, MUNGE
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.sessions import SessionStore
from gateway.store.tickets import TicketStore

NAME = "authenticator"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An authenticator that waits for its first code until ``expires_at``; the secret is shown once."""

    id: str
    name: str
    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What the person needs, and nobody sees again."""

    id: str
    name: str
    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    recovery_codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disenrolled:
    """How many of each were taken away."""

    authenticators: int
    tickets: int
    sessions: int


def is_name(text: object) -> bool:
    """Tell whether an authenticator can be called that: 1 to 64 letters, digits, blanks and ``._-``, for it stands in lists and logs."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def free_name(taken: Sequence[str]) -> str:
    """Return a name that is not taken yet."""
    return next(name for name in (NAME, *(f"{NAME} {number}" for number in range(2, len(taken) + 3))) if name not in taken)


class Enrolment:
    """Authenticators that people add and remove themselves; every method raises StoreUnavailable."""

    def __init__(self, store: AuthenticatorStore, seal: Seal, gate: Gate, *, settings: Settings, totp: Totp) -> None:
        self._store = store
        self._seal = seal
        self._gate = gate
        self._settings = settings
        self._totp = totp

    async def listed(self, username: str) -> tuple[AuthenticatorRow, ...]:
        """Return the person's authenticators, oldest first."""
        return await self._store.of(username)

    async def recovery_codes_left(self, username: str) -> int:
        """Return how many unused recovery codes the person has."""
        return await self._store.recovery_codes_left(username)

    async def is_enrolled(self, username: str) -> bool:
        """Tell whether the person has an authenticator that is confirmed."""
        return any(row.confirmed_at is not None for row in await self._store.of(username))

    async def begin(self, username: str, name: str | None, *, origin: str, now: float) -> Begun:
        """Give the person an authenticator that waits for its first code; raise Conflict when there is no room for it."""
        name = name or free_name([row.name for row in await self._store.of(username)])
        secret = new_secret()
        row = await _new_row(self._seal, username, name, secret, origin=origin, now=now)
        pending = self._settings.pending
        refused = await self._store.add(row, most=self._settings.max_authenticators, pending_since=now - pending)
        if refused == "name_taken":
            raise Conflict(refused, detail=f"You have an authenticator that is called {name} already.", hint="Give it another name.")
        if refused is not None:
            most = self._settings.max_authenticators
            raise Conflict(refused, detail=f"You have {most} authenticators already.", hint="Remove one first: DELETE /auth/totp/{id}.")
        return Begun(id=row.id, name=name, secret=secret, otpauth_uri=otpauth_uri(secret, username, self._totp.issuer), expires_at=now + pending)

    async def waiting(self, username: str, authenticator_id: str | None, now: float) -> AuthenticatorRow:
        """Return the authenticator that waits for its first code: the one with this id, or the only one; raise Conflict or NotFound."""
        since = now - self._settings.pending
        rows = [row for row in await self._store.of(username) if row.confirmed_at is None and row.created_at >= since]
        if authenticator_id is not None:
            rows = [row for row in rows if row.id == authenticator_id]
        if not rows:
            raise NotFound("no_authenticator_waits", detail="No authenticator of yours waits for its first code.", hint="Begin with POST /auth/totp.")
        if len(rows) > 1:
            raise Conflict("several_wait", detail="Several authenticators wait for their first code.", hint='Say which: {"otp": "…", "id": "…"}.')
        return rows[0]

    async def confirm(self, row: AuthenticatorRow, code: str, address: str, now: float, before: Callable[[], Awaitable[None]]) -> tuple[str, ...]:
        """Confirm ``row`` with its first code, and return ten new recovery codes; ``before`` is awaited before anything is changed.

        A wrong code counts as any other does. Raises Throttled, CredentialsRefused, CodeOutOfStep, Conflict.
        """
        if _CODE.fullmatch(code) is None:
            raise CredentialsRefused("code_malformed")
        attempt = await self._gate.enter_step_up(row.username.casefold(), address, now)
        try:
            steps = await self._steps(row, code, now)
            await before()
            codes = await self._confirmed(row, steps, now)
        except Refusal as refusal:
            if not isinstance(refusal, CredentialsRefused):
                await self._gate.forget(attempt)
            raise
        await self._gate.forget(attempt)
        return codes

    async def remove(self, username: str, authenticator_id: str) -> str:
        """Remove one of the person's authenticators and return its name; raise NotFound, or Conflict for the last one."""
        name = next((row.name for row in await self._store.of(username) if row.id == authenticator_id), "")
        refused = await self._store.remove_one_of_several(username, authenticator_id)
        if refused == "last":
            raise Conflict(
                "last_authenticator",
                detail="This is your only second factor. It was not removed.",
                hint="Add another one first (POST /auth/totp), or ask your administrators.",
            )
        if refused is not None:
            raise NotFound("no_such_authenticator", detail="You have no authenticator with this id.", hint="GET /auth/totp lists them.")
        return name

    async def _steps(self, row: AuthenticatorRow, code: str, now: float) -> tuple[int, ...]:
        secret = await opened_secret(self._seal, row)
        steps = matching_steps(secret, code, now, self._totp.window)
        if not steps:
            # Whoever confirms it has its secret: to tell how far its clock is off gives nothing away.
            off = matching_steps(secret, code, now, WIDE)
            if off:
                raise CodeOutOfStep("code_out_of_step", detail=told(min((step - step_at(now) for step in off), key=abs)))
            raise CredentialsRefused("code_wrong")
        return steps

    async def _confirmed(self, row: AuthenticatorRow, steps: tuple[int, ...], now: float) -> tuple[str, ...]:
        codes = recovery.new_codes()
        digests = tuple(recovery.code_digest(row.username, code) for code in codes)
        # What proves no more than a Unix user is good for a first authenticator alone, however many were begun meanwhile.
        first = row.origin == MUNGE
        if not await self._store.confirm(row.id, steps[-1], digests, now, first=first):
            raise Conflict("not_confirmed", detail="Another authenticator was confirmed meanwhile, or this one has gone. Nothing was changed.")
        return codes


async def _new_row(seal: Seal, username: str, name: str, secret: str, *, origin: str, now: float) -> AuthenticatorRow:
    identifier = secrets.token_hex(16)
    sealed = await seal.seal(secret.encode(), seal_row(identifier, username))
    return AuthenticatorRow(
        id=identifier, username=username, name=name, sealed_secret=sealed, last_step=0, created_at=now, confirmed_at=None, origin=origin
    )


async def enrol(
    store: AuthenticatorStore, seal: Seal, *, username: str, issuer: str, now: float, name: str | None = None, most: int = 1
) -> Enrolled | None:
    """Give ``username`` an authenticator that needs no confirmation, up to ``most`` in all; return what to show.

    None when there is no room for it, or the name is taken. Those that wait for their first code make room. Raises StoreUnavailable.
    """
    if name is None:
        name = free_name([row.name for row in await store.of(username) if row.confirmed_at is not None])
    secret, codes = new_secret(), recovery.new_codes()
    waiting = await _new_row(seal, username, name, secret, origin=ADMINISTRATOR, now=now)
    row = AuthenticatorRow(**{**waiting.values(), "confirmed_at": now})
    digests = tuple(recovery.code_digest(username, code) for code in codes)
    if await store.add(row, digests, most=most, pending_since=now + 1) is not None:
        return None
    return Enrolled(id=row.id, name=name, secret=secret, otpauth_uri=otpauth_uri(secret, username, issuer), recovery_codes=codes)


async def renew_recovery(store: AuthenticatorStore, username: str) -> tuple[str, ...]:
    """Replace the recovery codes of ``username`` by ten new ones, and return these; raise StoreUnavailable."""
    codes = recovery.new_codes()
    await store.replace_recovery_codes(username, tuple(recovery.code_digest(username, code) for code in codes))
    return codes


async def disenrol(store: AuthenticatorStore, tickets: TicketStore, sessions: SessionStore, username: str, name: str | None = None) -> Disenrolled:
    """Take the second factors of ``username`` away, or the one called ``name``, with tickets, and end all sessions and tokens."""
    row = next((row for row in await store.of(username) if row.name == name), None)
    if name is not None and row is None:
        return Disenrolled(authenticators=0, tickets=0, sessions=0)
    # Each opens the way to the next, so they go in the order in which they are made.
    redeemable = await tickets.remove_all_of(username)
    removed = await store.remove_all_of(username) if row is None else int(await store.remove(username, row.id))
    return Disenrolled(authenticators=removed, tickets=redeemable, sessions=await sessions.end_all_of(username))


def read_name(value: object) -> str | None:
    """Return the name that a request gives an authenticator, or None for none; raise BadRequest for what is no name."""
    if value is None:
        return None
    if not is_name(value):
        raise BadRequest(
            "name_malformed", detail="A name has 1 to 64 letters, digits, blanks and '.', '_' or '-', and begins with a letter or digit."
        )
    return str(value)

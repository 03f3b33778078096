"""Enrolment: a new secret and its recovery codes, shown once, and taking them away again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.signin import recovery
from gateway.signin.totp import new_secret, otpauth_uri
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.sealing import KeyRing
from gateway.store.sessions import SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What the person needs, and nobody sees again."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    recovery_codes: tuple[str, ...] = field(repr=False)


async def enrol(store: AuthenticatorStore, ring: KeyRing, *, username: str, issuer: str, now: float) -> Enrolled | None:
    """Give ``username`` an authenticator; return what to show, or None when there is one already. Raises StoreUnavailable."""
    secret = new_secret()
    codes = tuple(recovery.make_code(secrets.token_bytes(recovery.ENTROPY_BYTES)) for _ in range(recovery.COUNT))
    identifier = secrets.token_hex(16)
    row = AuthenticatorRow(
        id=identifier,
        username=username,
        name="authenticator",
        sealed_secret=ring.seal(secret.encode(), seal_row(identifier, username)),
        last_step=0,
        created_at=now,
        confirmed_at=now,
        origin="administrator",
    )
    if await store.add(row, tuple(recovery.code_digest(username, code) for code in codes), most=1) is not None:
        return None
    return Enrolled(secret=secret, otpauth_uri=otpauth_uri(secret, username, issuer), recovery_codes=codes)


async def disenrol(store: AuthenticatorStore, sessions: SessionStore, username: str) -> tuple[int, int]:
    """Take the second factors of ``username`` away and end the sessions that they opened; return how many of each."""
    removed = await store.remove_all_of(username)
    return removed, await sessions.end_all_of(username)

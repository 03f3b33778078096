"""Sessions: a token for someone who signed in, who a token belongs to, and its end."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from gateway.config import Sessions as Settings
from gateway.errors import TokenRefused
from gateway.sessions.tokens import ENTROPY_BYTES, is_well_formed, make_token, token_digest
from gateway.signin.login import SignedIn
from gateway.slurm.names import Subject
from gateway.store.sessions import SessionRow

_MAX_CACHED = 50_000
# Noting each use would write once a request; a session's idle end may be this share of the idle time early instead.
_TOUCH_SHARE = 20


class Rows(Protocol):
    """Where sessions are kept."""

    async def add(self, row: SessionRow) -> None:
        """Keep a row."""

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Find a row by the digest of its token."""

    async def touch(self, session_id: str, now: float) -> None:
        """Note the use of a row."""

    async def end(self, session_id: str) -> bool:
        """Remove a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request is from, and until when that can be said (seconds since the epoch)."""

    subject: Subject
    kind: str
    session_id: str | None
    expires_at: float
    idle_expires_at: float
    second_factor_at: float

    @property
    def username(self) -> str:
        """The Slurm user."""
        return self.subject.username


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new session: the token, which is shown once, and its end."""

    token: str = field(repr=False)
    identity: Identity


@dataclass(slots=True)
class _Cached:
    row: SessionRow
    read_at: float
    touched_at: float


class Sessions:
    """Issues, resolves and ends sessions; believes what it read for ``settings.cache`` seconds, so an end takes that long at most."""

    def __init__(self, rows: Rows, settings: Settings) -> None:
        self._rows = rows
        self._settings = settings
        self._cache: dict[bytes, _Cached] = {}
        self._looking_up: dict[bytes, asyncio.Task[SessionRow | None]] = {}

    async def issue(self, who: SignedIn, *, address: str, client: str) -> Issued:
        """Return a new session for ``who``; raise StoreUnavailable."""
        token = make_token(secrets.token_bytes(ENTROPY_BYTES))
        row = SessionRow(
            id=secrets.token_hex(16),
            token_sha256=token_digest(token),
            kind="session",
            username=who.subject.username,
            uid=who.subject.uid,
            created_at=who.at,
            expires_at=who.at + self._settings.lifetime,
            last_used_at=who.at,
            second_factor_at=who.at,
            address=address,
            client=client,
        )
        await self._rows.add(row)
        return Issued(token=token, identity=self._identity(row, who.at))

    async def resolve(self, token: str, now: float) -> Identity:
        """Return who ``token`` belongs to; raise TokenRefused (malformed, unknown, expired, idle too long) or StoreUnavailable."""
        digest = token_digest(token)
        cached = self._cache.get(digest)
        if cached is None and not is_well_formed(token):
            raise TokenRefused("token_malformed", detail="That is no token of the gateway's, or it was mistyped.")
        if cached is None or not 0 <= now - cached.read_at < self._settings.cache:
            cached = await self._refresh(digest, now, cached)
        identity = self._identity(cached.row, cached.touched_at)
        if now >= identity.expires_at or now >= identity.idle_expires_at:
            self._cache.pop(digest, None)
            raise TokenRefused("session_expired" if now >= identity.expires_at else "session_idle")
        if now - cached.touched_at > self._settings.idle / _TOUCH_SHARE:
            cached.touched_at = now
            await self._rows.touch(cached.row.id, now)
        return identity

    async def end(self, identity: Identity) -> None:
        """End the session behind ``identity``: here at once, elsewhere within ``settings.cache`` seconds. Raises StoreUnavailable."""
        if identity.session_id is None:
            return
        await self._rows.end(identity.session_id)
        self._cache = {digest: cached for digest, cached in self._cache.items() if cached.row.id != identity.session_id}

    async def _refresh(self, digest: bytes, now: float, cached: _Cached | None) -> _Cached:
        """Read the session again, once for all requests that need it at this moment."""
        task = self._looking_up.get(digest)
        if task is None:
            task = asyncio.create_task(self._rows.find(digest))
            self._looking_up[digest] = task
            task.add_done_callback(lambda _: self._looking_up.pop(digest, None))
        row = await asyncio.shield(task)
        if row is None:
            self._cache.pop(digest, None)
            raise TokenRefused("token_unknown_or_ended")
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        fresh = _Cached(row, now, max(row.last_used_at, cached.touched_at if cached else 0.0))
        self._cache[digest] = fresh
        return fresh

    def _identity(self, row: SessionRow, last_used_at: float) -> Identity:
        return Identity(
            subject=Subject(username=row.username, uid=row.uid),
            kind=row.kind,
            session_id=row.id,
            expires_at=row.expires_at,
            idle_expires_at=min(row.expires_at, last_used_at + self._settings.idle),
            second_factor_at=row.second_factor_at,
        )


def for_one_request(who: SignedIn, lifetime: float) -> Identity:
    """Return the identity of someone who sent credentials with a single request: no session, and over with that request."""
    return Identity(
        subject=who.subject,
        kind="one_shot",
        session_id=None,
        expires_at=who.at + lifetime,
        idle_expires_at=who.at + lifetime,
        second_factor_at=who.at,
    )

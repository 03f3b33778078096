"""Sessions: a token for someone who signed in, who a token belongs to, and its end."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Protocol

from gateway.config import Sessions as Settings
from gateway.errors import TokenRefused
from gateway.policy.scopes import EVERYTHING
from gateway.sessions.tokens import ENTROPY_BYTES, is_well_formed, make_token, token_digest
from gateway.signin.account import REQUIRED
from gateway.signin.login import SignedIn
from gateway.slurm.names import Subject
from gateway.store.sessions import SessionRow

_MAX_CACHED = 50_000
# Noting each use would write once a request; a session's idle end may be this share of the idle time early instead.
_TOUCH_SHARE = 20


class Rows(Protocol):
    """Where sessions are kept."""

    async def add(self, row: SessionRow) -> bool:
        """Keep a row."""
        ...

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Find a row by the digest of its token."""

    async def touch(self, session_id: str, now: float) -> None:
        """Note the use of a row."""

    async def end(self, session_id: str) -> SessionRow | None:
        """Remove a row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request is from, and until when that can be said (seconds since the epoch)."""

    subject: Subject
    kind: str
    session_id: str | None
    expires_at: float
    idle_expires_at: float
    second_factor_at: float
    groups: frozenset[str] = frozenset({REQUIRED})
    scopes: tuple[str, ...] = EVERYTHING
    networks: tuple[str, ...] = ()

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
    identity: Identity
    read_at: float
    touched_at: float


class Sessions:
    """Issues, resolves and ends sessions; believes what it read for ``settings.cache`` seconds, so an end takes that long at most."""

    def __init__(self, rows: Rows, settings: Settings) -> None:
        self._rows = rows
        self._settings = settings
        self._cache: dict[bytes, _Cached] = {}
        self._looking_up: dict[bytes, asyncio.Task[_Cached | None]] = {}
        self._ends = 0

    async def issue(self, who: SignedIn, *, address: str, client: str, session_id: str | None = None) -> Issued:
        """Return a new session for ``who``, under an id that was drawn before if there is one; raise StoreUnavailable."""
        token = make_token(secrets.token_bytes(ENTROPY_BYTES))
        row = SessionRow(
            id=session_id or secrets.token_hex(16),
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
            factor=who.method,
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
            cached = await self._refreshed(digest, now)
        identity = cached.identity
        if now >= identity.expires_at or now >= identity.idle_expires_at:
            self._cache.pop(digest, None)
            raise TokenRefused("session_expired" if now >= identity.expires_at else "session_idle")
        if now - cached.touched_at > self._settings.idle / _TOUCH_SHARE:
            cached.touched_at = now
            cached.identity = self._identity(cached.row, now)
            # Shielded, as every use of the store is: a request may be broken off at any moment, a transaction may not.
            await asyncio.shield(self._rows.touch(cached.row.id, now))
        return cached.identity

    async def end(self, identity: Identity) -> None:
        """End the session behind ``identity``: here at once, elsewhere within ``settings.cache`` seconds. Raises StoreUnavailable."""
        if identity.session_id is None:
            return
        await self._rows.end(identity.session_id)
        self._ends += 1
        self._cache = {digest: cached for digest, cached in self._cache.items() if cached.row.id != identity.session_id}

    async def _refreshed(self, digest: bytes, now: float) -> _Cached:
        """Read the session again, once for all requests that need it at this moment."""
        task = self._looking_up.get(digest)
        if task is None:
            task = asyncio.create_task(self._look_up(digest, now))
            self._looking_up[digest] = task
            task.add_done_callback(lambda done: self._looked_up(digest, done))
        cached = await asyncio.shield(task)
        if cached is None:
            raise TokenRefused("token_unknown_or_ended")
        return cached

    async def _look_up(self, digest: bytes, now: float) -> _Cached | None:
        before, ends = self._cache.get(digest), self._ends
        row = await self._rows.find(digest)
        if row is None:
            self._cache.pop(digest, None)
            return None
        touched_at = max(row.last_used_at, before.touched_at if before else 0.0)
        cached = _Cached(row, self._identity(row, touched_at), read_at=now, touched_at=touched_at)
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        # A session that ended here while it was being read must not come back by what was read before.
        if ends == self._ends:
            self._cache[digest] = cached
        return cached

    def _looked_up(self, digest: bytes, task: asyncio.Task[_Cached | None]) -> None:
        self._looking_up.pop(digest, None)
        if not task.cancelled():
            task.exception()  # whoever waits has it; if all have gone away, it is no news

    def _identity(self, row: SessionRow, last_used_at: float) -> Identity:
        return Identity(
            subject=Subject(username=row.username, uid=row.uid),
            kind=row.kind,
            session_id=row.id,
            expires_at=row.expires_at,
            idle_expires_at=min(row.expires_at, last_used_at + self._settings.idle),
            second_factor_at=row.second_factor_at,
            scopes=row.scopes,
            networks=row.networks,
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
        groups=who.groups,
    )

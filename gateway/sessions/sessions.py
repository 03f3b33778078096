"""Sessions, personal tokens and enrolments: a token for someone who signed in, who a token belongs to, and its end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from gateway.config import Sessions as Settings
from gateway.errors import NotPermitted, StoreUnavailable, TokenRefused
from gateway.policy import networks
from gateway.sessions.accounts import Accounts, Refused
from gateway.sessions.standby import Standby
from gateway.sessions.tokens import ENTROPY_BYTES, is_well_formed, make_token, token_digest
from gateway.signin.login import SignedIn
from gateway.slurm.names import Subject
from gateway.store.accounts import AccountRow
from gateway.store.sessions import ENROLMENT, SESSION, TOKEN, SessionRow

logger = structlog.get_logger()

EVERYTHING = ("*",)
_MAX_CACHED = 50_000
_MAX_ABSENT = 10_000
# Noting each use would write once a request; a session's idle end may be this share of the idle time early instead.
_TOUCH_SHARE = 20
# Uses are noted at least this often, so that the standby knows who is there.
_TOUCH_MOST = 180.0
_TOUCH_AGAIN = 10.0


class Rows(Protocol):
    """Where sessions are kept. Every method raises StoreUnavailable."""

    async def add(self, row: SessionRow, *, most: int | None = None) -> bool:
        """Keep a row, unless its owner has ``most`` of the kind."""
        ...

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Find a row by the digest of its token."""

    async def of(self, kind: str, username: str | None = None) -> tuple[SessionRow, ...]:
        """Return somebody's rows of a kind, newest first."""
        ...

    async def touch(self, session_id: str, now: float) -> None:
        """Note the use of a row."""

    async def prove_again(self, session_id: str, factor: str, now: float) -> bool:
        """Note that a second factor was proved; tell whether the row was there."""
        ...

    async def end(self, session_id: str, *, kind: str | None = None, username: str | None = None) -> SessionRow | None:
        """Remove a row of that kind and person, and return it."""


class TokenGate(Protocol):
    """Counts tokens that nobody has."""

    async def unknown_token(self, address: str, now: float) -> None:
        """Count one; raise Throttled when there were too many from ``address``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request is from, what it may do, and until when that can be said (seconds since the epoch).

    ``kind`` is session, token, enrolment or one_shot; ``groups`` are the configured ones, as of the directory's last look;
    ``networks`` are where a token may come from (none is everywhere), ``name`` is a token's own.
    """

    subject: Subject
    kind: str
    session_id: str | None
    expires_at: float
    idle_expires_at: float
    second_factor_at: float
    groups: frozenset[str] = frozenset()
    scopes: tuple[str, ...] = EVERYTHING
    networks: tuple[str, ...] = ()
    factor: str = ""
    name: str = ""

    @property
    def username(self) -> str:
        """The Slurm user."""
        return self.subject.username


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new session or personal token: the token, which is shown once, and what it stands for."""

    token: str = field(repr=False)
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a personal token is to be good for; ``lifetime`` in seconds."""

    name: str
    lifetime: float
    scopes: tuple[str, ...]
    networks: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    """A row as it was in the store at ``read_at``, when it was used last, and when that is to be noted again."""

    row: SessionRow
    read_at: float
    used_at: float
    note_after: float
    account: AccountRow | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class _LookUp:
    task: asyncio.Task[_Known | None]
    started_at: float


class Sessions:
    """Issues, resolves and ends what tokens stand for.

    What was read is believed for ``settings.cache`` seconds from before it was asked for: so long an end takes elsewhere, here none.
    While the store does not answer, sessions go on for ``grace`` seconds after they were last read.
    """

    def __init__(
        self,
        rows: Rows,
        accounts: Accounts,
        gate: TokenGate,
        settings: Settings,
        *,
        grace: float,
        standby: Standby | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._accounts = accounts
        self._gate = gate
        self._settings = settings
        self._grace = grace
        self._standby = standby
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._absent: dict[bytes, float] = {}
        self._looking_up: dict[bytes, _LookUp] = {}
        self._notes: set[asyncio.Task[None]] = set()
        # Counts what was changed here; a look-up under way meanwhile has read what is no longer so.
        self._changes = 0
        self._store_out_until = -1.0

    def start(self) -> None:
        """Begin what runs beside the requests."""
        if self._standby is not None:
            self._standby.start()

    async def close(self) -> None:
        """End it, and let what is being written come to its end."""
        if self._standby is not None:
            await self._standby.close()
        await asyncio.gather(*self._notes, *(look_up.task for look_up in self._looking_up.values()), return_exceptions=True)
        await self._accounts.close()

    # Beginnings.

    async def issue(
        self, who: SignedIn, *, address: str, client: str, session_id: str | None = None, kind: str = SESSION, lifetime: float | None = None
    ) -> Issued:
        """Return a new session for ``who``, or an enrolment of ``lifetime`` seconds; raise StoreUnavailable."""
        account = AccountRow(username=who.subject.username, uid=who.subject.uid, groups=who.groups, checked_at=who.at)
        row, token = _new_row(
            session_id or new_id(),
            kind,
            who.subject,
            now=who.at,
            lifetime=self._settings.lifetime if lifetime is None else lifetime,
            address=address,
            client=client,
        )
        row = replace(row, second_factor_at=who.at, factor=who.method, scopes=EVERYTHING)
        await self._accounts.signed_in(account)
        await self._rows.add(row)
        return Issued(token=token, identity=self._identity(row, who.at, account))

    async def grant(self, identity: Identity, grant: Grant, *, address: str, client: str, now: float, most: int) -> Issued | None:
        """Return a personal token made in the session of ``identity``, or None when its owner has ``most``; raise StoreUnavailable."""
        row, token = _new_row(new_id(), TOKEN, identity.subject, now=now, lifetime=grant.lifetime, address=address, client=client)
        row = replace(
            row,
            second_factor_at=identity.second_factor_at,
            factor=identity.factor,
            name=grant.name,
            scopes=grant.scopes,
            networks=grant.networks,
            made_in=identity.session_id,
        )
        if not await self._rows.add(row, most=most):
            return None
        return Issued(token=token, identity=self._identity(row, now, None))

    async def prove_again(self, identity: Identity, factor: str, now: float) -> None:
        """Note that the owner of a session proved ``factor`` at ``now``; raise TokenRefused when it has ended meanwhile, StoreUnavailable."""
        session_id = identity.session_id
        if session_id is None or not await self._rows.prove_again(session_id, factor, now):
            raise TokenRefused("session_ended_meanwhile")
        self._changes += 1
        for known in self._known.values():
            if known.row.id == session_id:
                known.row = replace(known.row, second_factor_at=now, factor=factor)
                known.identity = None

    # What is there.

    async def resolve(self, token: str, address: str, now: float, *, is_use: bool = True) -> Identity:
        """Return who ``token`` belongs to, if it may be used from ``address``; without ``is_use`` a session idles on.

        Raises TokenRefused (malformed, unknown, expired, idle too long, account refused), NotPermitted (from outside its networks),
        Throttled (too many that nobody has), DirectoryUnavailable or StoreUnavailable.
        """
        digest = token_digest(token)
        known = self._known.get(digest)
        if known is None and not is_well_formed(token):
            raise TokenRefused("token_malformed", detail="That is no token of the gateway's, or it was mistyped.")
        if known is None or not 0 <= now - known.read_at < self._settings.cache:
            known = await self._read_again(digest, address, now)
        self._require_use(known, address, now)
        subject = Subject(username=known.row.username, uid=known.row.uid)
        account = self._accounts.fresh(subject, now) or await self._look_again(subject, now)
        if is_use:
            self._note_use(known, now)
        if known.identity is None or known.account is not account:
            known.account, known.identity = account, self._identity(known.row, known.used_at, account)
        return known.identity

    async def of(self, kind: str, username: str, now: float) -> tuple[SessionRow, ...]:
        """Return what somebody has of a kind and could use at ``now``, newest first; raise StoreUnavailable."""
        return tuple(row for row in await self._rows.of(kind, username) if now < self._idle_end(row, row.last_used_at))

    # Ends.

    async def end(self, identity: Identity) -> None:
        """End what is behind ``identity``: here at once, elsewhere within ``settings.cache`` seconds. Raises StoreUnavailable."""
        if identity.session_id is not None:
            await self.end_one(identity.session_id, kind=identity.kind, username=identity.username)

    async def end_one(self, session_id: str, *, kind: str, username: str) -> SessionRow | None:
        """End what has this id, if it is of that kind and that person's; return what was ended. Raises StoreUnavailable.

        When the store does not answer, this worker refuses the session all the same until it does.
        """

        def ended(row: SessionRow) -> bool:
            return (row.id, row.kind, row.username) == (session_id, kind, username)

        try:
            return await self._rows.end(session_id, kind=kind, username=username)
        finally:
            self._forget(ended)

    def forget(self, username: str) -> None:
        """Believe nothing any more of what was read of somebody's sessions, which have ended."""
        self._forget(lambda row: row.username == username)

    # Reading.

    async def _read_again(self, digest: bytes, address: str, now: float) -> _Known:
        """Read a row again; raise TokenRefused when there is none, Throttled when too many such came from ``address``."""
        if self._clock() < self._store_out_until and (standing := self._standing_in(digest, now)) is not None:
            return standing
        try:
            known = await self._looked_up(digest, now)
        except StoreUnavailable as error:
            if self._clock() >= self._store_out_until:
                logger.warning("store_out", cause=error.cause, grace_seconds=self._grace)
            # The next requests are not to wait for a store that takes its time to fail.
            self._store_out_until = self._clock() + self._settings.cache
            if (standing := self._standing_in(digest, now)) is not None:
                return standing
            raise
        if known is None:
            await asyncio.shield(self._gate.unknown_token(address, now))
            raise TokenRefused("token_unknown_or_ended")
        return known

    def _standing_in(self, digest: bytes, now: float) -> _Known | None:
        """Return what is known of a session without the store, as long as ``grace`` lasts."""
        known = self._known.get(digest)
        spare = self._standby.find(digest) if self._standby is not None else None
        if spare is not None and (known is None or known.read_at < spare.read_at):
            known = self._known[digest] = self._knowing(spare.row, spare.read_at, known)
        if known is None or known.row.kind == ENROLMENT or not abs(now - known.read_at) < self._grace:
            return None
        if self._standby is not None and self._standby.shows_the_end_of(known.row, known.read_at):
            return None
        return known

    async def _looked_up(self, digest: bytes, now: float) -> _Known | None:
        """Look a row up once for all requests that need it at this moment; what is not there is not asked for again within the moment."""
        if 0 <= now - self._absent.get(digest, -1.0) < self._settings.cache:
            return None
        look_up = self._looking_up.get(digest)
        # One that has been on its way for longer may have read what is no longer so.
        if look_up is None or not abs(now - look_up.started_at) < self._settings.cache:
            look_up = self._looking_up[digest] = _LookUp(asyncio.create_task(self._look_up(digest, now)), now)
            look_up.task.add_done_callback(lambda done: self._done(digest, done))
        # Whoever goes away does not take the look-up of the others along.
        return await asyncio.shield(look_up.task)

    async def _look_up(self, digest: bytes, now: float) -> _Known | None:
        changes = self._changes
        row = await self._rows.find(digest)
        if row is None:
            self._known.pop(digest, None)
            if self._standby is not None:
                self._standby.forget(lambda row: row.token_sha256 == digest)
            if len(self._absent) >= _MAX_ABSENT:
                self._absent.clear()
            self._absent[digest] = now
            return None
        known = self._knowing(row, now, self._known.get(digest))
        newest = self._looking_up.get(digest)
        # What was changed here while it was being read, or read again since, must not come back by what was read before.
        if changes == self._changes and newest is not None and newest.task is asyncio.current_task():
            self._make_room(now)
            self._known[digest] = known
        return known

    def _knowing(self, row: SessionRow, read_at: float, before: _Known | None) -> _Known:
        used_at = max(row.last_used_at, before.used_at if before else 0.0)
        # The first use of a personal token is noted at once: one that was used only on the day that it was made was used.
        unused = row.kind == TOKEN and row.last_used_at <= row.created_at
        note_after = max(row.last_used_at + (0.0 if unused else self._touch_every), before.note_after if before else 0.0)
        known = _Known(row, read_at, used_at, note_after)
        if before is not None and before.row == row and before.used_at == used_at:
            known.account, known.identity = before.account, before.identity
        return known

    def _make_room(self, now: float) -> None:
        if len(self._known) >= _MAX_CACHED:
            # What is too old to stand in for the store is of no more use.
            self._known = {digest: known for digest, known in self._known.items() if now - known.read_at < self._grace}
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()

    def _done(self, digest: bytes, task: asyncio.Task[_Known | None]) -> None:
        look_up = self._looking_up.get(digest)
        if look_up is not None and look_up.task is task:
            del self._looking_up[digest]
        if not task.cancelled():
            task.exception()  # whoever waits has it; if all have gone away, it is no news

    def _forget(self, gone: Callable[[SessionRow], bool]) -> None:
        self._changes += 1
        self._known = {digest: known for digest, known in self._known.items() if not gone(known.row)}
        if self._standby is not None:
            self._standby.forget(gone)

    # Deciding.

    def _require_use(self, known: _Known, address: str, now: float) -> None:
        row = known.row
        if now >= row.expires_at:
            raise TokenRefused("session_expired" if row.kind == SESSION else f"{row.kind}_expired")
        if now >= self._idle_end(row, known.used_at):
            raise TokenRefused("session_idle")
        if not networks.allows(row.networks, address):
            raise NotPermitted(
                "token_network",
                detail="This token may not be used from your address.",
                hint="Use it where it was made for (GET /auth/tokens shows its networks), or make another one.",
            )

    async def _look_again(self, subject: Subject, now: float) -> AccountRow:
        account = await self._accounts.look(subject, now)
        if isinstance(account, Refused):
            self.forget(subject.username)
            raise TokenRefused(account.cause)
        return account

    def _note_use(self, known: _Known, now: float) -> None:
        """Note the use now and then, beside the request: no request fails or waits for it."""
        if now <= known.note_after:
            return
        known.note_after = now + self._touch_every
        known.used_at = now
        known.identity = None
        task = asyncio.create_task(self._touch(known.row, now))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _touch(self, row: SessionRow, now: float) -> None:
        try:
            await self._rows.touch(row.id, now)
        except StoreUnavailable as error:
            logger.warning("use_not_noted", session=row.id, cause=error.cause)
            known = self._known.get(row.token_sha256)
            if known is not None:
                known.note_after = now + min(_TOUCH_AGAIN, self._touch_every)

    @property
    def _touch_every(self) -> float:
        return min(self._settings.idle / _TOUCH_SHARE, _TOUCH_MOST)

    def _idle_end(self, row: SessionRow, used_at: float) -> float:
        """Return when a row ends if it is not used again: a session of idleness, a token only of age."""
        return min(row.expires_at, used_at + self._settings.idle) if row.kind == SESSION else row.expires_at

    def _identity(self, row: SessionRow, used_at: float, account: AccountRow | None) -> Identity:
        return Identity(
            subject=Subject(username=row.username, uid=row.uid),
            kind=row.kind,
            session_id=row.id,
            expires_at=row.expires_at,
            idle_expires_at=self._idle_end(row, used_at),
            second_factor_at=row.second_factor_at,
            groups=account.groups if account is not None else frozenset(),
            scopes=row.scopes,
            networks=row.networks,
            factor=row.factor,
            name=row.name,
        )


def new_id() -> str:
    """Return a new id for a session or a token: 32 hexadecimal digits, which are no secret."""
    return secrets.token_hex(16)


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
        factor=who.method,
    )


def _new_row(session_id: str, kind: str, subject: Subject, *, now: float, lifetime: float, address: str, client: str) -> tuple[SessionRow, str]:
    """Return a row that may do nothing yet, and the token that it is found by."""
    token = make_token(secrets.token_bytes(ENTROPY_BYTES))
    row = SessionRow(
        id=session_id,
        token_sha256=token_digest(token),
        kind=kind,
        username=subject.username,
        uid=subject.uid,
        created_at=now,
        expires_at=now + lifetime,
        last_used_at=now,
        second_factor_at=0.0,
        address=address,
        client=client,
        factor="",
        scopes=(),
    )
    return row, token

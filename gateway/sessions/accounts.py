"""Is the account behind a session still what it was? Looked at again while sessions are used; a no ends everything that the person has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.config import Directory as Settings
from gateway.errors import AuditUnavailable, DirectoryUnavailable, StoreUnavailable
from gateway.observe.audit import Event
from gateway.signin.account import Account, Denied
from gateway.slurm.names import Subject
from gateway.store.accounts import AccountRow

logger = structlog.get_logger()

_MAX_CACHED = 50_000


class Directory(Protocol):
    """Something that knows people."""

    async def account(self, username: str) -> Account | Denied:
        """Return the account whose Slurm user is exactly ``username``, as it is now; raise DirectoryUnavailable."""
        ...


class Rows(Protocol):
    """Where the last word on each account is kept for all workers and nodes."""

    async def find(self, username: str) -> AccountRow | None:
        """Return what was last heard."""

    async def keep(self, row: AccountRow) -> None:
        """Keep what was heard."""

    async def forget(self, username: str) -> None:
        """Forget somebody."""


class Endable(Protocol):
    """Where sessions are kept."""

    async def end_all_of(self, username: str) -> int:
        """End all that somebody has; return how many there were."""
        ...


class Trail(Protocol):
    """Where events are written down."""

    async def write(self, event: Event) -> None:
        """Write one; raise AuditUnavailable."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The account may not use the gateway any more; ``cause`` is for the audit trail alone."""

    cause: str


@dataclass(frozen=True, slots=True)
class _Word:
    """What is believed of an account: for ``holds`` seconds from ``at`` without asking anybody."""

    said: AccountRow | Refused
    at: float
    holds: float


class Accounts:
    """The last word on each account; whoever asks the directory first saves all others the look, on every worker and node."""

    def __init__(
        self,
        *,
        directory: Directory,
        rows: Rows,
        sessions: Endable,
        audit: Trail,
        barred: Callable[[Account], str | None],
        settings: Settings,
    ) -> None:
        self._directory = directory
        self._rows = rows
        self._sessions = sessions
        self._audit = audit
        self._barred = barred
        self._settings = settings
        self._words: dict[str, _Word] = {}
        self._looking: dict[Subject, asyncio.Task[AccountRow | Refused]] = {}

    def fresh(self, subject: Subject, now: float) -> AccountRow | None:
        """Return what is known of ``subject`` if there is no need to look again, else None."""
        word = self._words.get(subject.username)
        if word is None or isinstance(word.said, Refused) or word.said.uid != subject.uid:
            return None
        # A clock that was put back by much does not put off the next look for as long.
        return word.said if -self._settings.recheck < now - word.at < word.holds else None

    async def look(self, subject: Subject, now: float) -> AccountRow | Refused:
        """Look again, once for all who ask at this moment; the sessions of somebody who is refused have ended on return.

        Raises DirectoryUnavailable when the directory cannot be asked and its last word is older than ``recheck_grace``.
        """
        task = self._looking.get(subject)
        if task is None:
            task = self._looking[subject] = asyncio.create_task(self._look(subject, now))
            task.add_done_callback(lambda done: self._looked(subject, done))
        # Whoever goes away does not take the look of the others along.
        return await asyncio.shield(task)

    async def signed_in(self, row: AccountRow) -> None:
        """Keep what the directory said at a sign-in; raise StoreUnavailable."""
        await self._rows.keep(row)
        self._believe(row.username, row, row.checked_at, self._settings.recheck)

    async def close(self) -> None:
        """Let looks under way come to their end."""
        await asyncio.gather(*self._looking.values(), return_exceptions=True)

    async def _look(self, subject: Subject, now: float) -> AccountRow | Refused:
        kept = await self._kept(subject, now)
        if kept is not None and (holds := self._settings.recheck - abs(now - kept.checked_at)) > 0:
            self._believe(subject.username, kept, now, holds)
            return kept
        try:
            account = await self._directory.account(subject.username)
        except DirectoryUnavailable:
            return self._last_word(subject, kept, now)
        if cause := self._against(subject, account):
            return await self._refuse(subject.username, cause, now)
        assert isinstance(account, Account)  # noqa: S101 - for the type checker: nothing is against it
        row = AccountRow(username=account.username, uid=account.uid, groups=account.groups, checked_at=now)
        self._believe(subject.username, row, now, self._settings.recheck)
        try:
            await self._rows.keep(row)
        except StoreUnavailable as error:
            logger.warning("account_not_kept", user=subject.username, cause=error.cause)
        return row

    async def _kept(self, subject: Subject, now: float) -> AccountRow | None:
        """Return the later of the store's word on ``subject`` and our own, unless a later one still was a no."""
        word = self._words.get(subject.username)
        said = [word.said] if word is not None and isinstance(word.said, AccountRow) else []
        try:
            stored = await self._rows.find(subject.username)
        except StoreUnavailable:
            stored = None
        said += [stored] if stored is not None else []
        # What was written by a clock that is far ahead would hold for too long.
        said = [row for row in said if row.uid == subject.uid and row.checked_at - now < self._settings.recheck]
        kept = max(said, key=lambda row: row.checked_at, default=None)
        no_since = word.at if word is not None and isinstance(word.said, Refused) else None
        return None if kept is None or (no_since is not None and no_since >= kept.checked_at) else kept

    def _last_word(self, subject: Subject, kept: AccountRow | None, now: float) -> AccountRow | Refused:
        """Return what was said last, if it still holds, and leave the directory alone for a while; raise DirectoryUnavailable."""
        if kept is not None and (left := self._settings.recheck_grace - (now - kept.checked_at)) > 0:
            self._believe(subject.username, kept, now, min(left, self._settings.down_for))
            return kept
        word = self._words.get(subject.username)
        if word is not None and isinstance(word.said, Refused):
            return word.said
        raise DirectoryUnavailable(
            "account_not_looked_at_again", detail="The gateway cannot look at your account again, and its last look is too old."
        )

    def _against(self, subject: Subject, account: Account | Denied) -> str | None:
        if isinstance(account, Denied):
            return account.cause
        if account.username != subject.username:
            return "name_spelled_otherwise"
        if account.uid != subject.uid:
            return "uid_changed"
        return self._barred(account)

    async def _refuse(self, username: str, cause: str, now: float) -> Refused:
        """End everything that ``username`` has, and write down why."""
        refused = Refused(cause)
        self._believe(username, refused, now, 0.0)
        try:
            ended = await self._sessions.end_all_of(username)
            await self._rows.forget(username)
            if ended:
                await self._audit.write(Event(event="sessions_ended", at=now, user=username, reason="account_refused", cause=cause))
        except (StoreUnavailable, AuditUnavailable) as error:
            logger.error("account_refused", user=username, why=cause, cause=error.cause)
        return refused

    def _believe(self, username: str, said: AccountRow | Refused, at: float, holds: float) -> None:
        if len(self._words) >= _MAX_CACHED:
            self._words.clear()
        self._words[username] = _Word(said, at, holds)

    def _looked(self, subject: Subject, task: asyncio.Task[AccountRow | Refused]) -> None:
        self._looking.pop(subject, None)
        if not task.cancelled():
            task.exception()  # whoever waits has it; if all have gone away, it is no news

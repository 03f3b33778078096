"""Looking for the job of a submission whose answer was lost: among those that slurmctld shows, then among those that slurmdbd has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

import structlog

from gateway.config import Submissions
from gateway.errors import Refusal, SlurmRefusedGateway
from gateway.slurm.marking import JobRequest
from gateway.slurm.meaning import refused_the_token
from gateway.slurm.names import Subject
from gateway.slurm.submitted import Listing, Sought, alike, by_mark, listed, recorded, waiting_for_database
from gateway.store.submissions import SubmissionRow

logger = structlog.get_logger()

# PurgeJobAfter of slurmdbd.conf is an hour at least: before that, what is not in the database has not been taken out of it.
_DATABASE_AGE = 3600.0
# tinytext: what slurmdbd keeps of a job's name.
_DATABASE_NAME = 255
_AT_ONCE = 2
_MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What slurmrestd answered: to a submission, or to a look."""

    status: int
    content_type: str = ""
    content: bytes = field(default=b"", repr=False)


# Asks slurmrestd for a target as the submission's user, past everything that is kept. Raises SlurmRefusedGateway for a token that Slurm refuses.
Look = Callable[[str], Awaitable[Answered]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What is looked for: whose it is, what was sent of it and when (``row``), what it asks for, and the path of its version up to the call."""

    user: Subject
    row: SubmissionRow
    job: JobRequest
    base: str


class Verdict(Enum):
    """What a look has found out."""

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    # Slurm does not believe the gateway, and did not when the submission was sent.
    NOT_BELIEVED = "not_believed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The end of a look: the job, or those that it might be, and the ``meta`` of its version's answers."""

    verdict: Verdict
    job_id: int = 0
    candidates: tuple[int, ...] = ()
    meta: bytes = b"{}"


_UNKNOWN = Finding(verdict=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What slurmctld shows, if it does, and when it was asked."""

    began: float
    refused: bool
    listing: Listing | None


@dataclass(slots=True, kw_only=True)
class _Asking:
    """One question to slurmctld, and how many wait for its answer; without any it is given up."""

    task: asyncio.Task[_Shown]
    waiters: int = 0


class Accounts(Protocol):
    """Where it is kept which jobs other keys stand for."""

    async def others(self, row: SubmissionRow, job_ids: Collection[int], within: float) -> tuple[frozenset[int], int]:
        """Return those of the jobs that other keys of the same person have answered with, and how many others from about that time wait."""
        ...


class Search:
    """Looks for jobs; ``clock`` gives seconds since the epoch."""

    def __init__(self, accounts: Accounts, settings: Submissions, *, token_lifetime: float, clock: Callable[[], float]) -> None:
        self._accounts = accounts
        self._settings = settings
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting: dict[tuple[str, str, str], _Asking] = {}

    def known_at(self, row: SubmissionRow) -> float:
        """Return from when on a job that is not there will never be: no token that could make it is good any more."""
        return row.created_at + self._token_lifetime + self._settings.settle

    async def look(self, lost: Lost, look: Look, *, answered: bool = False) -> Finding:
        """Look for the job. With ``answered``, slurmctld is done with the submission, so that a job that is not there now will never be."""
        try:
            shown = await self._shown(lost, look)
            if shown.refused:
                return Finding(verdict=Verdict.NOT_BELIEVED)
            finding = await self._judge(lost, shown.listing)
            if finding.verdict is Verdict.ABSENT:
                finding = await self._proved(lost, finding, look) if answered or shown.began >= self.known_at(lost.row) else _UNKNOWN
        except SlurmRefusedGateway:
            return Finding(verdict=Verdict.NOT_BELIEVED)
        except Refusal as refusal:
            logger.info("submission_not_looked_for", user=lost.row.username, cluster=lost.row.cluster, cause=refusal.cause)
            return _UNKNOWN
        return finding

    async def _shown(self, lost: Lost, look: Look) -> _Shown:
        """Return slurmctld's list; whoever needs the same one, and it has not been asked for yet, waits for it with the others.

        When Slurm is in trouble many answers are lost at once, and a list may have many megabytes.
        """
        what = (lost.row.username, lost.row.cluster, lost.base)
        asking = self._waiting.get(what)
        if asking is None:
            asking = self._waiting[what] = _Asking(task=asyncio.create_task(self._ask(what, look)))
        asking.waiters += 1
        try:
            return await asyncio.shield(asking.task)
        finally:
            asking.waiters -= 1
            if not asking.waiters:
                asking.task.cancel()
                self._close(what, asking.task)

    def _close(self, what: tuple[str, str, str], task: asyncio.Task[_Shown] | None) -> None:
        """Let nobody join any more."""
        asking = self._waiting.get(what)
        if asking is not None and asking.task is task:
            del self._waiting[what]

    async def _ask(self, what: tuple[str, str, str], look: Look) -> _Shown:
        async with self._turns:
            # From here on the list may be older than what somebody wants to know.
            self._close(what, asyncio.current_task())
            began = self._clock()
            answered = await look(f"{what[2]}/jobs")
        listing = listed(answered.status, answered.content)
        return _Shown(began=began, refused=refused_the_token(answered.status, answered.content), listing=listing)

    async def _proved(self, lost: Lost, finding: Finding, look: Look) -> Finding:
        """Return what it proves that slurmctld does not show the job: it forgets those that have ended, after a while."""
        remembers = self._clock() <= lost.row.created_at + self._settings.job_age - self._settings.settle
        return finding if remembers else await self._look_back(lost, look)

    async def _look_back(self, lost: Lost, look: Look) -> Finding:
        """Ask slurmdbd for a job that slurmctld may have forgotten; it shows that there was none if it has everything that slurmctld had to tell."""
        waiting = await look(f"{lost.base}/diag")
        now = self._clock()
        since, until = int(lost.row.created_at - _DATABASE_AGE), int(now)
        records = await look(f"{lost.base.replace('/slurm/', '/slurmdb/', 1)}/jobs?start_time=uts{since}&end_time=uts{until}")
        listing = recorded(records.status, records.content)
        if len((lost.job.name or "").encode()) >= _DATABASE_NAME:
            lost = replace(lost, job=replace(lost.job, name=None))
        finding = await self._judge(lost, listing)
        if finding.verdict is not Verdict.ABSENT or listing is None:
            return finding
        knows_of_some = any(record.user_name == lost.user.username for record in listing.jobs)
        has_all = waiting_for_database(waiting.status, waiting.content) == 0
        return finding if knows_of_some and has_all and now <= lost.row.created_at + _DATABASE_AGE else _UNKNOWN

    async def _judge(self, lost: Lost, listing: Listing | None) -> Finding:
        """Say what a list tells of a submission: its job by the mark; without one, by being the only one that it can be."""
        if listing is None:
            return _UNKNOWN
        sought = Sought(
            user=lost.user,
            mark=lost.row.mark,
            name=lost.job.name,
            comment=lost.job.comment,
            since=lost.row.created_at - self._settings.settle,
            until=self.known_at(lost.row),
        )
        if found := by_mark(listing, sought):
            return Finding(verdict=Verdict.FOUND, job_id=found, meta=listing.meta)
        might_be = alike(listing, sought)
        taken, waiting = await self._accounts.others(lost.row, {seen.job_id for seen in might_be}, sought.until - sought.since)
        left = [seen for seen in might_be if seen.job_id not in taken]
        if not left:
            return Finding(verdict=Verdict.ABSENT, meta=listing.meta)
        # A job that should have the mark and has not may be another; or a plugin of the site's has changed its comment.
        if len(left) == 1 and not (lost.row.mark or waiting) and lost.job.name is not None and lost.job.comment in {None, left[0].comment}:
            return Finding(verdict=Verdict.FOUND, job_id=left[0].job_id, meta=listing.meta)
        return Finding(verdict=Verdict.UNKNOWN, candidates=tuple(seen.job_id for seen in left))

    def told(self, lost: Lost, finding: Finding) -> str:
        """Return by what people can tell the job."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(lost.row.created_at))
        name = f' has the name "{_printable(lost.job.name)}",' if lost.job.name else ""
        mark = f' has "{lost.row.mark}" in its comment,' if lost.row.mark else ""
        told = f"The job, if there is one,{name}{mark} and was submitted at {at} or up to {self._token_lifetime:.0f} s later."
        if finding.candidates:
            told += f" It may be one of these: {', '.join(map(str, finding.candidates[:_MOST_CANDIDATES]))}."
        return told


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text[:100])

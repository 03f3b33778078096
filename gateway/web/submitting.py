"""Submitting once: whatever happens to the answer, an idempotency key makes one job at most, and says so while it is not known whether it did.

The way of a key (draft-ietf-httpapi-idempotency-key-header): claimed in the store before a byte is sent, settled with the answer, replayed from then
on. A key that was sent and has no answer is looked for, and sent again only when it is certain that its job is not there and cannot come any more:
Slurm takes no job with a token that has expired, so that is known some time after the sending (measured on 22.05 and 24.11, slurmrestd and slurmctld
having been stopped meanwhile).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from gateway.config import Submissions
from gateway.errors import (
    BadRequest,
    KeyReused,
    KeyUnderWay,
    NotPermitted,
    Refusal,
    StoreUnavailable,
    SubmissionUnknown,
    TokenRefused,
    TooLarge,
    TooManyCalls,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.slurm import marking
from gateway.slurm.names import Subject
from gateway.slurm.submitted import Proof, answer, job_id_of, proof, words
from gateway.store.submissions import Full, SubmissionRow
from gateway.web.looking import Accounts, Answered, Finding, Look, Lost, Search, Verdict

logger = structlog.get_logger()

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
_MAX_KEY = 255
# An sf-string (RFC 9651 section 3.3.3), or the same characters without the quotation marks, which many clients leave out.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")
_VISIBLE = re.compile(r"[!-~]+")
# An answer to a submission has less than 1 KiB; of a larger one, what matters is kept.
_MAX_ANSWER = 16 * 1024
# Seconds that a worker has a key for itself, and after which it says that it still has it. Of a worker that has died, no key is held for longer.
_HOLD, _BEAT = 20.0, 5.0
# What the request whose answer was lost spends on looking for the job.
_BRIEFLY = 5.0
_SOON = 2
# Refusals of a call that never left, and of slurmrestd before it did anything (gateway.proxy).
_NEVER_SENT = (UpstreamUnreachable, UpstreamBusy, TooManyCalls, BadRequest, NotPermitted, TokenRefused)
_DID_NOT_ACT = re.compile(r"rejected with a bare 4[0-9][0-9]|closed_before_sending")


def idempotency_key(values: Sequence[str]) -> str | None:
    """Return the key that a request's headers of that name hold, or None without one; raise BadRequest for one that is malformed or there twice."""
    if not values:
        return None
    value = values[0].strip(" \t")
    quoted = _QUOTED.fullmatch(value)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value if _BARE.fullmatch(value) else ""
    if len(values) > 1 or len(key) > _MAX_KEY or _VISIBLE.fullmatch(key) is None:
        raise BadRequest(
            "idempotency_key_malformed",
            detail=f"The header {HEADER} stands twice, is empty, too long, or has characters that are not allowed. Nothing was submitted.",
            hint=f'Send it once, as {HEADER}: "8e03978e-40d5-43e8-bc93-6894a57f9324": 1 to {_MAX_KEY} visible ASCII characters, new for each job.',
        )
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submission with a key: ``path`` as slurmrestd knows it, ``content`` as it would be sent without a mark.

    ``came`` is what its client sent, by which a key knows its request again, and ``job`` what ``content`` asks for.
    """

    user: Subject
    cluster: str
    path: str
    key: str = field(repr=False)
    content: bytes = field(repr=False)
    came: bytes = field(repr=False)
    job: marking.JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to give; ``job_id`` is for the audit trail."""

    status: int
    content_type: str
    content: bytes = field(repr=False)
    job_id: int | None = None
    replayed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to it."""
        typed = {"Content-Type": self.content_type} if self.content_type else {}
        return {**typed, **({REPLAYED: "true"} if self.replayed else {})}


# Sends a body once. Raises UpstreamUnreachable, UpstreamBusy and TooManyCalls only if nothing was sent.
Send = Callable[[bytes], Awaitable[Answered]]
# Mints the token of one sending at once, and returns what sends with that one and no other: when it has expired, nothing can come of the sending.
Prepare = Callable[[], Send]


class Rows(Accounts, Protocol):
    """Where keys are kept."""

    async def claim(self, row: SubmissionRow, *, forget_before: float, most: int) -> SubmissionRow | Full:
        """Keep a row unless the key has one; return the one that is there."""
        ...

    async def take(self, row: SubmissionRow, *, now: float, until: float) -> bool:
        """Hold a row that nobody holds."""
        ...

    async def replace(self, old: SubmissionRow, new: SubmissionRow) -> bool:
        """Put a new sending in the place of one that has made no job."""
        ...

    async def hold(self, rows: Sequence[SubmissionRow], until: float) -> None:
        """Hold rows for longer."""
        ...

    async def release(self, row: SubmissionRow) -> None:
        """Let others be at it."""
        ...

    async def settle(self, row: SubmissionRow) -> bool:
        """Keep the answer."""
        ...

    async def forget(self, row: SubmissionRow) -> None:
        """Give the key back."""
        ...


class Submitting:
    """Submits with keys; one a worker. ``clock`` gives seconds since the epoch, ``random`` so many random bytes in hexadecimal."""

    def __init__(
        self,
        rows: Rows,
        settings: Submissions,
        *,
        token_lifetime: float,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._rows = rows
        self._settings = settings
        self._clock = clock
        self._random = random
        self._held: dict[str, SubmissionRow] = {}
        self._beating: asyncio.Task[None] | None = None
        self._search = Search(rows, settings, token_lifetime=token_lifetime, clock=clock)

    async def submit(self, submission: Submission, prepare: Prepare, look: Look) -> Outcome:
        """Submit, or give the answer that the key has; raise KeyReused, KeyUnderWay, SubmissionUnknown, TooManyCalls, and what sending raises."""
        if len(submission.content) > self._settings.max_body:
            limit = self._settings.max_body
            raise TooLarge("body_with_key", detail=f"The body of a submission with an {HEADER} has at most {limit} bytes.")
        job = submission.job
        send, row = prepare(), self._sending(submission, job)
        there = await self._rows.claim(row, forget_before=row.created_at - self._settings.keep, most=self._settings.per_user)
        if isinstance(there, Full):
            raise self._full(there)
        if there.request_sha256 != row.request_sha256:
            raise KeyReused("other_request")
        if there.is_settled:
            return _outcome(there, replayed=True)
        lost = Lost(user=submission.user, row=there, job=job, base=submission.path.rpartition("/job/")[0])
        if there.attempt == row.attempt:
            return await self._carry(submission, lost, send, look)
        now = self._clock()
        if not await self._rows.take(there, now=now, until=now + _HOLD):
            raise _under_way()
        return await self._find_out(submission, lost, prepare, look)

    async def close(self) -> None:
        """Stop saying that keys are held."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    # Sending.

    def _sending(self, submission: Submission, job: marking.JobRequest) -> SubmissionRow:
        now = self._clock()
        return SubmissionRow(
            username=submission.user.username,
            cluster=submission.cluster,
            key_sha256=hashlib.sha256(submission.key.encode()).digest(),
            attempt=self._random(16),
            request_sha256=hashlib.sha256(submission.came).digest(),
            mark=marking.mark_of(self._random(10)) if self._settings.marker and job.takes_mark else "",
            created_at=now,
            held_until=now + _HOLD,
        )

    async def _carry(self, submission: Submission, lost: Lost, send: Send, look: Look) -> Outcome:
        """Send what was claimed, and keep what comes of it."""
        marked = lost.job.marked(lost.row.mark) if lost.row.mark else submission.content
        async with self._holding(lost.row):
            try:
                answered = await send(marked)
            except _NEVER_SENT:
                await self._forget(lost.row)
                raise
            except Refusal as refusal:
                if _DID_NOT_ACT.fullmatch(refusal.cause):
                    await self._forget(lost.row)
                    raise
                return await self._lost(submission, lost, refusal, await self._look_briefly(lost, look))
            return await self._judged(submission, lost, answered, look)

    async def _judged(self, submission: Submission, lost: Lost, answered: Answered, look: Look) -> Outcome:
        """Keep an answer that proves something, and find out what it does not prove."""
        proved = proof(answered.status, answered.content)
        if proved is Proof.MADE or proved is Proof.REFUSED:
            return await self._settled(submission, lost.row, answered, job_id_of(answered.content) or 0)
        if proved is Proof.NOT_NOW:
            await self._forget(lost.row)
            return Outcome(status=answered.status, content_type=answered.content_type, content=answered.content)
        finding = await self._look_briefly(lost, look, answered=proved is Proof.REFUSED_IF_UNSEEN)
        if finding.verdict is Verdict.ABSENT:
            return await self._settled(submission, lost.row, answered, 0)
        return await self._lost(submission, lost, _of_slurm(answered), finding)

    async def _lost(self, submission: Submission, lost: Lost, refusal: Refusal, finding: Finding) -> Outcome:
        """Answer with the job that was found at once, or say that it is not known whether there is one."""
        if finding.verdict is Verdict.FOUND:
            return await self._found(submission, lost.row, finding, replayed=False)
        if finding.verdict is Verdict.NOT_BELIEVED:
            await self._forget(lost.row)
            raise refusal
        await self._release(lost.row)
        logger.warning("submission_unknown", user=lost.row.username, cluster=lost.row.cluster, cause=refusal.cause)
        detail = f"{refusal.detail} {self._search.told(lost, finding)}"
        raise type(refusal)(refusal.cause, detail=detail, hint=_hint(lost), headers=refusal.headers)

    async def _look_briefly(self, lost: Lost, look: Look, *, answered: bool = False) -> Finding:
        """Look at once, for it may be told at once."""
        try:
            async with asyncio.timeout(_BRIEFLY):
                return await self._search.look(lost, look, answered=answered)
        except TimeoutError:
            return Finding(verdict=Verdict.UNKNOWN)

    async def _find_out(self, submission: Submission, lost: Lost, prepare: Prepare, look: Look) -> Outcome:
        """Answer for a key that was sent, has no answer, and is this request's alone: with its job, by sending anew, or that it is not known."""
        async with self._holding(lost.row):
            finding = await self._search.look(lost, look)
            if finding.verdict is Verdict.FOUND:
                return await self._found(submission, lost.row, finding, replayed=True)
            if finding.verdict is not Verdict.ABSENT:
                await self._release(lost.row)
                raise self._unknown(lost, finding)
        send, new = prepare(), self._sending(submission, lost.job)
        if not await self._rows.replace(lost.row, new):
            raise _under_way()
        logger.info("submission_sent_anew", user=new.username, cluster=new.cluster)
        return await self._carry(submission, replace(lost, row=new), send, look)

    # What is kept.

    async def _found(self, submission: Submission, row: SubmissionRow, finding: Finding, *, replayed: bool) -> Outcome:
        logger.info("submission_found", user=row.username, cluster=row.cluster, job_id=finding.job_id)
        content = answer(submission.path, finding.job_id, finding.meta)
        outcome = await self._settled(submission, row, Answered(status=200, content_type="application/json", content=content), finding.job_id)
        return replace(outcome, replayed=replayed)

    async def _settled(self, submission: Submission, row: SubmissionRow, answered: Answered, job_id: int) -> Outcome:
        """Keep an answer, and return it; one that cannot be kept is given all the same, and is looked for when the key comes again."""
        content, content_type = answered.content, answered.content_type
        if len(content) > _MAX_ANSWER or len(content_type) > _MAX_KEY:
            content, content_type = (answer(submission.path, job_id, b"{}") if job_id else b""), "application/json" if job_id else ""
        kept = replace(row, status=answered.status, content_type=content_type, answer=content, job_id=job_id)
        try:
            if not await self._rows.settle(kept):
                logger.warning("submission_settled_before", user=row.username, cluster=row.cluster, job_id=job_id)
        except StoreUnavailable as error:
            logger.error("submission_not_kept", user=row.username, cluster=row.cluster, job_id=job_id, cause=error.cause)
        return replace(_outcome(kept, replayed=False), content=answered.content, content_type=answered.content_type)

    async def _forget(self, row: SubmissionRow) -> None:
        with self._trying("forget", row):
            await self._rows.forget(row)

    async def _release(self, row: SubmissionRow) -> None:
        with self._trying("release", row):
            await self._rows.release(row)

    @contextlib.contextmanager
    def _trying(self, what: str, row: SubmissionRow) -> Iterator[None]:
        """Let what the store fails with be no more than a delay: nobody holds a row for ever, and what became of its sending can be looked for."""
        try:
            yield
        except StoreUnavailable as error:
            logger.error("submission_not_kept", what=what, user=row.username, cluster=row.cluster, cause=error.cause)

    @contextlib.asynccontextmanager
    async def _holding(self, row: SubmissionRow) -> AsyncIterator[None]:
        """Say again and again that this worker is at it."""
        self._held[row.attempt] = row
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            self._held.pop(row.attempt, None)

    async def _beat(self) -> None:
        known: set[str] = set()
        while self._held:
            await asyncio.sleep(_BEAT)
            # Most submissions are over within a beat.
            long = [row for attempt, row in self._held.items() if attempt in known]
            known = set(self._held)
            if long:
                with contextlib.suppress(StoreUnavailable):
                    await self._rows.hold(long, self._clock() + _HOLD)

    # What is said.

    def _full(self, full: Full) -> TooManyCalls:
        wait = max(_SOON, math.ceil(full.oldest + self._settings.keep - self._clock()))
        return TooManyCalls(
            "too_many_keys",
            detail=f"As many of your idempotency keys are remembered as one person may have ({self._settings.per_user}). Nothing was submitted.",
            hint="Wait until the oldest is forgotten (Retry-After), or submit without a key.",
            headers=(("Retry-After", str(wait)),),
        )

    def _unknown(self, lost: Lost, finding: Finding) -> SubmissionUnknown:
        wait = math.ceil(self._search.known_at(lost.row) - self._clock())
        return SubmissionUnknown(
            "not_found_yet" if wait > 0 else "not_found_out",
            detail=f"This was sent, and whether Slurm has the job is not known. It was not sent again. {self._search.told(lost, finding)}",
            hint=_hint(lost),
            headers=(("Retry-After", str(wait)),) if wait > 0 else (),
        )


def _outcome(row: SubmissionRow, *, replayed: bool) -> Outcome:
    return Outcome(status=row.status, content_type=row.content_type, content=row.answer, job_id=row.job_id or None, replayed=replayed)


def _under_way() -> KeyUnderWay:
    return KeyUnderWay("held", headers=(("Retry-After", str(_SOON)),))


def _of_slurm(answered: Answered) -> Refusal:
    """Return what an answer that proves nothing is told as."""
    said = words(answered.content) or "no word why"
    detail = f"slurmrestd answered {answered.status} ({said}). Whether Slurm has the job is not known."
    kind = UpstreamTimeout if answered.status == 504 or "timed out" in said else UpstreamBroken  # noqa: PLR2004 - RFC 9110 section 15.6.5
    return kind(f"slurm answered {answered.status}", detail=detail)


def _hint(lost: Lost) -> str:
    return (
        f"Send the same request with the same {HEADER} again: the gateway looks for the job, and submits only if it is certain that there is none. "
        f"Or look yourself: GET {lost.base}/jobs. If the job is not there and you want it now, send it with a new key."
    )

"""What became of a submission: what an answer to it proves, the job among those that Slurm shows, and the answer that it would have had (pure).

Measured on 22.05 and 24.11: a refusal of slurmctld comes as a 500 with its number; but so does "timed out" (5004) after which the job was there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from gateway.slurm.marking import is_marked
from gateway.slurm.meaning import submitted_job_id
from gateway.slurm.names import Subject

_YAML_JOB = re.compile(rb"^(?:!!str )?job_id: (?:!!int )?([1-9][0-9]{0,9})\s*$", re.MULTILINE)
_VERSION = re.compile(r"/slurm/v0\.0\.([0-9]{1,4})/job/(submit|allocate)")
# slurm/slurm_errno.h. slurmctld was not reached (1001, 1800), did not believe the token (1007), or does not take jobs just now
# (2007, 2027, 2105, 2131, and EAGAIN, after which sbatch itself sends a job once more; so it is when MaxJobCount is reached): no job, and another
# time there may be one.
_NOT_NOW = frozenset({11, 1001, 1007, 1800, 2007, 2027, 2105, 2131})
# slurmctld's own refusals, those of its plugins and of what reads the request.
_REFUSALS = (range(2000, 3000), range(7100, 10_000))
# What went wrong on the way to slurmctld or back, the kernel's numbers among them: it may have the job.
_ON_THE_WAY = (range(1, 1000), range(1000, 2000), range(5000, 6000))
# Statuses with which slurmrestd itself sends away what it has not looked at, and may take later.
_TRY_LATER = frozenset({401, 408, 429, 511})
_LONGEST_WORDS = 300
# From here on: lower case, and warnings; and between these a copy of the answer in ``result``.
_LIST_ENVIRONMENT = 39
_WITH_RESULT = range(39, 42)
# job/allocate, by which earlier ones mean something else.
_FIRST_ALLOCATE = 41


class Proof(Enum):
    """What an answer proves: there is a job; there is none, and never will be of this; none yet; none if none is to be seen; nothing."""

    MADE = "made"
    REFUSED = "refused"
    NOT_NOW = "not_now"
    REFUSED_IF_UNSEEN = "refused_if_unseen"
    UNKNOWN = "unknown"


def takes_key(method: str, path: str) -> bool:
    """Tell whether a call makes a job, so that an idempotency key means something; ``path`` is slurmrestd's."""
    found = _VERSION.fullmatch(path)
    return method == "POST" and found is not None and (found[2] == "submit" or int(found[1]) >= _FIRST_ALLOCATE)


def job_id_of(content: bytes) -> int | None:
    """Return the id of the job that an answer names, in JSON or YAML."""
    found = _YAML_JOB.search(content)
    return submitted_job_id(content) or (int(found[1]) if found else None)


def proof(status: int, content: bytes) -> Proof:
    """Judge the answer to a submission."""
    if status < 400:  # noqa: PLR2004 - RFC 9110 section 15.5
        if job_id_of(content) is not None:
            return Proof.MADE
        return Proof.REFUSED if _is_only_warned_of(content) else Proof.UNKNOWN
    said = _error_numbers(content)
    numbers = said - {-1, 0}
    if status in _TRY_LATER or (numbers and numbers <= _NOT_NOW):
        return Proof.NOT_NOW
    if status < 500 or (numbers and all(_is_in(number, _REFUSALS) for number in numbers)):  # noqa: PLR2004 - RFC 9110 section 15.6
        return Proof.REFUSED
    # Without a number that says more, slurmctld has answered: the error of a site's own job_submit plugin looks like that. It is done with it.
    answered = bool(said) and status == 500 and not any(_is_in(number, _ON_THE_WAY) for number in numbers)  # noqa: PLR2004 - 502 and 504 are of the way
    return Proof.REFUSED_IF_UNSEEN if answered else Proof.UNKNOWN


class _Error(msgspec.Struct):
    # Each API version has a name of its own for it, and for the text.
    error_number: int | None = None
    error_code: int | None = None
    errno: int | None = None
    error: str | None = None
    description: str | None = None


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


class _Warned(msgspec.Struct):
    errors: list[msgspec.Raw]
    warnings: list[_Error]


_READ_ERRORS = msgspec.json.Decoder(_Errors)
_READ_WARNED = msgspec.json.Decoder(_Warned)


def _errors(content: bytes) -> list[_Error]:
    try:
        errors: list[_Error] = _in_whatever_bytes(content, _READ_ERRORS).errors
    except (msgspec.DecodeError, RecursionError):
        return []
    return errors


def _is_only_warned_of(content: bytes) -> bool:
    """Tell whether slurmrestd ended a submission before it sent it: 24.11 warns of a value that it cannot read, names no error, and no job."""
    try:
        warned: _Warned = _in_whatever_bytes(content, _READ_WARNED)
    except (msgspec.DecodeError, RecursionError):
        return False
    return bool(warned.warnings) and not warned.errors


def _error_numbers(content: bytes) -> set[int]:
    return {number for error in _errors(content) for number in (error.error_number, error.error_code, error.errno) if number is not None}


def words(content: bytes) -> str:
    """Return Slurm's own words for what went wrong, one line of bounded length, or nothing."""
    said = (f"{error.error} ({text})" if (text := error.description) and error.error else error.error or text or "" for error in _errors(content))
    return " ".join("; ".join(filter(None, said)).split())[:_LONGEST_WORDS]


def _is_in(number: int, ranges: Sequence[range]) -> bool:
    return any(number in some for some in ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is known of a submission whose job is looked for; ``mark`` is empty if none was put, times are seconds since the epoch."""

    user: Subject
    mark: str
    name: str | None
    comment: str | None
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job that Slurm shows: its id as a submission's answer has it (a whole array's, or that of the first component), and what it is told by."""

    job_id: int
    user_id: int | None
    user_name: str
    name: str
    comment: str
    submitted_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A whole list of jobs, and the ``meta`` that answers of that version have."""

    jobs: tuple[Seen, ...]
    meta: bytes


class _Number(msgspec.Struct):
    number: int = 0


class _Job(msgspec.Struct):
    job_id: int
    name: str | None = None
    user_id: int | None = None
    user_name: str | None = None
    comment: str | None = None
    submit_time: int | _Number | None = None
    array_job_id: int | _Number | None = None
    het_job_id: int | _Number | None = None


class _Jobs(msgspec.Struct):
    jobs: list[_Job]
    errors: list[Any]
    meta: msgspec.Raw = msgspec.Raw(b"{}")


class _Comments(msgspec.Struct):
    job: str | None = None


class _Times(msgspec.Struct):
    submission: int | _Number | None = None


class _Whole(msgspec.Struct):
    job_id: int | _Number | None = None


class _Record(msgspec.Struct):
    job_id: int
    name: str | None = None
    user: str | None = None
    comment: _Comments | None = None
    time: _Times | None = None
    array: _Whole | None = None
    het: _Whole | None = None


class _Records(msgspec.Struct):
    jobs: list[_Record]
    errors: list[Any]
    meta: msgspec.Raw = msgspec.Raw(b"{}")


_READ_JOBS = msgspec.json.Decoder(_Jobs)
_READ_RECORDS = msgspec.json.Decoder(_Records)


def listed(status: int, content: bytes) -> Listing | None:
    """Read slurmctld's list of jobs; None unless it is all there and without an error."""
    tree = _decoded(status, content, _READ_JOBS)
    if tree is None:
        return None
    return Listing(
        meta=bytes(tree.meta),
        jobs=tuple(
            Seen(
                job_id=_plain(job.het_job_id) or _plain(job.array_job_id) or job.job_id,
                user_id=job.user_id,
                user_name=job.user_name or "",
                name=job.name or "",
                comment=job.comment or "",
                submitted_at=_plain(job.submit_time),
            )
            for job in tree.jobs
        ),
    )


def recorded(status: int, content: bytes) -> Listing | None:
    """Read slurmdbd's list of jobs; None unless it is all there and without an error."""
    tree = _decoded(status, content, _READ_RECORDS)
    if tree is None:
        return None
    return Listing(
        meta=b"{}",
        jobs=tuple(
            Seen(
                job_id=(_plain(job.het.job_id) if job.het else 0) or (_plain(job.array.job_id) if job.array else 0) or job.job_id,
                user_id=None,
                user_name=job.user or "",
                name=job.name or "",
                comment=(job.comment.job if job.comment else None) or "",
                submitted_at=_plain(job.time.submission) if job.time else 0,
            )
            for job in tree.jobs
        ),
    )


def _decoded(status: int, content: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:  # noqa: ANN401 - what the decoder gives
    if status != 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
        return None
    try:
        tree = _in_whatever_bytes(content, decoder)
    except (msgspec.DecodeError, RecursionError):
        try:
            # Whatever somebody has called a job, in whatever bytes, and whatever is not a number: the others are to be found.
            repaired = json.loads(content.decode(errors="replace"), parse_constant=lambda _: None)
            tree = decoder.decode(json.dumps(repaired).encode())
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
    return None if tree.errors else tree


def _in_whatever_bytes(content: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:  # noqa: ANN401 - what the decoder gives
    """Decode what may have a job's name in it that is not UTF-8."""
    try:
        return decoder.decode(content)
    except UnicodeDecodeError:
        return decoder.decode(content.decode(errors="replace"))


def _plain(number: int | _Number | None) -> int:
    return number.number if isinstance(number, _Number) else number or 0


def waiting_for_database(status: int, content: bytes) -> int | None:
    """Return how many records slurmctld has not handed to slurmdbd yet, by its ``/diag``; None when it does not say."""
    try:
        waiting = json.loads(content)["statistics"]["dbd_agent_queue_size"] if status == 200 else None  # noqa: PLR2004 - as above
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return waiting if isinstance(waiting, int) else None


def is_of(job: Seen, user: Subject) -> bool:
    """Tell whether a job is somebody's; v0.0.36 leaves the name out at times."""
    return job.user_id == user.uid if job.user_id is not None else job.user_name == user.username


def by_mark(listing: Listing, sought: Sought) -> int | None:
    """Return the job that has the mark, the first if its owner has copied the comment; None without a mark."""
    if not sought.mark:
        return None
    marked = [job for job in listing.jobs if sought.mark in job.comment and is_of(job, sought.user)]
    return min(marked, key=lambda job: (job.submitted_at, job.job_id)).job_id if marked else None


def alike(listing: Listing, sought: Sought) -> tuple[Seen, ...]:
    """Return the jobs that might be the one: its user's, submitted in that time, under its name if it has one, and with nobody else's mark."""
    found = {
        job.job_id: job
        for job in reversed(listing.jobs)
        if is_of(job, sought.user)
        and sought.since <= job.submitted_at <= sought.until
        and sought.name in {None, job.name}
        and (job.comment == sought.comment or not is_marked(job.comment))
    }
    return tuple(found[job_id] for job_id in sorted(found))


def answer(path: str, job_id: int, meta: bytes) -> bytes:
    """Return what the submission to ``path`` would have been answered, had the answer arrived."""
    found = _VERSION.fullmatch(path)
    version, call = (int(found[1]), found[2]) if found else (_LIST_ENVIRONMENT, "submit")
    newer = version >= _LIST_ENVIRONMENT
    step: dict[str, object] = {"step_id": "batch" if newer else "BATCH"} if call == "submit" else {}
    tree: dict[str, object] = {"job_id": job_id, **step, "job_submit_user_msg": ""}
    if version in _WITH_RESULT and call == "submit":
        tree = {"result": {"job_id": job_id, **step, "error_code": 0, "error": "No error", "job_submit_user_msg": ""}, **tree}
    more: dict[str, object] = {"errors": [], "warnings": []} if newer else {"errors": []}
    return msgspec.json.format(msgspec.json.encode({**tree, "meta": msgspec.Raw(meta), **more}), indent=2) + b"\n"

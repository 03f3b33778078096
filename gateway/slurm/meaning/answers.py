"""Reading slurmrestd's answers: the errors in one, in each version's form, and whether they say that the gateway's token was refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# slurm/slurm_errno.h: what slurmctld and slurmdbd do to a token that they refuse, as slurmrestd 22.05 reports it in a 500:
# SLURM_PROTOCOL_AUTHENTICATION_ERROR, and SLURM_PROTOCOL_SOCKET_ZERO_BYTES_SENT (slurmctld hangs up without a word).
_PROTOCOL_AUTHENTICATION = 1007
_REFUSED = frozenset({_PROTOCOL_AUTHENTICATION, 5005})
# v0.0.36 gives the words of the error in a sentence, and 0 for its number.
_REFUSED_IN_WORDS = (": Zero Bytes were transmitted or received", ": Protocol authentication error")
_DATABASE = 7000  # ESLURM_DB_CONNECTION
# What Slurm says when it does not know, or does not say: SLURM_ERROR; EPERM, for a cancellation that 24.11 could not send; and
# SLURM_UNEXPECTED_MSG_ERROR, for an update to 22.05 whose answer did not come.
_NO_CAUSE = frozenset({-1, 1, 1000})
_LISTED_REFUSAL = re.compile(rb'"error_number"\s*:\s*1007\b')
_LARGE = 64 * 1024  # an answer beyond is a list that was not refused
# What 22.05 says of every partition, node and reservation, and v0.0.36 of every job, that it could not ask slurmctld about.
_SAID_OF_ANYTHING = frozenset({2000, 2018, 2053})
_UNKNOWN_JOB = "_handle_job_get: unknown job "
_NUMBER_KEYS = ("error_number", "error_code", "errno")  # each API version has its own
_OLDEST_PING = "/slurm/v0.0.36/ping"
_VERSION = re.compile(r"/slurm(?:db)?/v0\.0\.([0-9]{1,5})/.*")
_LAST_OLD = 38  # versions up to this one are made by the older code
_MOST = 100  # errors that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """One entry of ``errors``: its numbers under all names, its words, and whether it has the form of 22.05's simple reads."""

    numbers: frozenset[int]
    words: tuple[str, ...]
    simple: bool


def read_object(body: bytes) -> dict[str, Any]:
    """Return the object that ``body`` is in JSON, empty if it is none."""
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _numbers(error: dict[str, Any]) -> frozenset[int]:
    """Return the numbers that an entry of ``errors`` gives itself, under whichever name."""
    return frozenset(number for key in _NUMBER_KEYS if isinstance(number := error.get(key), int))


def read_errors(tree: dict[str, Any]) -> tuple[Error, ...] | None:
    """Return the entries of ``errors``, None where there is no such list."""
    errors = tree.get("errors")
    if not isinstance(errors, list):
        return None
    return tuple(map(_error, errors[:_MOST]))


def _error(entry: object) -> Error:
    if not isinstance(entry, dict):
        return Error(numbers=frozenset(), words=(), simple=False)
    words = tuple(text for key in ("error", "description") if isinstance(text := entry.get(key), str))
    return Error(numbers=_numbers(entry), words=words, simple="errno" in entry)


def refused_the_token(status: int, body: bytes) -> bool:
    """Tell whether Slurm refused the gateway's token.

    401 and 511 say so; 500 says it in ``errors`` (22.05 and older); slurmdbd's refusal comes with 200 there, and with 502 from 24.11.
    """
    if status in {401, 511}:
        return True
    if status == 500:  # noqa: PLR2004 - RFC 9110 section 15.6.1
        return any(_says_refused(error) for error in read_errors(read_object(body)) or ())
    if status == 200 and len(body) <= _LARGE and _LISTED_REFUSAL.search(body):  # noqa: PLR2004 - section 15.3.1
        errors = read_errors(read_object(body)) or ()
        return any(_PROTOCOL_AUTHENTICATION in error.numbers for error in errors) and submitted_job_id(body) is None
    if status == 502 and b"authentication error" in body:  # noqa: PLR2004 - section 15.6.3
        errors = read_errors(read_object(body)) or ()
        return any(_DATABASE in error.numbers and any("authentication error" in text for text in error.words) for error in errors)
    return False


def _says_refused(error: Error) -> bool:
    return not error.numbers.isdisjoint(_REFUSED) or any(text.endswith(_REFUSED_IN_WORDS) for text in error.words)


def might_have_refused_the_token(status: int, body: bytes) -> bool:
    """Tell whether an answer says nothing of its cause, as 22.05 does for some calls when the token is refused, or slurmctld is down.

    A 500 has no error, or a number that means nothing, or what it says of any job, node, partition or reservation then; 24.11 does the first
    two in a few calls, and answers a ping with 200 and DOWN. ``telltale`` is the call that knows.
    """
    if status == 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
        return len(body) <= _LARGE and b'"DOWN"' in body and _all_down(read_object(body).get("pings"))
    if status != 500:  # noqa: PLR2004 - RFC 9110 section 15.6.1
        return False
    errors = read_errors(read_object(body))
    return errors is not None and all(map(says_nothing, errors))


def _all_down(pings: object) -> bool:
    """Tell whether an answer to a ping has every slurmctld down."""
    return isinstance(pings, list) and bool(pings) and all(isinstance(ping, dict) and ping.get("pinged") == "DOWN" for ping in pings)


def says_nothing(error: Error) -> bool:
    """Tell whether an error is said in the same words when slurmctld could not be asked."""
    if not error.numbers.isdisjoint(_NO_CAUSE):
        return True
    if error.simple:
        return not error.numbers.isdisjoint(_SAID_OF_ANYTHING)
    return any(text.startswith(_UNKNOWN_JOB) for text in error.words)


def telltale(path: str) -> str:
    """Return the call that names the cause of an answer to ``path`` that does not: it reaches slurmctld, and says what came of that."""
    version = _VERSION.fullmatch(path)
    if version is None or int(version[1]) <= _LAST_OLD:
        return _OLDEST_PING
    return f"/slurm/v0.0.{version[1]}/diag"


def controller_answers(status: int, body: bytes) -> bool:
    """Tell from the answer to ``telltale`` whether slurmctld does its work."""
    return status == 200 and read_errors(read_object(body)) == ()  # noqa: PLR2004 - RFC 9110 section 15.3.1


def submitted_job_id(body: bytes) -> int | None:
    """Return the id of the job that the answer to a submission names, or None."""
    return job_id_of(read_object(body))


def job_id_of(tree: dict[str, Any]) -> int | None:
    """Return the id of the job that an answer names, or None."""
    job_id = tree.get("job_id")
    return job_id if isinstance(job_id, int) and not isinstance(job_id, bool) and job_id > 0 else None

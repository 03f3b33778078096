"""Whose fault it is that something did not succeed, and what a queue makes of it (pure).

A gateway answers a submission with a key in Slurm's own words only if no job has come of it; whatever else may have happened it says itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from gateway.client.errors import GatewayError, JobFileError, JobForgottenError, NotUnderstoodError, RefusedError, SlurmRefusedError, UnreachableError


class Verdict(Enum):
    """What is to be done: set the file aside; wait for one of ours to end; ask again later, this one or all; look for it oneself; give up."""

    FILE = "file"
    LIMIT = "limit"
    THIS_LATER = "this_later"
    ALL_LATER = "all_later"
    UNKNOWN = "unknown"
    STOP = "stop"


# slurm/slurm_errno.h. ESLURM_ACCOUNTING_POLICY (a limit of this user's, who may have other jobs), and slurmctld's own.
_LIMITS = frozenset({2050})
# The controller is not reached, is another one's stand-in, starts, or cannot take any job just now.
_NOT_NOW = frozenset({11, 1001, 1005, 1007, 1008, *range(1800, 1806), 2007, 2027, 2105, 2131, 5004, 5005, 7000})
_OF_THE_JOB = (range(2000, 3000), range(7100, 10_000))
# Words of the gateway's that are about one submission, whatever its status.
_ABOUT_THIS = frozenset({"idempotency_under_way", "submission_unknown"})
_THE_FILES = frozenset({"too_large", "bad_request"})
_PASSING = frozenset({408, 425, 429})
_BROKEN, _NOT_READY = 500, (502, 503, 504)
# After so many times a word that says nothing is taken for the last one.
_PATIENCE = 5


def judge(error: GatewayError, *, wordless: int, reached: bool) -> Verdict:
    """Judge why a file was not submitted.

    ``wordless`` is how often in a row it has come back with a word that says nothing, ``reached`` whether the gateway ever answered.
    """
    if isinstance(error, JobFileError):
        return Verdict.FILE
    if isinstance(error, SlurmRefusedError):
        return _of_slurm(error, wordless)
    if error.reason == "idempotency_key_reused":
        return Verdict.UNKNOWN
    if error.reason in _ABOUT_THIS:
        return Verdict.THIS_LATER
    if isinstance(error, RefusedError) and error.reason in _THE_FILES:
        return Verdict.FILE
    return Verdict.ALL_LATER if is_passing(error, reached=reached) else Verdict.STOP


def is_passing(error: GatewayError, *, reached: bool) -> bool:
    """Tell whether waiting helps. A name that cannot be looked up is a wrong address, or, once it was reached, a network that is gone."""
    if isinstance(error, UnreachableError):
        return reached or not error.lasting
    if isinstance(error, NotUnderstoodError):
        return reached
    status = error.status or 0
    if isinstance(error, SlurmRefusedError):
        return status >= _BROKEN or status in _PASSING or bool(_numbers(error.errors) & _NOT_NOW)
    return isinstance(error, RefusedError) and (status >= _BROKEN or status in _PASSING or error.reason in _ABOUT_THIS)


def is_forgotten(error: GatewayError) -> bool:
    """Tell whether an answer says that there is no such job."""
    return isinstance(error, JobForgottenError)


def may_be_told_later(error: GatewayError) -> bool:
    """Tell whether accounting may know of a job that slurmctld has forgotten, but could not be asked."""
    return isinstance(error.__cause__, GatewayError) and is_passing(error.__cause__, reached=True)


def says_nothing(error: GatewayError) -> bool:
    """Tell whether nobody knows whose fault an error is: Slurm failed, and did not say at what. If it does so again and again, it is the file's."""
    return isinstance(error, SlurmRefusedError) and _of_slurm(error, 0) is not _of_slurm(error, _PATIENCE)


def _of_slurm(error: SlurmRefusedError, wordless: int) -> Verdict:
    numbers, status = _numbers(error.errors), error.status or 0
    if numbers & _NOT_NOW:
        return Verdict.ALL_LATER
    if numbers & _LIMITS:
        return Verdict.LIMIT
    if any(number in some for number in numbers for some in _OF_THE_JOB):
        return Verdict.FILE
    if status in _PASSING or status in _NOT_READY:
        return Verdict.ALL_LATER
    if status < _BROKEN:
        return Verdict.FILE
    return Verdict.FILE if wordless >= _PATIENCE else Verdict.ALL_LATER


def _numbers(errors: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the numbers of Slurm's errors; each version of the API has a name of its own for them."""
    found = {error.get(name) for error in errors for name in ("error_number", "error_code", "errno")}
    return {number for number in found if isinstance(number, int) and number > 0}

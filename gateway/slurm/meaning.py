"""What slurmrestd's answers mean, where their status alone would mislead (all pure)."""

from __future__ import annotations

import json
from typing import Any

# slurm/slurm_errno.h: what slurmctld and slurmdbd do to a token that they refuse, as slurmrestd 22.05 reports it in a 500:
# SLURM_PROTOCOL_AUTHENTICATION_ERROR, and SLURM_PROTOCOL_SOCKET_ZERO_BYTES_SENT (slurmctld hangs up without a word).
_REFUSED = frozenset({1007, 5005})
_NUMBER_KEYS = ("error_number", "error_code", "errno")  # each API version has its own


def _object(body: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _numbers(error: object) -> set[int]:
    """Return the numbers that an entry of ``errors`` gives itself, under whichever name."""
    if not isinstance(error, dict):
        return set()
    return {number for key in _NUMBER_KEYS if isinstance(number := error.get(key), int)}


def refused_the_token(status: int, body: bytes) -> bool:
    """Tell whether Slurm refused the gateway's token: 401 and 511 say so, 500 says it in ``errors`` (22.05 and older)."""
    if status in {401, 511}:
        return True
    if status != 500:  # noqa: PLR2004 - RFC 9110 section 15.6.1
        return False
    errors = _object(body).get("errors")
    if not isinstance(errors, list):
        return False
    return any(not _numbers(error).isdisjoint(_REFUSED) for error in errors)


def might_have_refused_the_token(status: int, body: bytes) -> bool:
    """Tell whether a 500 says nothing of its cause, as 22.05 does for some calls when the token is refused: no error, or just -1."""
    if status != 500:  # noqa: PLR2004 - RFC 9110 section 15.6.1
        return False
    errors = _object(body).get("errors")
    if not isinstance(errors, list):
        return False
    return all(-1 in _numbers(error) for error in errors)


def submitted_job_id(body: bytes) -> int | None:
    """Return the id of the job that the answer to a submission names, or None."""
    job_id = _object(body).get("job_id")
    return job_id if isinstance(job_id, int) and not isinstance(job_id, bool) and job_id > 0 else None

"""Which reads may be shared, and how each version of the API says that a list has not changed (all pure).

``update_time`` means "what changed since": the answer to an unchanged list is 304, or, for the jobs of 23.11 and later, 200 with no jobs and a
``last_update`` of 0 (slurm: src/plugins/openapi/slurmctld/jobs.c, _op_handler_jobs). v0.0.36 does not have the parameter.
"""

from __future__ import annotations

import re

import msgspec

_SHARED = re.compile(
    r"/slurm/[^/]+/(?:jobs(?:/state)?|job/[0-9]{1,10}|nodes|node/[^/]+|partitions|partition/[^/]+|reservations|reservation/[^/]+|licenses|diag|ping)"
    r"|/slurmdb/[^/]+/.+"
    r"|/openapi(?:\.json|\.yaml|/v3)?"
)
_CONFIRMED = re.compile(r"/slurm/v0\.0\.([0-9]{1,4})/(?:jobs|nodes|partitions|reservations)")
_FIRST_TO_CONFIRM = 37
_FIRST_WITH_UTS = 40
_NUMBER = rb'\{\s*"set"\s*:\s*true\s*,\s*"infinite"\s*:\s*false\s*,\s*"number"\s*:\s*([0-9]{1,12})\s*\}'
_LAST_UPDATE = re.compile(rb'"last_update"\s*:\s*(?:' + _NUMBER + rb"|([0-9]{1,12}))")
_MAX_UNCHANGED = 16 * 1024


class _Number(msgspec.Struct):
    number: int = -1


class _Reply(msgspec.Struct):
    last_update: _Number | int | None = None


_decode = msgspec.json.Decoder(_Reply).decode


def is_shared_read(path: str) -> bool:
    """Tell whether a GET of a canonical ``path`` is one that people may share: it changes nothing, and many ask for it."""
    return _SHARED.fullmatch(path) is not None


def can_be_confirmed(path: str, query: str) -> bool:
    """Tell whether slurmrestd can say of this list that it has not changed; not where the client asks for changes itself."""
    found = _CONFIRMED.fullmatch(path)
    return found is not None and int(found[1]) >= _FIRST_TO_CONFIRM and "update_time" not in query


def with_update_time(path: str, query: str, since: int) -> str:
    """Return the query that asks for what changed since a time (seconds since the epoch).

    v0.0.40 and v0.0.41 refuse a number, and take Slurm's own way of writing one (parse_time: ``uts`` and seconds), as the later ones do.
    """
    found = _CONFIRMED.fullmatch(path)
    question = f"update_time=uts{since}" if found is not None and int(found[1]) >= _FIRST_WITH_UTS else f"update_time={since}"
    return f"{query}&{question}" if query else question


def is_unchanged(status: int, content: bytes) -> bool:
    """Tell whether the answer to such a query says that nothing has changed."""
    if status == 304:  # noqa: PLR2004 - RFC 9110 section 15.4.5
        return True
    if status != 200 or len(content) > _MAX_UNCHANGED:  # noqa: PLR2004 - RFC 9110 section 15.3.1
        return False
    try:
        last_update = _decode(content).last_update
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return (last_update.number if isinstance(last_update, _Number) else last_update) == 0


def last_update(ends: bytes) -> int | None:
    """Return the time that an answer gives itself (from v0.0.40 on; its first and last bytes have it), or None.

    It is slurmctld's own, so it needs no allowance for clocks that differ. Quotes within a job's own texts are escaped, so none of them can pass
    for it.
    """
    found = _LAST_UPDATE.findall(ends)
    numbers = {int(one or other) for one, other in found}
    return numbers.pop() if len(numbers) == 1 and 0 not in numbers else None

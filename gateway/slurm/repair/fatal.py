"""Fields of a job that end slurmrestd, for everybody: whoever writes one of them means no harm, and must do none (pure).

Measured: up to v0.0.38 [22.05] any ``argv`` and any ``batch_features`` is freed twice, so that slurmrestd ends, sometimes a request later; from
v0.0.40 to v0.0.42 [24.11] a ``group_id`` that is a name ends it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.slurm.repair.fields import OLD

_OLD_FATAL = ("argv", "batch_features")
_GROUP = "group_id"
_NEW = range(40, 43)
_DIGITS = re.compile(r"[0-9]{1,10}")
# The older parser takes names of any case; JSON may write any letter of one as \uXXXX.
_SUSPECT = re.compile(rb"argv|batch_features|group_id|\\u", re.IGNORECASE)
_YAML_KEY = re.compile(rb"(?:^|[\s{,?\"'])(argv|batch_features)[\"']?\s*:", re.IGNORECASE | re.MULTILINE)


class Pairs(list[tuple[str, Any]]):
    """The members of an object, with those that stand twice."""


def fatal_field(version: int, content: bytes, *, is_yaml: bool) -> str | None:
    """Return the name of a field in the submission ``content`` that would end slurmrestd, None if there is none."""
    if _SUSPECT.search(content) is None:
        return None
    if is_yaml:
        found = _YAML_KEY.search(content) if version <= OLD else None
        return None if found is None else found[1].decode().lower()
    try:
        body = json.loads(content, object_pairs_hook=Pairs, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None  # slurmrestd cannot read it either
    return next((name for job in _jobs(body) for name, value in job if _is_fatal(name.lower(), value, version)), None)


def _number(_digits: str) -> int:
    return 0  # which one does not matter, and the largest ones take their time


def _jobs(body: object) -> Iterator[Pairs]:
    for name, value in body if isinstance(body, Pairs) else ():
        if name.lower() not in {"job", "jobs"}:
            continue
        if isinstance(value, Pairs):
            yield value
        elif isinstance(value, list):
            yield from (part for part in value if isinstance(part, Pairs))


def _is_fatal(name: str, value: object, version: int) -> bool:
    if version <= OLD:
        return name in _OLD_FATAL
    return name == _GROUP and version in _NEW and isinstance(value, str) and _DIGITS.fullmatch(value) is None

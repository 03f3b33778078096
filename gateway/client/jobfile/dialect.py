"""What Slurm takes though its description of itself says otherwise, and what it does not take though it says so (pure).

Measured on 22.05.8 (v0.0.38) and 24.11.5 (v0.0.42), each field with values of each type. Up to v0.0.38 a parser reads jobs that makes options of
sbatch of them; from v0.0.39 on one that turns each value into the type that it needs, and refuses what it cannot turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

OLD = 38
"""The last version of the older parser."""

UNDESCRIBED = frozenset(
    {
        "constraint",
        "cwd",
        "exclude_nodes",
        "job_name",
        "license",
        "no_requeue",
        "node_list",
        "nodelist",
        "ntasks",
        "ntasks_per_core",
        "ntasks_per_gpu",
        "ntasks_per_node",
        "ntasks_per_socket",
        "ntasks_per_tres",
        "profile",
        "temporary_disk_per_node",
        "test_only",
        "umask",
    }
)
"""Fields that the older parser takes and its description does not name."""

_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
_AMOUNT = re.compile(r"[0-9]{1,15}(?:[kmgt]b?)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:[0-9]{1,5}-)?[0-9]{1,9}(?::[0-9]{1,9}){0,2}")
_FOR_EVER = frozenset({"-1", "infinite", "unlimited"})
_MOMENT = re.compile(
    r"now|today|tomorrow|midnight|noon|fika|teatime|elevenses|uts[0-9]|[0-9]{1,2}:[0-9]{2}|[0-9]{6}|[0-9]{1,2}[/.][0-9]{1,2}|[0-9]{4}-[0-9]{2}",
    re.IGNORECASE,
)
_COUNT = re.compile(r"[0-9]{1,9}[km]?(?:[-,:][0-9]{1,9}[km]?)*", re.IGNORECASE)

_MAIL = frozenset(
    "NONE ALL BEGIN END FAIL REQUEUE STAGE_OUT ARRAY_TASKS INVALID_DEPEND TIME_LIMIT TIME_LIMIT_90 TIME_LIMIT_80 TIME_LIMIT_50".split()  # noqa: SIM905 - as sbatch lists them
)

Verdict = str | None
"""How Slurm takes a value of another type than it describes, in words; empty where there is nothing to say, None where it does not."""


def is_number(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any, pattern: re.Pattern[str]) -> bool:  # noqa: ANN401 - a value of any type
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def is_moment(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` may be a time as sbatch's --begin takes it."""
    return isinstance(value, str) and _MOMENT.match(value) is not None


def is_duration(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` is a time as sbatch's --time takes it."""
    return isinstance(value, str) and (value.lower() in _FOR_EVER or _text(value, _DURATION))


def _is_amount(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return _text(value, _AMOUNT)


def _is_count(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return (is_number(value) and float(value).is_integer()) or _text(value, _COUNT)


def _is_scalar(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return not isinstance(value, (list, dict))


def _only_there(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    """Whatever the value: the older parser looks only whether the field is there."""
    del value
    return True


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return (isinstance(value, int) and not isinstance(value, bool)) or _text(value, _WHOLE)


_OLD_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "begin_time": is_moment,
    "deadline": is_moment,
    "delay_boot": lambda value: _is_whole(value) or is_duration(value),
    "exclusive": lambda value: isinstance(value, str) and value.lower() in {"exclusive", "oversubscribe", "user", "mcs"},
    "get_user_environment": _is_whole,
    "memory_per_cpu": lambda value: _is_whole(value) or _is_amount(value),
    "memory_per_node": lambda value: _is_whole(value) or _is_amount(value),
    "mail_type": lambda value: isinstance(value, str) and {word.upper() for word in value.split(",")} <= _MAIL,
    "minimum_nodes": _only_there,
    "nice": lambda value: value is None or is_number(value) or _text(value, _WHOLE),
    "no_kill": lambda value: value is None,
    "nodes": _is_count,  # a list of two is taken, and then it is as if nothing had been said
    "open_mode": lambda value: value is True or (isinstance(value, str) and value[:1].lower() in {"a", "t"}),
    "oversubscribe": _only_there,
    "priority": lambda value: is_number(value) or _text(value, _WHOLE) or (isinstance(value, str) and value.lower() == "top"),
    "requeue": _only_there,
    "signal": lambda value: _is_scalar(value) and "B" not in str(value).upper().rpartition(":")[0],
    "spread_job": _only_there,
    "time_limit": lambda value: _is_whole(value) or is_duration(value),
    "time_minimum": lambda value: _is_whole(value) or is_duration(value),
    "wait_all_nodes": lambda value: value in {0, 1, "0", "1"} if _is_scalar(value) and not isinstance(value, bool) else False,
}
"""What each of these takes up to v0.0.38, whatever it is described as."""

_OLD_WANTS: Mapping[str, str] = {
    "begin_time": "a text like 2027-01-31T08:00:00 or now+1hour",
    "deadline": "a text like 2027-01-31T08:00:00",
    "exclusive": "one of exclusive, user, mcs",
    "get_user_environment": "a number of seconds",
    "no_kill": "null",
    "mail_type": "a text like END,FAIL",
    "nodes": "a number, or a text like 1-4",
    "priority": "a number",
    "signal": "a text like USR1@60, and none for the batch shell alone (B:)",
    "wait_all_nodes": "0 or 1",
}

_OLD_REFUSED: Mapping[str, str] = {"cpu_binding": "is in the description of {version}, but Slurm refuses it"}
# They are freed twice there: slurmrestd ends, sometimes a request later.
_OLD_FATAL = frozenset({"argv", "batch_features"})

_NEW_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "begin_time": is_moment,
    "deadline": lambda value: is_moment(value) or isinstance(value, dict),
    "end_time": lambda value: is_moment(value) or isinstance(value, dict),
    "excluded_nodes": lambda value: isinstance(value, str),
    "required_nodes": lambda value: isinstance(value, str),
    "memory_per_cpu": _is_amount,
    "memory_per_node": _is_amount,
    "nodes": lambda value: _is_count(value) or (isinstance(value, list) and 0 < len(value) <= 2 and all(map(_is_whole, value))),  # noqa: PLR2004 - from, to
}
"""What each of these takes from v0.0.39 on beside what it is described as."""

_NEW_FATAL = frozenset({"group_id"})


def refused(name: str, version: int) -> str | None:
    """Return why Slurm refuses a field whatever its value, though its description names it; None if it does not."""
    if name in (_OLD_FATAL if version <= OLD else _NEW_FATAL):
        return "slurmrestd of this version ends when it is given this field, for everybody"
    return _OLD_REFUSED[name].format(version=f"v0.0.{version}") if version <= OLD and name in _OLD_REFUSED else None


def wants(name: str, version: int) -> str | None:
    """Return what a field takes, in words, where its description says something else; None where that is right."""
    return _OLD_WANTS.get(name) if version <= OLD else None


def decided(name: str, value: Any, version: int) -> bool | None:  # noqa: ANN401 - a value of any type
    """Tell whether a field takes a value, where that is known better than from its description; None where it is not."""
    if version <= OLD:
        return _OLD_FIELDS[name](value) if name in _OLD_FIELDS else None
    return True if name in _NEW_FIELDS and _NEW_FIELDS[name](value) else None


def turned(kind: str, value: Any, version: int, *, is_number_or_unset: bool = False) -> Verdict:  # noqa: ANN401 - a value of any type
    """Return how Slurm turns ``value`` into the type ``kind``; ``is_number_or_unset`` tells of an object of set, infinite and number."""
    if is_number_or_unset:
        return "" if value is None or is_number(value) or _text(value, _WHOLE) else None
    return (_OLD_KINDS if version <= OLD else _NEW_KINDS).get(kind, _never)(value)


def _never(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    del value
    return None


def _integer(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    if isinstance(value, float):
        return "Slurm makes a whole number of it"
    return "Slurm takes the text for a number" if _text(value, _WHOLE) else None


def _integer_or_null(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    return "Slurm takes null for 0" if value is None else _integer(value)


def _scalar(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    return "Slurm takes it for a text" if _is_scalar(value) else None


def _boolean(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    return "Slurm takes it for true or false as it sees fit" if _is_scalar(value) else None


def _list(value: Any) -> Verdict:  # noqa: ANN401 - a value of any type
    if value is None:
        return "Slurm takes null for an empty list"
    return "Slurm takes its values for the list" if isinstance(value, dict) else None


_OLD_KINDS: Mapping[str, Callable[[Any], Verdict]] = {"integer": _integer, "string": _scalar, "boolean": _boolean}
_NEW_KINDS: Mapping[str, Callable[[Any], Verdict]] = {"integer": _integer_or_null, "string": _scalar, "boolean": _boolean, "array": _list}


def one_of(value: Any, words: list[str]) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` is one of ``words``, whose case Slurm does not mind."""
    return isinstance(value, str) and value.lower() in {word.lower() for word in words}

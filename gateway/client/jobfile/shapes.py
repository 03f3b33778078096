"""Fields as other versions of the API write them, which the gateway brings into the form of the one that it submits to (pure).

It is the gateway that does it (README.md tells how); this only knows what it does, so that it is not called wrong. A test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.client.jobfile.dialect import OLD, is_duration

_LATER = 10_000

Takes = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Versions ``first`` to ``last`` know ``field`` as ``to``; ``takes`` tells whether the gateway can turn a value."""

    field: str
    to: str
    first: int
    last: int
    takes: Takes


_GPUS = re.compile(r"[A-Za-z0-9_.:+-]+(?:,[A-Za-z0-9_.:+-]+)*")
_GRES = re.compile(r"[A-Za-z0-9_.:/+-]+(?:,[A-Za-z0-9_.:/+-]+)*")
_SIGNAL = re.compile(r"(?:[RrBb]{1,2}:[A-Za-z0-9]{1,12}|[AC-QS-Zac-qs-z0-9][A-Za-z0-9]{0,11})(?:@[0-9]{1,5})?")
_DIGITS = re.compile(r"[0-9]+")
_MAIL = frozenset(
    "BEGIN END FAIL REQUEUE STAGE_OUT ARRAY_TASKS INVALID_DEPEND TIME_LIMIT TIME_LIMIT_90 TIME_LIMIT_80 TIME_LIMIT_50 ALL".split()  # noqa: SIM905 - as sbatch lists them
)
_MAIL_FLAGS = frozenset(
    "BEGIN END FAIL REQUEUE STAGE_OUT ARRAY_TASKS INVALID_DEPENDENCY TIME=100% TIME=90% TIME=80% TIME=50%".split()  # noqa: SIM905 - as above
)
_FIRST_SECOND, _FIRST_CERTAIN_SECOND = 1_000_000, 1_000_000_000
_NUMBER = frozenset({"set", "infinite", "number"})
_WORDS = {"exclusive", "true", "oversubscribe", "user", "mcs"}


def _always(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    del value
    return True


def _whole(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any, *, endless: bool = False, moment: bool = False, time: bool = False) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` is an object of set, infinite and number that older versions have a word for."""
    if not isinstance(value, dict) or not value.keys() <= _NUMBER:
        return False
    if not all(isinstance(value.get(name, False), bool) for name in ("set", "infinite")):
        return False
    if value.get("infinite"):
        return endless
    if not value.get("set"):
        return True
    number: Any = value.get("number")
    if not _whole(number) or (moment and number < _FIRST_SECOND and number != 0):
        return False
    return not (time and number == 0)


def _moment(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return (_whole(value) and value >= _FIRST_CERTAIN_SECOND) or _number(value, moment=True)


def _text_or_number(value: Any, pattern: re.Pattern[str]) -> bool:  # noqa: ANN401 - a value of any type
    return pattern.fullmatch(str(value) if _whole(value) else value if isinstance(value, str) else "") is not None


def _single(value: Any) -> str | None:  # noqa: ANN401 - a value of any type
    """Return the one word of a text, a list of one, or true."""
    if value is True:
        return "true"
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return value.lower() if isinstance(value, str) else None


def _duration(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    """Tell whether ``value`` is a time that is not a mere number of minutes, which every version takes."""
    return is_duration(value) and not value.isdecimal()


def _mail(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    tokens = [token for token in value.upper().split(",") if token] if isinstance(value, str) else []
    if tokens == [value] and value in _MAIL_FLAGS:
        return False  # one flag may stand without its list
    return "NONE" in tokens or (bool(tokens) and set(tokens) <= _MAIL)


def _words(value: Any, words: frozenset[str]) -> bool:  # noqa: ANN401 - a value of any type
    return isinstance(value, list) and all(isinstance(word, str) and word.upper() in words for word in value)


def _names(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) and name and "," not in name for name in value)


def _gres(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return isinstance(value, str) and _GRES.fullmatch(value) is not None and value.lower() != "none"


def _gpus(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return _text_or_number(value, _GPUS)


def _per_gpu(value: Any) -> bool:  # noqa: ANN401 - a value of any type
    return _text_or_number(value, _DIGITS)


_SPELLINGS = (
    (37, "standard_in", "standard_input"),
    (37, "standard_out", "standard_output"),
    (38, "time minimum", "time_minimum"),
    (38, "msc_label", "mcs_label"),
    (39, "ntasks", "tasks"),
    (39, "ntasks_per_core", "tasks_per_core"),
    (39, "ntasks_per_node", "tasks_per_node"),
    (39, "ntasks_per_socket", "tasks_per_socket"),
    (39, "cwd", "current_working_directory"),
    (39, "job_name", "name"),
    (39, "constraint", "constraints"),
    (39, "license", "licenses"),
    (39, "nodelist", "required_nodes"),
    (39, "node_list", "required_nodes"),
    (39, "exclude_nodes", "excluded_nodes"),
)


def _since(first: int, field: str, to: str, takes: Takes = _always, *, last: int = _LATER) -> Shape:
    return Shape(field=field, to=to, first=first, last=last, takes=takes)


def _until(last: int, field: str, to: str, takes: Takes = _always) -> Shape:
    return Shape(field=field, to=to, first=0, last=last, takes=takes)


SHAPES = (
    *(_since(first, field, to) for first, field, to in _SPELLINGS),
    _since(39, "time_limit", "time_limit", _duration),
    _since(39, "time_minimum", "time_minimum", _duration),
    _since(39, "mail_type", "mail_type", _mail),
    _since(39, "exclusive", "shared", lambda value: _single(value) in {"exclusive", "oversubscribe"}, last=41),
    _since(42, "exclusive", "shared", lambda value: _single(value) in _WORDS),
    _since(42, "oversubscribe", "shared", lambda value: value is True),
    _since(40, "gres", "tres_per_node", _gres),
    _since(40, "gpus", "tres_per_job", _gpus),
    _since(40, "gpus_per_node", "tres_per_node", _gpus),
    _since(40, "gpus_per_socket", "tres_per_socket", _gpus),
    _since(40, "gpus_per_task", "tres_per_task", _gpus),
    _since(40, "cpus_per_gpu", "cpus_per_tres", _per_gpu),
    _since(40, "memory_per_gpu", "memory_per_tres", _per_gpu),
    _since(39, "begin_time", "begin_time", lambda value: isinstance(value, dict) and _number(value), last=39),
    _until(OLD, "begin_time", "begin_time", _moment),
    _until(OLD, "deadline", "deadline", _moment),
    _until(OLD, "time_limit", "time_limit", lambda value: _number(value, endless=True, time=True)),
    _until(OLD, "time_minimum", "time_minimum", lambda value: _number(value, endless=True, time=True)),
    _until(OLD, "memory_per_cpu", "memory_per_cpu", _number),
    _until(OLD, "memory_per_node", "memory_per_node", lambda value: _number(value, endless=True)),
    _until(OLD, "priority", "priority", _number),
    _until(OLD, "mail_type", "mail_type", lambda value: _words(value, _MAIL_FLAGS)),
    _until(OLD, "open_mode", "open_mode", lambda value: _words(value, frozenset({"APPEND", "TRUNCATE"})) and len(value) == 1),
    _until(OLD, "shared", "exclusive", lambda value: _single(value) in {"none", "oversubscribe", "user", "mcs"}),
    _until(
        OLD,
        "exclusive",
        "exclusive",
        lambda value: _single(value) == "true" or (_single(value) in _WORDS and not isinstance(value, str)),
    ),
    _until(37, "oversubscribe", "exclusive", lambda value: value is True),
    _until(OLD, "requeue", "no_requeue", lambda value: value is False),
    _until(OLD, "required_nodes", "nodelist", lambda value: isinstance(value, str) or _names(value)),
    _until(OLD, "excluded_nodes", "exclude_nodes", lambda value: isinstance(value, str) or _names(value)),
    _until(37, "time_minimum", "time minimum", lambda value: not _number(value) or _number(value, time=True)),
    _until(37, "mcs_label", "msc_label"),
)

ALSO = {field: to for first, field, to in _SPELLINGS if first > OLD}
"""Spellings that the older parser takes itself, each with the one that its description has."""

FLAGS = {
    "KILL_INVALID_DEPENDENCY": ("kill_on_invalid_dependency", True),
    "NO_KILL_INVALID_DEPENDENCY": ("kill_on_invalid_dependency", False),
    "SPREAD_JOB": ("spread_job", True),
    "PREFER_MINIMUM_NODE_COUNT": ("minimum_nodes", True),
    "GRES_BINDING_DISABLED": ("gres_flags", "disable-binding"),
    "GRES_BINDING_ENFORCED": ("gres_flags", "enforce-binding"),
}
"""What older versions have a field of its own for, and those from v0.0.40 on a flag."""
_FIRST_FLAGS = 40
# BATCH_JOB becomes the prefix B:, which 22.05 refuses.
_SIGNALS = {"RESERVATION_JOB"}


def is_spelling(field: str, to: str) -> bool:
    """Tell whether ``field`` is but another name of ``to``, so that its value stays as it is."""
    return any((field, to) == (name, other) for _, name, other in _SPELLINGS)


def brought_up(job: Mapping[str, Any], version: int) -> dict[str, str]:
    """Return the fields of ``job`` that the gateway brings into the form of ``version``, each with what becomes of it."""
    found = dict(_of_environment(job, version))
    for shape in SHAPES:
        if shape.first <= version <= shape.last and shape.field in job and shape.takes(job[shape.field]):
            found.setdefault(shape.field, shape.to)
    found |= _old(job) if version <= OLD else _new(job, version)
    return found


def _of_environment(job: Mapping[str, Any], version: int) -> Iterator[tuple[str, str]]:
    value = job.get("environment")
    if not value or not isinstance(value, list if version <= OLD else dict):
        return
    # What the other form cannot say, or would say otherwise, the gateway leaves alone.
    pairs = [_pair(text) for text in value] if isinstance(value, list) else list(value.items())
    names = {name for name, _ in pairs}
    if len(names) == len(pairs) and all(name and not set(name) & {"=", "\0"} and isinstance(text, str) for name, text in pairs):
        yield "environment", "environment"


def _pair(text: Any) -> tuple[str, Any]:  # noqa: ANN401 - a value of any type
    name, equals, value = text.partition("=") if isinstance(text, str) else ("", "", None)
    return (name, value) if equals else ("", value)


def _new(job: Mapping[str, Any], version: int) -> dict[str, str]:
    """Return what becomes of the fields that are flags now, and of ``signal``."""
    found: dict[str, str] = {}
    if version >= _FIRST_FLAGS:
        found |= {field: "flags" for field, value in FLAGS.values() if type(job.get(field)) is type(value) and job[field] == value}
    if isinstance(job.get("signal"), str) and _SIGNAL.fullmatch(job["signal"]):
        found["signal"] = "kill_warning_signal"
    return found


def _old(job: Mapping[str, Any]) -> dict[str, str]:
    """Return what becomes of flags, of ``kill_warning_signal`` and of the least and largest number of nodes in versions that have none."""
    found = {}
    flags = job.get("flags")
    if isinstance(flags, list) and all(isinstance(flag, str) and flag in FLAGS for flag in flags):
        found["flags"] = FLAGS[flags[0]][0] if flags else "flags"
    if "signal" not in job and _is_warning(job):
        found |= {name: "signal" for name in ("kill_warning_signal", "kill_warning_delay", "kill_warning_flags") if name in job}
    if all(_whole(job.get(name)) for name in ("minimum_nodes", "maximum_nodes")) and "nodes" not in job:
        found |= {"minimum_nodes": "nodes", "maximum_nodes": "nodes"}
    return found


def _is_warning(job: Mapping[str, Any]) -> bool:
    """Tell whether a job says in the newer versions' fields what signal it is to get, and when."""
    delay, whom = job.get("kill_warning_delay"), job.get("kill_warning_flags", [])
    seconds = delay.get("number") if _number(delay) and isinstance(delay, dict) and delay.get("set") else delay
    signal = f"{job.get('kill_warning_signal')}@{seconds}"
    return _whole(seconds) and _SIGNAL.fullmatch(signal) is not None and isinstance(whom, list) and set(map(str, whom)) <= _SIGNALS

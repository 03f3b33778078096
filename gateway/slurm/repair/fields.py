"""The fields of a job in each version of the API: a table of those whose name or form changed.

Versions are meant as they are served: up to v0.0.38 by 22.05 and older, whose parser knows sbatch's options; from v0.0.39 on by the
one that took its place. The newer one ignores a field that it does not know, the older one refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.slurm.repair import values
from gateway.slurm.repair.values import Ambiguous, Convert, NotOurs, Raw

Fields = dict[str, Raw]

OLD = 38  # the last version of the older parser
_SOME_LATER = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Versions ``first`` to ``last`` know ``field`` as ``to``, with a value that ``value`` makes; ``name`` is what the repair is called."""

    field: str
    to: str
    name: str
    first: int
    last: int
    value: Convert


def _since(first: int, field: str, to: str, value: Convert = values.as_it_is, *, last: int = _SOME_LATER) -> Rule:
    return Rule(field=field, to=to, name=to, first=first, last=last, value=value)


def _until(last: int, field: str, to: str | None = None, value: Convert = values.as_it_is) -> Rule:
    return Rule(field=field, to=to or field, name=field, first=0, last=last, value=value)


# Spellings of one field that the older parser takes beside the documented one, and the version from which they are unknown.
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

RULES = (
    *(_since(first, field, to) for first, field, to in _SPELLINGS),
    _since(39, "time_limit", "time_limit", values.minutes),
    _since(39, "time_minimum", "time_minimum", values.minutes),
    _since(39, "mail_type", "mail_type", values.mail_flags),
    _since(39, "exclusive", "shared", values.shared_from_exclusive_of_words, last=41),
    _since(42, "exclusive", "shared", values.shared_from_exclusive),
    _since(42, "oversubscribe", "shared", values.shared_from_oversubscribe),
    # 23.02 wrote "gres:gpu", 23.11 and later write "gres/gpu"; v0.0.39 was served by both.
    _since(40, "gres", "tres_per_node", values.tres_from_gres),
    _since(40, "gpus", "tres_per_job", values.gpu_counts),
    _since(40, "gpus_per_node", "tres_per_node", values.gpu_counts),
    _since(40, "gpus_per_socket", "tres_per_socket", values.gpu_counts),
    _since(40, "gpus_per_task", "tres_per_task", values.gpu_counts),
    _since(40, "cpus_per_gpu", "cpus_per_tres", values.per_gpu),
    _since(40, "memory_per_gpu", "memory_per_tres", values.per_gpu),
    # The way back is left to the user: 22.05's slurmrestd crashes over a generic resource that the cluster does not have.
    _since(39, "begin_time", "begin_time", values.plain, last=39),
    _until(OLD, "begin_time", None, values.moment),
    _until(OLD, "deadline", None, values.moment),
    _until(OLD, "time_limit", None, values.plain_minutes),
    _until(OLD, "time_minimum", None, values.plain_minutes),
    _until(OLD, "memory_per_cpu", None, values.plain),
    _until(OLD, "memory_per_node", None, values.plain_memory),
    _until(OLD, "priority", None, values.plain),
    _until(OLD, "mail_type", None, values.mail_text),
    _until(OLD, "open_mode", None, values.open_mode_text),
    _until(OLD, "shared", "exclusive", values.exclusive_from_shared),
    _until(OLD, "exclusive", None, values.exclusive_word),
    _until(37, "oversubscribe", "exclusive", values.exclusive_from_oversubscribe),
    _until(OLD, "requeue", "no_requeue", values.no_requeue),
    _until(OLD, "required_nodes", "nodelist", values.comma_list),
    _until(OLD, "excluded_nodes", "exclude_nodes", values.comma_list),
    _until(37, "time_minimum", "time minimum"),
    _until(37, "mcs_label", "msc_label"),
)

# What older versions have a field of its own for, and newer ones a flag.
_FLAGS = {
    "KILL_INVALID_DEPENDENCY": ("kill_on_invalid_dependency", b"true"),
    "NO_KILL_INVALID_DEPENDENCY": ("kill_on_invalid_dependency", b"false"),
    "SPREAD_JOB": ("spread_job", b"true"),
    "PREFER_MINIMUM_NODE_COUNT": ("minimum_nodes", b"true"),
    "GRES_BINDING_DISABLED": ("gres_flags", b'"disable-binding"'),
    "GRES_BINDING_ENFORCED": ("gres_flags", b'"enforce-binding"'),
}
_FIRST_FLAGS = 40  # v0.0.39 spells one of them otherwise

_SIGNAL_FIELDS = ("kill_warning_signal", "kill_warning_delay", "kill_warning_flags")

# Each name above, so that one that differs from it in case alone is noticed: the older parser takes it for the same field.
KNOWN = frozenset(
    {"environment", "script", "get_user_environment", "signal", "flags", "minimum_nodes", "maximum_nodes", "nodes", *_SIGNAL_FIELDS}
    | {name for rule in RULES for name in (rule.field, rule.to)}
    | {field for field, _ in _FLAGS.values()}
)


def repair_fields(fields: Fields, version: int) -> Iterator[str]:
    """Bring ``fields`` of a job into the form of ``version``; yield the name of each that was changed, raise Ambiguous rather than guess."""
    for _, field, to in _SPELLINGS:
        if field in fields and to in fields and not values.same(fields[field], fields[to]):
            raise Ambiguous(f"two spellings of one field with two values: {field} and {to}")
    for rule in RULES:
        if rule.first <= version <= rule.last and rule.field in fields and _apply(rule, fields):
            yield rule.name
    if version > OLD:
        yield from _flags_of(fields, version)
        yield from _warning_of(fields)
    else:
        yield from _fields_of_flags(fields)
        yield from _signal_of(fields)
        yield from _nodes_of(fields)


def _apply(rule: Rule, fields: Fields) -> bool:
    """Change one field as ``rule`` says; tell whether that was needed."""
    found = fields[rule.field]
    try:
        value = rule.value(found)
    except NotOurs:
        return False
    if value is found and rule.to == rule.field:
        return False
    del fields[rule.field]
    if value is not None:
        _put(fields, rule.to, value)
    return True


def _put(fields: Fields, name: str, value: Raw) -> None:
    if name in fields and not values.same(fields[name], value):
        raise Ambiguous(f"two fields say different things of {name}")
    fields[name] = value


def _flags_of(fields: Fields, version: int) -> Iterator[str]:
    """Turn the older versions' fields into flags."""
    flags = [flag for flag, (field, value) in _FLAGS.items() if field in fields and bytes(fields[field]) == value]
    if not flags or version < _FIRST_FLAGS:
        return
    try:
        there = values.read(fields["flags"], list[str]) if "flags" in fields else []
    except NotOurs:
        raise Ambiguous("flags beside a field that has become one of them") from None
    for flag in flags:
        del fields[_FLAGS[flag][0]]
    fields["flags"] = values.write([*there, *(flag for flag in flags if flag not in there)])
    yield "flags"


def _fields_of_flags(fields: Fields) -> Iterator[str]:
    """Turn flags into the older versions' fields, if each has one."""
    try:
        flags = values.read(fields["flags"], list[str]) if "flags" in fields else None
    except NotOurs:
        return
    if flags is None or any(flag not in _FLAGS for flag in flags):
        return
    del fields["flags"]
    for flag in flags:
        name, value = _FLAGS[flag]
        _put(fields, name, Raw(value))
    yield "flags"


def _warning_of(fields: Fields) -> Iterator[str]:
    """Turn ``signal`` into the newer versions' fields."""
    if "signal" not in fields:
        return
    try:
        signal, seconds, flags = values.signal_parts(fields["signal"])
    except NotOurs:
        return
    if any(name in fields for name in _SIGNAL_FIELDS):
        raise Ambiguous("signal beside the fields that have taken its place")
    del fields["signal"]
    fields["kill_warning_signal"] = values.write(signal)
    fields["kill_warning_delay"] = values.write({"set": True, "infinite": False, "number": seconds})
    if flags:
        fields["kill_warning_flags"] = values.write(flags)
    yield "signal"


def _signal_of(fields: Fields) -> Iterator[str]:
    """Turn the newer versions' fields into ``signal``, where both say whom and when."""
    if not {"kill_warning_signal", "kill_warning_delay"} <= fields.keys() or "signal" in fields:
        return
    try:
        flags = values.read(fields.get("kill_warning_flags", Raw(b"[]")), list[str])
        seconds = values.plain(fields["kill_warning_delay"])
        if seconds is None:
            return
        signal = values.signal_text(values.read(fields["kill_warning_signal"], str), values.read(seconds, int), flags)
    except NotOurs:
        return
    for name in _SIGNAL_FIELDS:
        fields.pop(name, None)
    fields["signal"] = signal
    yield "signal"


def _nodes_of(fields: Fields) -> Iterator[str]:
    """Turn the least and the largest number of nodes into ``nodes``; to the older parser ``minimum_nodes`` is a switch, whatever its value.

    As a text: 22.05 takes a list of both as well, and then does as if nothing had been said (arg_set_data_nodes).
    """
    if "minimum_nodes" not in fields or bytes(fields["minimum_nodes"]) in {b"true", b"false"}:
        return
    try:
        bounds = [values.read(fields[name], int) for name in ("minimum_nodes", "maximum_nodes") if name in fields]
    except NotOurs:
        return
    if len(bounds) == 1 or "nodes" in fields:
        raise Ambiguous("a number of nodes that this version takes for a switch")
    del fields["minimum_nodes"], fields["maximum_nodes"]
    fields["nodes"] = values.write("-".join(map(str, bounds)))
    yield "nodes"

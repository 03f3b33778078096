"""Fields set from the command line, as ``name=value``: a job file may be submitted again with another partition, or another variable (pure)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway.client.errors import JobFileError
from gateway.client.jobfile import values
from gateway.client.jobfile.fields import KNOWN, MEMORY, MINUTES, NUMBERS, TEXTS
from gateway.client.jobfile.options import OPTIONS

_TOPS = frozenset({"job", "jobs", "script"})
_HINT = "Name a field of the job, as in --set partition=debug or --set environment.GREETING=hello."


def change(tree: dict[str, Any], changes: Sequence[tuple[str, str]]) -> None:
    """Set fields in ``tree``; a name that begins with ``job``, ``jobs`` or ``script`` is taken as it is, any other is one of the job's."""
    for name, said in changes:
        path = _path(tree, name)
        try:
            _put(tree, path, _value(path, said), name)
            _let_it_be_held(tree, path)
        except ValueError as error:
            raise JobFileError(f"--set {name}={said}: it {error}", hint="Correct the value.") from error


def _path(tree: dict[str, Any], name: str) -> list[str]:
    path = name.split(".")
    if not all(path):
        raise JobFileError(f"--set {name}: that is no name", hint=_HINT)
    if path[0] in _TOPS and (len(path) > 1 or path[0] == "script"):
        if path == ["script"] and isinstance(tree.get("job"), dict) and "script" in tree["job"]:
            return ["job", "script"]
        return path
    if path[0] not in KNOWN:
        raise JobFileError(f"--set {name}: there is no field {path[0]}", hint=_did_you_mean(path[0]))
    if isinstance(tree.get("job"), dict):
        return ["job", *path]
    if isinstance(tree.get("jobs"), dict):
        return ["jobs", *path]
    raise JobFileError(f"--set {name}: the file has several jobs", hint=f"Say which one, from 0: --set jobs.0.{name}=…")


def _did_you_mean(name: str) -> str:
    option = OPTIONS.get(name.replace("_", "-"))
    if option is not None and option.take is not None:
        sample = {
            "job-name": "name",
            "output": "standard_output",
            "error": "standard_error",
            "input": "standard_input",
            "chdir": "current_working_directory",
        }
        known = sample.get(option.name) or next((field for field in sorted(KNOWN) if field.startswith(name.replace("-", "_"))), None)
        if known is not None:
            return f"Did you mean {known}? A field of a version that is not known here is written job.{name}."
    import difflib  # noqa: PLC0415 - only who mistypes needs it

    close = difflib.get_close_matches(name, KNOWN, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return f"{meant}A field of a version that is not known here is written job.{name}."


def _value(path: list[str], said: str) -> Any:  # noqa: ANN401 - a field's value
    """Return what was typed in the field's shape: a text where it is one, else JSON if it is that, else a text."""
    field = path[-1]
    if "environment" in path[:-1] or field in TEXTS:
        return said
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        value = said
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        if field in MINUTES:
            return values.minutes(str(value))
        if field in MEMORY:
            return values.number(values.megabytes(str(value)))
        if field in NUMBERS and isinstance(value, int):
            return values.number(value)
    return value


def _let_it_be_held(tree: dict[str, Any], path: list[str]) -> None:
    """Take a priority away from a job that is to be held: newer versions would take it for the end of the hold."""
    job: Any = tree
    for step in path[:-1]:
        job = job[int(step)] if isinstance(job, list) else job[step]
    if path[-1] == "hold" and isinstance(job, dict) and job["hold"] is True:
        job.pop("priority", None)


def _put(tree: Any, path: list[str], value: Any, name: str) -> None:  # noqa: ANN401 - a tree is what it is
    for at, step in enumerate(path[:-1]):
        if step == "environment" and isinstance(tree, dict) and isinstance(tree.get(step), list) and at == len(path) - 2:
            _set_variable(tree[step], path[-1], value)
            return
        tree = tree.setdefault(step, {}) if isinstance(tree, dict) else tree[_index(tree, step, name)]
    if isinstance(tree, dict):
        tree[path[-1]] = value
    else:
        tree[_index(tree, path[-1], name)] = value


def _index(tree: Any, step: str, name: str) -> int:  # noqa: ANN401 - see _put
    if not isinstance(tree, list) or not step.isdecimal() or int(step) >= len(tree):
        raise JobFileError(f"--set {name}: the file has nothing at {step}", hint=_HINT)
    return int(step)


def _set_variable(entries: list[Any], name: str, value: Any) -> None:  # noqa: ANN401 - see _put
    entries[:] = [entry for entry in entries if not (isinstance(entry, str) and entry.partition("=")[0] == name)]
    entries.append(f"{name}={value}")

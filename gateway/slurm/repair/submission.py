"""A job file that was written for one version of the API, submitted to another.

Nothing that changes what runs is guessed: where a body can be read in two ways, it goes on as it came, byte for byte, and Slurm answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from gateway.slurm.repair import values
from gateway.slurm.repair.fields import KNOWN, OLD, Fields, repair_fields
from gateway.slurm.repair.values import Ambiguous, NotOurs, Raw

_VERSION = re.compile(r"v0\.0\.([0-9]{1,4})")
_FIRST = 36
_MOST_PARTS = 128  # of a heterogeneous job; Slurm refuses more (MAX_HET_JOB_COMPONENTS)
# What a job gets that brings no environment, which Slurm refuses: where Debian and Red Hat keep the commands of all users.
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The body to send on, what was repaired in it (the names for X-Gateway-Repaired), and why it was left alone, if it had to be."""

    content: bytes
    repairs: tuple[str, ...] = ()
    problem: str | None = None


def repair_submission(version: str, content: bytes) -> Repaired:
    """Return ``content``, the body of a POST to /slurm/``version``/job/submit, in the form of that version; never raise."""
    number = _VERSION.fullmatch(version)
    if number is None or int(number[1]) < _FIRST:
        return Repaired(content=content)
    try:
        body = _members(content)
        names = dict.fromkeys(_repair(body, int(number[1])))
    except NotOurs:
        return Repaired(content=content)
    except Ambiguous as reason:
        return Repaired(content=content, problem=str(reason))
    if not names:
        return Repaired(content=content)
    return Repaired(content=msgspec.json.encode(body), repairs=tuple(names))


def _members(content: bytes) -> Fields:
    """Return the members of the object that ``content`` is; raise NotOurs for what is no JSON, Ambiguous for a name that comes twice."""
    try:
        json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_int=str, parse_float=str, parse_constant=_no_number)
        return msgspec.json.decode(content, type=Fields)
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise NotOurs from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Ambiguous("a name that stands twice in one object")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON (RFC 8259 section 6)


def _repair(body: Fields, version: int) -> Iterator[str]:
    """Repair ``body`` in place and yield the names of what was repaired."""
    yield from _name_the_jobs(body, version)
    single = "job" in body
    jobs = [values.read(body["job"], Fields)] if single else values.read(body["jobs"], list[Fields])
    if not 0 < len(jobs) <= _MOST_PARTS:
        return
    for job in jobs:
        _look_at_names(job)
    names = [*_place_the_script(body, jobs, version)]
    for job in jobs:
        names += [*_give_an_environment(job, version), *repair_fields(job, version)]
    if names:
        body["job" if single else "jobs"] = values.write(jobs[0] if single else jobs)
    yield from names


def _name_the_jobs(body: Fields, version: int) -> Iterator[str]:
    """One job is called ``job``, the several of a heterogeneous one ``jobs``."""
    if "job" in body and "jobs" in body:
        raise Ambiguous("one job in 'job' and others in 'jobs'")
    if "jobs" in body and bytes(body["jobs"]).startswith(b"{"):
        body["job"] = body.pop("jobs")
        yield "job"
    elif "job" in body and bytes(body["job"]).startswith(b"[") and version > OLD:
        body["jobs"] = body.pop("job")
        yield "jobs"
    elif "job" not in body and "jobs" not in body:
        raise NotOurs
    elif version <= OLD and bytes(body.get("job", Raw())).startswith(b"["):
        body["jobs"] = body.pop("job")  # these versions take either; not worth a name


def _look_at_names(job: Fields) -> None:
    for name in job:
        if name not in KNOWN and name.lower() in KNOWN:
            raise Ambiguous("a field whose name differs in case alone, which some versions ignore and others do not")


def _place_the_script(body: Fields, jobs: list[Fields], version: int) -> Iterator[str]:
    """Up to v0.0.38 the script stands beside the job; later versions also look into it (v0.0.39 to v0.0.42 and later take both)."""
    inner = [job["script"] for job in jobs if "script" in job]
    for script in inner:
        values.read(script, str)
        if "script" in body and not values.same(body["script"], script):
            raise Ambiguous("two scripts")
    if version > OLD or not inner:
        return
    if len(inner) > 1 or "script" not in jobs[0]:
        raise Ambiguous("a script in another part of a heterogeneous job than the first")
    body["script"] = jobs[0].pop("script")
    yield "script"


def _give_an_environment(job: Fields, version: int) -> Iterator[str]:
    """Write the environment as this version does: an object up to v0.0.38, a list of NAME=value later; one with PATH where there is none."""
    found = job.get("environment")
    if found is None or values.is_null(found):
        if "get_user_environment" in job:  # then Slurm makes one
            return
        pairs = {"PATH": DEFAULT_PATH}
        name = "environment-default"
    elif bytes(found).startswith(b"{" if version <= OLD else b"["):
        return
    else:
        pairs, name = _environment(found), "environment"
    job["environment"] = values.write(pairs if version <= OLD else [f"{key}={value}" for key, value in pairs.items()])
    yield name


def _environment(found: Raw) -> dict[str, str]:
    """Return the variables of an environment in either form; raise Ambiguous if it has any that the other form cannot say."""
    try:
        if bytes(found).startswith(b"{"):
            pairs = list(values.read(found, dict[str, str]).items())
        else:
            pairs = [_split(entry) for entry in values.read(found, list[str])]
    except NotOurs:
        raise Ambiguous("an environment with something else than text in it") from None
    if any(not name or "=" in name or "\0" in name for name, _ in pairs):
        raise Ambiguous("an environment with a variable that has no name, or '=' in it")
    variables = dict(pairs)
    if len(variables) != len(pairs):
        raise Ambiguous("an environment with two values for one variable")
    return variables


def _split(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    return (name, value) if equals else ("", value)

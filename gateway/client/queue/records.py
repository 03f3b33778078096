"""What a queue writes down, one record a line of its journal (pure).

``opened`` says whose the queue is. A file goes ``intended`` → ``submitted`` → ``ended``; one whose submission certainly made no job is ``withdrawn``
and may be intended again; one that cannot be submitted is ``setting_aside`` → ``set_aside``. Each is on disk before what it announces is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """From here on the queue submits as ``username`` through ``url`` to ``cluster`` (None is the gateway's default one)."""

    url: str
    cluster: str | None
    username: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """``file`` is about to be sent: the bytes with ``sha256`` to ``path`` under ``key``.

    ``name`` is the job's, by which it would be looked for; ``attempt`` counts from 1, ``size`` and ``mtime_ns`` are the file's.
    """

    file: str
    key: str
    sha256: str
    path: str
    name: str | None
    attempt: int
    size: int
    mtime_ns: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """What was sent under ``key``, if it was sent, has made no job and will make none."""

    file: str
    key: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """Slurm has the job."""

    file: str
    key: str
    job_id: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The job has ended; ``state`` is Slurm's word, or UNKNOWN where nobody remembers the job, ``reason`` why it failed, where Slurm tells that."""

    file: str
    job_id: int
    state: str
    exit_code: int | None
    at: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingAside:
    """``file`` is about to become ``to`` in the folder for what cannot be submitted; ``unknown``: it may have become a job."""

    file: str
    to: str
    reason: str
    hint: str
    unknown: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """It is there."""

    file: str
    to: str
    at: float


Record: TypeAlias = Opened | Intended | Withdrawn | Submitted | Ended | SettingAside | SetAside

_KINDS: Mapping[str, type[Record]] = {
    "opened": Opened,
    "intended": Intended,
    "withdrawn": Withdrawn,
    "submitted": Submitted,
    "ended": Ended,
    "setting_aside": SettingAside,
    "set_aside": SetAside,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (float, int),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
}


class BrokenRecordError(Exception):
    """A line is none that a queue has written."""


def line(record: Record, number: int) -> bytes:
    """Return ``record`` as the line ``number`` of a journal; a file's name may hold any bytes, and JSON's escapes hold them all."""
    return json.dumps({"n": number, "record": _NAMES[type(record)], **asdict(record)}).encode() + b"\n"


def record_in(content: bytes, number: int) -> Record:
    """Return what the line ``number`` says; raise BrokenRecordError."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        raise BrokenRecordError("it is no JSON") from None
    if not isinstance(tree, dict):
        raise BrokenRecordError("it is no record")
    if tree.pop("n", None) != number:
        raise BrokenRecordError("a line is missing, or there twice")
    name = tree.pop("record", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BrokenRecordError("its kind is not known; a newer slurm-gateway may have written it")
    return _made(kind, tree)


def _made(kind: type[Record], tree: dict[str, Any]) -> Record:
    wanted = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    tree = {field.name: field.default for field in fields(kind) if field.default is not MISSING} | tree
    if tree.keys() != wanted.keys():
        raise BrokenRecordError("its fields are not those of its kind")
    for name, types in wanted.items():
        value = tree[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise BrokenRecordError(f"its {name} is not what it should be")
    return kind(**tree)

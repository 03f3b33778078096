"""A job file becomes the body of a submission, whatever it was written in: JSON, YAML, or a batch script with #SBATCH lines."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.client.errors import JobFileError

Kind = Literal["json", "yaml", "script"]

_MEBIBYTE = 1024 * 1024
LARGEST = 50 * _MEBIBYTE
"""Bytes that slurmrestd takes in a body."""
_MARK = b"\xef\xbb\xbf"
_SCRIPTS = (".sh", ".bash", ".sbatch", ".slurm", ".job")
_DIRECTIVE = re.compile(rb"^#SBATCH", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """What to submit: ``body`` is JSON for ``POST …/job/submit``, ``name`` the job's, ``notes`` is what was made of the file, a line each."""

    body: bytes = field(repr=False)
    name: str | None = None
    notes: tuple[str, ...] = ()
    kind: Kind = "json"
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where in a batch script the fields of the job come from, in words: ``--signal, hello.sh:3``."""


def read_file(
    path: Path | str,
    *,
    changes: Sequence[tuple[str, str]] = (),
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    largest: int = LARGEST,
) -> JobFile:
    """Return what the file at ``path`` asks for, as ``read`` does, of which no more than ``largest`` bytes are read."""
    content = content_of(Path(path), largest=largest)
    return read(content, os.fspath(path), changes=changes, directory=directory, environment=environment, largest=largest)


def content_of(path: Path, *, largest: int = LARGEST) -> bytes:
    """Return a job file's bytes; a link is followed, a folder, a pipe or a device refused, and a larger file is not read."""
    try:
        # Not to wait for somebody to open the other end, if it is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise JobFileError(f"{path} cannot be read: {error.strerror}", hint="Look at its name and its rights.") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise JobFileError(f"{path} is no file", hint="Name a job file, or - for standard input.")
        if found.st_size > largest:
            raise _too_large(str(path), largest)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(largest + 1)
    except OSError as error:
        raise JobFileError(f"{path} cannot be read: {error.strerror}", hint="Look at the disk that it is on.") from error
    finally:
        os.close(descriptor)


def read(
    content: bytes,
    filename: str,
    *,
    changes: Sequence[tuple[str, str]] = (),
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    largest: int = LARGEST,
) -> JobFile:
    """Return what the file ``filename`` with this ``content`` asks for; raise JobFileError.

    ``changes`` are fields to set, by name and value as typed. ``directory`` is where a batch script without one of its own runs (the current
    one), ``environment`` where variables come from that it exports by name (ours). JSON that is not changed is sent as it is.
    """
    if len(content) > largest:
        raise _too_large(filename, largest)
    content = content.removeprefix(_MARK)
    kind = _kind(content, filename)
    text, notes = _text(content, filename, kind)
    places: Mapping[str, str] = {}
    if kind == "script":
        from gateway.client.jobfile.sbatch import job_of  # noqa: PLC0415 - a file in JSON needs none of it

        here = directory if directory is not None else os.getcwd()  # noqa: PTH109 - a text, as Slurm takes it
        asked = job_of(text, filename, directory=here, environment=os.environ if environment is None else environment)
        tree, notes, places = asked.tree, (*notes, *asked.notes), asked.places
    else:
        tree = _tree(text, filename, kind, largest)
    if changes:
        from gateway.client.jobfile.changes import change  # noqa: PLC0415 - as above

        change(tree, changes)
    body = content if kind == "json" and not changes else json.dumps(tree).encode()
    if len(body) > largest:
        raise _too_large(filename, largest)
    return JobFile(body=body, name=_name(tree), notes=notes, kind=kind, places=places)


def _too_large(filename: str, largest: int) -> JobFileError:
    most = f"{largest // _MEBIBYTE} MiB" if largest >= _MEBIBYTE else f"{largest} bytes"
    return JobFileError(
        f"{filename} is larger than {most}, which is as much as is taken",
        hint="Have the job read its data from a file on the cluster.",
    )


def _kind(content: bytes, filename: str) -> Kind:
    """Tell what a file is: a script says so itself, then its name says it, then its first character."""
    if not content.strip():
        raise JobFileError(f"{filename} is empty", hint="Write a job into it.")
    if content.startswith(b"#!"):
        return "script"
    name = filename.lower()
    if name.endswith(".json"):
        return "json"
    if name.endswith((".yaml", ".yml")):
        return "yaml"
    if name.endswith(_SCRIPTS) or _DIRECTIVE.search(content):
        return "script"
    return "json" if content.lstrip()[:1] in {b"{", b"["} else "yaml"


def _text(content: bytes, filename: str, kind: Kind) -> tuple[str, tuple[str, ...]]:
    if b"\0" in content:
        number = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise JobFileError(f"{filename}:{number}: a NUL character", hint="Save it as UTF-8 text.", line=number)
    try:
        return content.decode(), ()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        if kind == "script" and _only_comments_are_odd(content):
            return content.decode("latin-1"), (f"Line {number} is no UTF-8; it is a comment, and was taken for Latin-1.",)
        raise JobFileError(
            f"{filename}:{number}: the text is no UTF-8", hint=f"iconv -f latin1 -t utf8 {filename}, if it is Latin-1.", line=number
        ) from error


def _only_comments_are_odd(content: bytes) -> bool:
    """Tell whether all that is no ASCII stands where no shell looks at it."""
    lines = [line for line in content.split(b"\n") if not line.isascii()]
    return all(line.lstrip().startswith(b"#") and not line.startswith((b"#!", b"#SBATCH", b"#SLURM")) for line in lines)


def _tree(text: str, filename: str, kind: Kind, largest: int) -> dict[str, Any]:
    from gateway.client.jobfile import trees  # noqa: PLC0415 - a script needs none of it

    tree = trees.of_json(text, filename) if kind == "json" else trees.of_yaml(text, filename, most=largest)
    if not isinstance(tree, dict):
        raise JobFileError(f"{filename} is no object with a job in it", hint='Write {"job": {…}, "script": "#!/bin/sh …"}.')
    if not isinstance(tree.get("job", tree.get("jobs")), (dict, list)):
        raise JobFileError(f"{filename} has no 'job' that is an object", hint='Write {"job": {"name": …}, "script": "#!/bin/sh …"}.')
    return tree


def _name(tree: dict[str, Any]) -> str | None:
    """Return the name of the job, that of the first where there are several."""
    job = tree.get("job", tree.get("jobs"))
    first = job[0] if isinstance(job, list) and job else job
    name = (first.get("name") or first.get("job_name")) if isinstance(first, dict) else None
    return name if isinstance(name, str) else None

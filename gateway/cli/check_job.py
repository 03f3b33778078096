"""``slurm-gateway check FILE``: what is wrong with a job file, each problem with its place, without submitting it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gateway.cli import person, terminal
from gateway.client.errors import GatewayError, JobFileError, NotUnderstoodError, printable
from gateway.client.gateway import Gateway
from gateway.errors import CommandError

if TYPE_CHECKING:
    from gateway.client.jobfile.checking import Problem
    from gateway.client.jobfile.places import Places
    from gateway.client.jobfile.schema import Submission

LARGEST_DESCRIPTION = 64 * 1024 * 1024
"""Bytes of an OpenAPI document; that of 24.11 has 1.6 million."""
# For each the file is read anew.
_MOST, _LARGEST_READ_ANEW = 50, 1024 * 1024
_HINT = "Correct it, then check again."


def run(arguments: argparse.Namespace) -> int:
    """Check a job file; return 0 when Slurm would take it as it is meant, else 1."""
    # The session is looked at first, so that nobody corrects a file only to be told to sign in.
    with person.gateway_of(arguments) as gateway:
        submission = described(gateway, arguments.cluster)
        release = submission.release or _release(gateway)
    problems, notes = problems_of(arguments.file, submission)
    against = f"{submission.version} of Slurm {release}" if release else submission.version
    if arguments.json:
        sys.stdout.write(json.dumps({"problems": [asdict(problem) for problem in problems]}) + "\n")
    else:
        unread = problems if len(problems) > 1 and not any(problem.field for problem in problems) else []
        for problem in problems:
            # Of lines that could not be read each has its own way out.
            out = f". {problem.hint}" if problem in unread else ""
            sys.stdout.write(printable(line_of(problem, arguments.file) + out) + "\n")
        for note in notes:
            terminal.say(printable(note))
    sys.stdout.flush()
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        hint = next(problem.hint for problem in problems if problem.severity == "error") if errors == 1 else _HINT
        raise CommandError(f"{arguments.file}: {errors} error{'s' * (errors > 1)} (checked against {against})", hint)
    if not arguments.json:
        sys.stdout.write(printable(f"{arguments.file}: nothing is wrong (checked against {against})") + "\n")
    return 0


def described(gateway: Gateway, cluster: str | None) -> Submission:
    """Return what the cluster says of itself that a submission may hold."""
    prefix = "" if cluster is None else f"/clusters/{quote(cluster, safe='')}"
    answer = gateway.call("GET", f"{prefix}/openapi/v3")
    from gateway.client.jobfile.schema import submission_of  # noqa: PLC0415 - after the answer

    if len(answer.body) > LARGEST_DESCRIPTION:
        raise NotUnderstoodError("the cluster's description of its API is too large", hint="Ask your administrators to look at /openapi/v3.")
    return submission_of(answer.json())


def problems_of(file: str, submission: Submission) -> tuple[list[Problem], Sequence[str]]:
    """Return what is wrong with a file, and what was made of it."""
    from gateway.client.jobfile.checking import check  # noqa: PLC0415 - after the answer

    content = b""
    try:
        content = _content(file)
        tree, places, notes, of_script = _read(content, file)
    except JobFileError as error:
        return _faults(error, content, file), ()
    found = check(tree, submission, places)
    # Nobody has seen the form that a script was given here.
    return [problem for problem in found if not (of_script and problem.severity == "note")], notes


def _faults(error: JobFileError, content: bytes, file: str) -> list[Problem]:
    """Return what keeps a file from being read: of a script's #SBATCH lines, each that is wrong, with what to do about it."""
    faults, lines = [error], content.split(b"\n")
    while len(faults) < _MOST and len(content) <= _LARGEST_READ_ANEW:
        number = faults[-1].line
        if number is None or not b"".join(lines[number - 1 : number]).startswith((b"#SBATCH", b"#SLURM")):
            break
        lines[number - 1] = b"#"  # which keeps the numbers of the others
        try:
            _read(b"\n".join(lines), file)
            break
        except JobFileError as another:
            faults.append(another)
    return [_problem(fault, file) for fault in faults]


def _problem(error: JobFileError, file: str) -> Problem:
    from gateway.client.jobfile.checking import Problem  # noqa: PLC0415 - after the answer

    message = str(error)
    for place in (f"{file}:{error.line}:{error.column}: ", f"{file}:{error.line}: ", f"{file}: ", f"{file} "):
        message = message.removeprefix(place)
    return Problem(line=error.line, column=error.column, field="", message=message, hint=error.hint, severity="error")


def _content(file: str) -> bytes:
    from gateway.client.jobfile.reading import LARGEST, content_of  # noqa: PLC0415 - as above

    if file != "-":
        return content_of(Path(file))
    if sys.stdin.isatty():
        terminal.say("Reading a job from the terminal; Ctrl-D ends it.")
    return sys.stdin.buffer.read(LARGEST + 1)


def _read(content: bytes, file: str) -> tuple[Any, Places, Sequence[str], bool]:
    from gateway.client.jobfile import read  # noqa: PLC0415 - as above
    from gateway.client.jobfile.places import of_json, of_script, of_yaml  # noqa: PLC0415 - as above

    job = read(content, file)
    places = {"json": of_json, "yaml": of_yaml, "script": of_script}[job.kind]
    # As reading it does: a mark of the order of bytes is no part of a text.
    return json.loads(job.body), places(content.decode("utf-8-sig", errors="replace")), job.notes, job.kind == "script"


def _release(gateway: Gateway) -> str | None:
    """Return Slurm's release from an answer of Slurm's, where its description does not tell."""
    try:
        meta = gateway.ping().get("meta")
    except GatewayError:
        return None
    slurm = (meta.get("slurm") or meta.get("Slurm")) if isinstance(meta, dict) else None
    release = slurm.get("release") if isinstance(slurm, dict) else None
    return ".".join(release.split(".")[:2]) if isinstance(release, str) else None


def line_of(problem: Problem, file: str) -> str:
    """Return a problem as it is told: its place, whose lines editors and terminals know how to open, and what is wrong."""
    place = ":".join(str(part) for part in (file, problem.line, problem.column) if part is not None)
    said = {"error": "", "warning": "warning: ", "note": "note: "}[problem.severity]
    return f"{place}: {said}{problem.field}{': ' if problem.field else ''}{problem.message}"

"""``slurm-gateway submit``: submits a job file (JSON or YAML) or a batch script with #SBATCH lines; - is standard input.

With ``--wait`` the exit code is the job's: what its script returned, 128 and the signal that ended it, or 1 where it did not complete and has
neither.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.cli import options, person, terminal
from gateway.cli.once import unsaid
from gateway.client.calls import Submitted
from gateway.client.errors import GatewayError, JobFileError, SlurmRefusedError, UnreachableError, printable
from gateway.client.jobfile import LARGEST, JobFile, read, read_file
from gateway.client.sites import Sites

INTERRUPTED = 130
_PATIENCE = 300.0
_LOOK = "It may have been submitted: look for it with 'slurm-gateway jobs' before you submit it again."
# Remarks upon how a value is written, which was understood; and what comes of --hold.
_NOISE = ("Expected OpenAPI type=", "Job is in held state", "Job submission resulted in non-zero return code: Job is in held state")


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("submit", help="submit a job file or a batch script", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="a job file in JSON or YAML, or a batch script with #SBATCH lines; - is standard input")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="changes",
        type=_change,
        help="a field of the job to set, such as partition=debug or environment.A=1; may be given several times",
    )
    parser.add_argument("--hold", action="store_true", help="submit it held, as sbatch --hold does")
    parser.add_argument("--wait", action="store_true", help="wait for the job's end, and end with its exit code")
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    parser.add_argument("--max-size", type=options.size, default=LARGEST, metavar="BYTES", help="the largest job file, such as 500k or 4m (50m)")
    parser.add_argument(
        "--patience", type=options.span, default=_PATIENCE, metavar="TIME", help="how long to try while the gateway is away, such as 30s or 1h (5m)"
    )
    person.add_options(parser)
    parser.set_defaults(run=run)


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def run(arguments: argparse.Namespace) -> int:
    """Submit a job."""
    job = _read(arguments)
    if arguments.dry_run:
        return _show(arguments, job)
    for note in unsaid(map(printable, job.notes), Sites.of(os.environ).folder / "told"):
        terminal.say(note)
    with person.gateway_of(arguments, patience=arguments.patience) as gateway:
        submitted = _submit(gateway, job)
        _tell(arguments, job, submitted)
        return _follow(arguments, gateway, submitted.job_id) if arguments.wait else 0


def _read(arguments: argparse.Namespace) -> JobFile:
    largest = arguments.max_size
    changes = [*arguments.changes, *([("hold", "true")] if arguments.hold else [])]
    if arguments.file != "-":
        return read_file(Path(arguments.file), changes=changes, directory=_here(), largest=largest)
    if sys.stdin.isatty():
        terminal.say("Reading a job from the terminal; Ctrl-D ends it.")
    return read(sys.stdin.buffer.read(largest + 1), "-", changes=changes, directory=_here(), largest=largest)


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text, as Slurm takes it
    except OSError as error:
        raise JobFileError("the current folder is gone", hint="Go to a folder that is there.") from error


def _show(arguments: argparse.Namespace, job: JobFile) -> int:
    try:
        url = person.person_of(arguments).site.url
    except GatewayError:
        url = "the gateway"
    for note in job.notes:
        terminal.say(printable(note))
    prefix = f"/clusters/{arguments.cluster}" if arguments.cluster else ""
    terminal.say(f"Would be sent to {url}{prefix}/slurm/latest/job/submit:")
    sys.stdout.write(job.body.decode().rstrip("\n") + "\n")
    return 0


def _submit(gateway: person.PersonsGateway, job: JobFile) -> Submitted:
    try:
        return gateway.submit(job.body)
    except UnreachableError as error:
        if error.sent:
            error.hint = _LOOK
        raise
    except SlurmRefusedError as error:
        raise _named(error, job) from error
    except KeyboardInterrupt:
        terminal.say(f"\n{_LOOK}")
        raise


def _named(error: SlurmRefusedError, job: JobFile) -> GatewayError:
    """Return the refusal of a field that comes from a batch script with the option's name and its place."""
    said = " ".join(str(told.get(key, "")) for told in error.errors for key in ("description", "error"))
    for name, place in job.places.items():
        if f'key "{name}"' in said or f'key: "{name}"' in said:
            return JobFileError(
                f"{place}: the REST API of this cluster does not take it: {error}",
                hint="Take it out of the script, or use sbatch on a login node.",
            )
    return error


def _tell(arguments: argparse.Namespace, job: JobFile, submitted: Submitted) -> None:
    """Say what was submitted, what the gateway changed in it, and what Slurm says of it."""
    if arguments.json:
        told = {"job_id": submitted.job_id, "name": job.name, "repaired": submitted.repaired, "warnings": submitted.warnings}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(printable(f"Submitted job {submitted.job_id}{f' ({job.name})' if job.name else ''}") + "\n")
    sys.stdout.flush()
    if job.kind != "script":  # of which nobody has seen the form that was repaired
        from gateway.cli import repairs  # noqa: PLC0415 - after the answer

        for sentence in repairs.sentences(submitted.repaired):
            terminal.say(printable(sentence))
    for warning in submitted.warnings:
        if not warning.startswith(_NOISE):
            terminal.say(printable(f"Slurm: {warning}"))


def _follow(arguments: argparse.Namespace, gateway: person.PersonsGateway, job_id: int) -> int:
    from gateway.cli.following import Follower, exit_code, tell  # noqa: PLC0415 - after the answer
    from gateway.cli.jobids import JobId  # noqa: PLC0415 - likewise

    try:
        person.renew_if_short(gateway)
        # The Follower has a patience of its own, and says what it waits for.
        same = replace(gateway.person, token=gateway.token)
        with person.PersonsGateway(same, cluster=arguments.cluster, patience=0) as watching:
            ended = []
            for one in Follower(watching).follow([JobId(job=job_id)]):
                ended.append(one)
                tell(one, as_json=arguments.json)
        return exit_code(ended)
    except KeyboardInterrupt:
        terminal.say(f"Job {job_id} goes on. 'slurm-gateway wait {job_id}' waits for it again, 'slurm-gateway cancel {job_id}' ends it.")
        return INTERRUPTED

"""``slurm-gateway output ID``: a job's output is a file of the cluster's, which the gateway does not carry; this says where it is."""

from __future__ import annotations

import argparse
import posixpath
from typing import Any

from gateway.cli import job, jobids, person, shown
from gateway.client.errors import printable
from gateway.errors import CommandError


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("output", help="say where a job's output is", description=__doc__)
    parser.add_argument("job", metavar="ID", type=jobids.job_id, help="a job")
    person.add_options(parser, json=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say that files are not carried, and where this one is."""
    with person.gateway_of(arguments) as gateway:
        found = job.find(gateway, arguments.job)[0]
    file, folder = shown.output(found), found.raw.get("current_working_directory")
    if file is None and isinstance(folder, str) and folder:
        # What sbatch does without --output; Slurm 22.05 tells only names that were asked for.
        task = arguments.job.task if found.array_task is None or not found.array_task.isdigit() else found.array_task
        number = found.id if found.array_job_id is None else f"{found.array_job_id}_{'%a' if task is None else task}"
        file = f"slurm-{number}.out"
    if file is not None and isinstance(folder, str) and folder:
        file = posixpath.join(folder, file)
    place = f"It is on the cluster, in {printable(file)}" if file else "It is on the cluster, where the job's --output says"
    raise CommandError(
        "the gateway carries Slurm's API, and no files: a job's output is out of its scope",
        f"{place}: fetch it with scp or your site's data service.",
    )

"""``slurm-gateway job ID``: all that is known of a job; of an array or a heterogeneous job, its tasks or parts."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from gateway.cli import jobids, person, shown
from gateway.cli.table import document
from gateway.client.cluster import Job
from gateway.client.gateway import Gateway
from gateway.errors import CommandError


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("job", help="show all that is known of a job", description=__doc__)
    parser.add_argument("job", metavar="ID", type=jobids.job_id, help="7, 7_3 for a task of an array, 7+1 for a part of a heterogeneous job")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show a job."""
    with person.gateway_of(arguments) as gateway:
        jobs = find(gateway, arguments.job)
    if arguments.json:
        sys.stdout.write(document({"jobs": [shown.document(job) for job in jobs]}))
        return 0
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    now = time.time()
    if len(jobs) == 1:
        tables.show_details(shown.details(jobs[0], now))
    else:
        tables.show(shown.columns(users=False), [shown.row(job, now, users=False) for job in jobs])
    return 0


def find(gateway: Gateway, wanted: jobids.JobId) -> list[Job]:
    """Return what Slurm shows of a job; raise GatewayError, or CommandError for a task or part that there is not."""
    everything = shown.sort(gateway.job(wanted.job))
    jobs = jobids.meant(wanted, everything, gateway.accounted)
    if not jobs:
        there = ", ".join(map(shown.label, everything)) or "nothing of it"
        raise CommandError(f"Slurm shows no job {wanted}", f"There is {there}: 'slurm-gateway job {wanted.job}' shows it.")
    return jobs

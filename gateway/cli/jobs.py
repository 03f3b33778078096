"""``slurm-gateway jobs``: your jobs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli import person


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("jobs", help="list jobs", description=__doc__)
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List jobs."""
    with person.gateway_of(arguments) as gateway:
        for job in gateway.jobs():
            sys.stdout.write(f"{job.id} {job.name} {job.state}\n")
    return 0

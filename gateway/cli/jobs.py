"""``slurm-gateway jobs``: your jobs, or everybody's, as a list or live."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from gateway.cli import person, shown
from gateway.cli.table import document


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("jobs", help="list jobs", description=__doc__)
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--all", action="store_true", help="everybody's, as far as Slurm shows them to you")
    whose.add_argument("--user", metavar="USER", help="those of somebody else")
    parser.add_argument("--state", metavar="STATE,…", type=words, default=(), help="only jobs in these states, such as R,PD")
    parser.add_argument("--partition", metavar="NAME,…", type=words, default=(), help="only jobs of these partitions")
    parser.add_argument("--watch", action="store_true", help="go on showing them as they change, until Ctrl-C")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List jobs."""
    if arguments.watch:
        from gateway.cli import watching  # noqa: PLC0415 - a list needs nothing of it

        return watching.run(arguments)
    with person.gateway_of(arguments) as gateway:
        jobs = gateway.jobs(user=arguments.user, everybody=arguments.all, states=arguments.state, partitions=arguments.partition)
    if arguments.json:
        sys.stdout.write(document({"jobs": [shown.document(job) for job in shown.sort(jobs)]}))
        return 0
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    users, now = whose_is_shown(arguments), time.time()
    tables.show_or_say(shown.columns(users=users), [shown.row(job, now, users=users) for job in shown.sort(jobs)], "No jobs.")
    return 0


def whose_is_shown(arguments: argparse.Namespace) -> bool:
    """Tell whether a list says whose each job is."""
    return bool(arguments.all or arguments.user)


def words(text: str) -> tuple[str, ...]:
    """Return the words of an option that takes several, with commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())

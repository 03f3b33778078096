"""``slurm-gateway disenroll USER``: take a user's second factors away and end the sessions that they opened."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli.people import People, note, on_store, prepare
from gateway.errors import CommandError
from gateway.signin.enrolment import disenrol


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("disenroll", help="take a user's second factors away and end their sessions", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Disenrol, and say what was taken away."""
    task = prepare(arguments)
    note(task, "disenrol")

    async def action(people: People) -> tuple[int, int]:
        return await disenrol(people.authenticators, people.sessions, task.user)

    factors, sessions = on_store(task.config, action)
    if not factors and not sessions:
        raise CommandError(f"{task.user} has no second factor", "Check the spelling: it is Slurm's, with its capitals.")
    sys.stdout.write(f"{task.user}: {factors} second factor(s) and {sessions} session(s) ended\n")
    return 0

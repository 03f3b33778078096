"""``slurm-gateway disenroll USER``: take a user's second factors away and end the sessions that they opened."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli.configuration import configuration
from gateway.cli.people import People, note, on_store, user_name
from gateway.cli.privileges import act_as_owner_of, operator
from gateway.errors import CommandError
from gateway.signin.enrolment import disenrol
from gateway.store.migrate import database_path


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("disenroll", help="take a user's second factors away and end their sessions", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Disenrol, and say what was taken away."""
    user = user_name(arguments.user)
    config = configuration(arguments)
    by = operator()
    act_as_owner_of(database_path(config.store.url).parent)
    note(config, "disenrol", user, by)

    async def action(people: People) -> tuple[int, int]:
        return await disenrol(people.authenticators, people.sessions, user)

    factors, sessions = on_store(config, action)
    if not factors and not sessions:
        raise CommandError(f"{user} has no second factor", "Check the spelling: it is Slurm's, with its capitals.")
    sys.stdout.write(f"{user}: {factors} second factor(s) and {sessions} session(s) ended\n")
    return 0

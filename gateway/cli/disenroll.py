"""``slurm-gateway disenroll USER``: take a user's second factors away, or one of them, and end all sessions and tokens."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gateway.cli.people import People, note, on_store, prepare
from gateway.errors import CommandError
from gateway.signin.enrolment import Disenrolled, disenrol


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("disenroll", help="take a user's second factors away and end their sessions", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.add_argument("--name", metavar="NAME", help="only the authenticator that is called so; the others stay")
    parser.add_argument("--json", action="store_true", help='print {"authenticators", "tickets", "sessions"}, the numbers of what was taken away')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Disenrol, and say what was taken away."""
    task = prepare(arguments)
    note(task, "disenrol")

    async def action(people: People) -> Disenrolled:
        return await disenrol(people.authenticators, people.tickets, people.sessions, task.user, arguments.name)

    ended = on_store(task.config, action)
    if not ended.authenticators and not ended.tickets and not ended.sessions:
        if arguments.name is not None:
            raise CommandError(f"{task.user} has no second factor called {arguments.name}", f"'slurm-gateway users show {task.user}' names them.")
        raise CommandError(f"{task.user} has no second factor", "Check the spelling: it is Slurm's, with its capitals.")
    if arguments.json:
        fields = {"authenticators": ended.authenticators, "tickets": ended.tickets, "sessions": ended.sessions}
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        void = f", {ended.tickets} ticket(s) void" if ended.tickets else ""
        sys.stdout.write(f"{task.user}: {ended.authenticators} second factor(s) and {ended.sessions} session(s) ended{void}\n")
    return 0

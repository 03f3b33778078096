"""``slurm-gateway recovery USER``: ten new recovery codes for a user in the place of all earlier ones, shown once."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gateway.cli.enroll import recovery_text
from gateway.cli.people import People, note, on_store, prepare
from gateway.signin.enrolment import renew_recovery


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("recovery", help="give a user ten new recovery codes", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.add_argument("--json", action="store_true", help='print {"recovery_codes"}')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replace the codes and show the new ones; they cannot be shown again."""
    task = prepare(arguments)
    note(task, "recovery_codes_renewed")

    async def action(people: People) -> tuple[str, ...]:
        return await renew_recovery(people.authenticators, task.user)

    codes = on_store(task.config, action)
    sys.stdout.write(json.dumps({"recovery_codes": list(codes)}) + "\n" if arguments.json else recovery_text(codes))
    return 0

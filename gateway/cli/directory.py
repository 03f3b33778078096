"""``slurm-gateway directory check [USER]``: what the directory answers, step by step, as signing in would ask, and why not. Asks for no password."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from typing import Any

from gateway.cli.configuration import configuration
from gateway.cli.privileges import act_as_owner_of
from gateway.config import Config
from gateway.errors import CommandError
from gateway.signin.credentials import could_be_a_user
from gateway.signin.directory.steps import Step, look
from gateway.slurm.names import NameRules
from gateway.store.migrate import home

_WORDS = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("directory", help="say what the directory answers, step by step", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser("check", help="ask each server, and look somebody up", description=__doc__)
    check.add_argument("user", nargs="?", metavar="USER", help="a name as somebody would type it to sign in")
    check.add_argument("--json", action="store_true", help="print the steps as a JSON list")
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the steps; return 0 when all is well, raise CommandError otherwise."""
    if arguments.user is not None and not could_be_a_user(arguments.user):
        raise CommandError(f"{arguments.user!r} is no name that somebody could sign in with", "Give user, user@domain or DOMAIN\\user.", exit_code=2)
    config = configuration(arguments)
    _judge_as_the_gateway(config)
    failures = asyncio.run(_look(config, arguments.user, as_json=arguments.json))
    if failures:
        raise CommandError(f"{failures} step(s) failed", "See the hints above; nobody's password was asked for or used.")
    return 0


def _judge_as_the_gateway(config: Config) -> None:
    """Read the service account's password as the one who will have to, not as root, who may read all."""
    folder = home(config.store)
    if folder.is_dir():
        act_as_owner_of(folder)


async def _look(config: Config, user: str | None, *, as_json: bool) -> int:
    """Print each step as soon as it is done; return how many failed."""
    names = NameRules.of(config.slurm.slurm_user, config.slurm.reserved_users, config.slurm.minimum_uid)
    steps = []
    async for step in look(config.directory, names, user, time.time):
        steps.append(step)
        if not as_json:
            sys.stdout.write(_line(step))
            sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps([dataclasses.asdict(step) for step in steps]) + "\n")
    return sum(step.outcome == "failed" for step in steps)


def _line(step: Step) -> str:
    """Return a step as a line, with its hint below; a directory's own bytes move no cursor."""
    found = "".join(character if character.isprintable() else "?" for character in step.found)
    hint = f"        hint: {step.hint}\n" if step.hint else ""
    return f"{_WORDS[step.outcome]}  {step.step}: {found}\n{hint}"

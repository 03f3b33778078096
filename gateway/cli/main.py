"""``slurm-gateway``: finds the command, runs it, and turns what went wrong into one line and a hint.

Each command is a module of its own with ``register(commands)``, imported when the command line names it, so that ``--help`` and the
commands for people load nothing of the server.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gateway import __version__
from gateway.client.errors import GatewayError
from gateway.errors import CommandError

USAGE = 2

_COMMANDS = {
    "login": "sign in with password and code",
    "jobs": "list jobs",
    "queue": "submit the job files of a folder, one after the other",
    "serve": "run the gateway",
    "check": "say everything that is wrong with a configuration",
    "directory": "say what the directory answers, step by step",
    "enroll": "give a user a second factor, or a ticket for one",
    "enroll-me": "give yourself a second factor, on a login node",
    "recovery": "give a user ten new recovery codes",
    "disenroll": "take a user's second factors away and end their sessions",
    "users": "list the people that the gateway knows, unlock them, end what they have",
    "sessions": "list sessions and end them",
    "tokens": "list personal access tokens and revoke them",
    "keys": "make, list and replace the keys that seal the second factors",
    "state": "back up and restore the store",
    "policy": "show the rules, and explain which one decides",
    "audit": "verify and read the audit trail: who did what",
    "nginx": "write the nginx configuration",
}


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong with a command line as everything else here is said."""

    # The command that the line names: argparse lets the outermost parser complain of what nobody recognized.
    named: str | None = None

    def error(self, message: str) -> NoReturn:
        command = f"{self.prog} {self.named}" if self.named is not None and message.startswith("unrecognized") else self.prog
        raise CommandError(message, f"'{command} --help' tells how it is used.", exit_code=USAGE)

    def format_help(self) -> str:
        # The descriptions are docstrings, marked up for those who read the code.
        return super().format_help().replace("``", "'")


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the command that ``argv`` names is imported and described in full."""
    parser = _Parser(prog="slurm-gateway", description="An authenticating reverse proxy for Slurm's REST API.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"slurm-gateway {__version__}")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=os.environ.get("SLURM_GATEWAY_CONFIG"),
        help="the configuration (TOML); without it, SLURM_GATEWAY_CONFIG names it",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    named = _command(argv)
    parser.named = named if named in _COMMANDS else None
    for name, summary in _COMMANDS.items():
        if name == named:
            importlib.import_module(f"gateway.cli.{name.replace('-', '_')}").register(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser


def _command(argv: Sequence[str]) -> str | None:
    """Return the command that ``argv`` names, not to be taken for the value of an option before it."""
    words = iter(argv)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` and return the exit code: 0 done, 1 refused or failed, 2 usage, 3 configuration."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        try:
            arguments = build_parser(words).parse_args(words)
            return int(arguments.run(arguments))
        finally:
            sys.stdout.flush()  # or a closed pipe would be noticed only when nobody can answer for it
    except CommandError as error:
        sys.stderr.write(f"slurm-gateway: {error.message}\nhint: {error.hint}\n")
        return error.exit_code
    except GatewayError as error:
        sys.stderr.write(f"slurm-gateway: {error}\nhint: {error.hint}\n")
        return 1
    except ModuleNotFoundError as error:
        sys.stderr.write(f"slurm-gateway: this command needs the module {error.name}\nhint: pip install 'slurm-gateway[server]'\n")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130

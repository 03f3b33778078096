"""``slurm-gateway``: finds the command, runs it, and turns what went wrong into one line and a hint.

Each command is a module of its own with ``register(commands)``, imported when the command line names it, so that ``--help`` and the
commands for people load nothing of the server.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from gateway import __version__
from gateway.client.errors import GatewayError, discreet
from gateway.errors import CommandError

USAGE = 2
_STANDARD_ERROR = 2
_INTERRUPTED = 130
_PROGRAM = "slurm-gateway"

# In the order in which somebody new comes to need them.
_COMMANDS = {
    "login": "sign in with password and code",
    "logout": "end the session",
    "whoami": "say who you are signed in as, and until when",
    "sites": "list the sites that you signed in to, and choose the default one",
    "tokens": "make, list and revoke your personal tokens, for scripts and CI",
    "check": "say all that is wrong with a job file, or with the configuration",
    "submit": "submit a job file or a batch script",
    "wait": "wait for the end of jobs",
    "queue": "submit the job files of a folder, one after the other",
    "jobs": "list jobs, or watch them",
    "job": "show all that is known of a job",
    "cancel": "cancel jobs",
    "output": "say where a job's output is",
    "nodes": "list nodes",
    "partitions": "list partitions",
    "ping": "say whether Slurm answers",
    "api": "send any request, and print the answer as it came",
    "completion": "have TAB complete in your shell",
    "enroll-me": "give yourself a first second factor",
}
_ADMINISTRATION = {
    "serve": "run the gateway",
    "directory": "say what the directory answers, step by step",
    "enroll": "give a user a second factor, or a ticket for one",
    "recovery": "give a user ten new recovery codes",
    "disenroll": "take a user's second factors away and end their sessions",
    "users": "list the people that are known, unlock them, end what they have",
    "sessions": "list sessions and end them",
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

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        # What is short for an option today is short for two tomorrow.
        super().__init__(*arguments, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        from gateway.cli.mistyped import meant  # noqa: PLC0415 - only who mistypes needs it

        command = f"{self.prog} {self.named}" if self.named is not None and message.startswith("unrecognized") else self.prog
        message, perhaps = meant(message, self, self.named)
        raise CommandError(message, f"{perhaps}'{command} --help' tells how it is used.", exit_code=USAGE)

    def format_help(self) -> str:
        # The descriptions are docstrings, marked up for those who read the code.
        return super().format_help().replace("``", "'")


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the command that ``argv`` names is imported and described in full."""
    parser = _Parser(
        prog=_PROGRAM,
        usage=f"{_PROGRAM} [--version] [--config FILE] COMMAND …",
        description="An authenticating reverse proxy for Slurm's REST API.",
        epilog=_groups(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slurm-gateway {__version__}")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=os.environ.get("SLURM_GATEWAY_CONFIG"),
        help="the configuration (TOML); without it, SLURM_GATEWAY_CONFIG names it",
    )
    # The epilog has the commands in their groups, which argparse does not know.
    commands = parser.add_subparsers(prog=_PROGRAM, metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    named = _command(argv)
    everything = _COMMANDS | _ADMINISTRATION
    parser.named = named if named in everything else None
    for name, summary in everything.items():
        if name == named:
            importlib.import_module(f"gateway.cli.{name.replace('-', '_')}").register(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser


def _groups() -> str:
    """Return the commands in their groups."""
    groups = (("for people", _COMMANDS), ("for administrators, on the gateway's host", _ADMINISTRATION))
    lines = (f"{title}:\n" + "".join(f"  {name:<12}{summary}\n" for name, summary in commands.items()) for title, commands in groups)
    return "\n".join((*lines, f"'{_PROGRAM} COMMAND --help' tells more of each."))


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
    if "_ARGCOMPLETE" in os.environ:
        from gateway.cli import completing  # noqa: PLC0415 - a shell asks, which is seldom

        completing.complete(build_parser)
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    _have_streams()
    for name in ("COLUMNS", "LINES"):
        if not os.environ.get(name, "").isascii():  # '²' is a digit to rich, and no number to Python
            del os.environ[name]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to fail
    try:
        try:
            arguments = build_parser(words).parse_args(words)
            return int(arguments.run(arguments))
        finally:
            _flush_errors()
            sys.stdout.flush()  # or a closed pipe would be noticed only when nobody can answer for it
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (CommandError, GatewayError, ModuleNotFoundError, OSError, MemoryError) as error:
        return _failed(error)


def _have_streams() -> None:
    """Have three standard streams: what is opened in the place of one that is closed would be written to and read from in its stead."""
    if None not in {sys.stdin, sys.stdout, sys.stderr}:
        return
    while (spare := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(spare)
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(_STANDARD_ERROR, "w")


def _stream(number: int, mode: str) -> TextIO:
    return os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False)  # type: ignore[return-value]  # a mode that is no literal


def _failed(error: CommandError | GatewayError | ModuleNotFoundError | OSError | MemoryError) -> int:
    """Say what went wrong, and return the exit code."""
    match error:
        case CommandError():
            return _say(error.message, error.hint, error.exit_code)
        case GatewayError():
            return _say(f"{error}{_request_id(error)}", _hint(error))
        case ModuleNotFoundError():
            return _say(f"this command needs the module {error.name}", "pip install 'slurm-gateway[server]'")
        case MemoryError():
            return _say("there is not enough memory for this", "Ask for less, or run it where there is more.")
        case BrokenPipeError():
            _write_no_more(sys.stdout)
            return 1
        case OSError():
            _write_no_more(sys.stdout)
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            return _say(f"{place}{error.strerror or error}", "Look to the disk's space and to your rights, then run this again.")


def _say(message: str, hint: str, exit_code: int = 1) -> int:
    try:
        sys.stderr.write(f"{_PROGRAM}: {discreet(message)}\nhint: {discreet(hint)}\n")
    except OSError:  # nobody reads it, and the exit code says enough
        _write_no_more(sys.stderr)
    return exit_code


def _request_id(error: GatewayError) -> str:
    """Return by what administrators find a request, where it may be for them to look: a wrong number or name is not."""
    theirs = error.status not in range(400, 500) or error.status in {401, 403} or "request id" in error.hint
    return f" (request id {error.request_id})" if error.request_id is not None and theirs else ""


def _hint(error: GatewayError) -> str:
    """Return what to do; people see neither the calls that the gateway speaks of nor their headers."""
    from gateway.client.hints import of_commands  # noqa: PLC0415 - only what has failed needs it

    hint = of_commands(error.hint)
    if error.retry_after is None:
        return hint
    return hint.replace("the seconds that Retry-After names", f"{error.retry_after:.0f} s")


def _flush_errors() -> None:
    """Write what is left for standard error; that nobody reads it must not become the exit code, which may be a job's."""
    try:
        sys.stderr.flush()
    except OSError:
        _write_no_more(sys.stderr)


def _write_no_more(stream: TextIO) -> None:
    """Have what is left for a stream go nowhere, or Python would complain of it as it ends."""
    with suppress(OSError, ValueError):  # a standard output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

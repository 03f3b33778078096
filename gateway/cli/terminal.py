"""Asking a person at a terminal, and telling them; standard output is for what a command is for, so this is not it."""

from __future__ import annotations

import sys

from gateway.errors import CommandError
from gateway.secret import Secret


def is_there() -> bool:
    """Tell whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def say(text: str) -> None:
    """Tell the person something, in a line."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def line(question: str) -> str:
    """Ask for a line; raise CommandError where there is none."""
    sys.stderr.write(question)
    sys.stderr.flush()
    said = sys.stdin.readline()
    if not said.strip():
        raise CommandError("nothing was typed", "Run this again, and answer the question.")
    return said.strip()


def hidden(question: str) -> Secret:
    """Ask for a line that is not shown; raise CommandError where there is none."""
    import getpass  # noqa: PLC0415 - few commands ask

    said = getpass.getpass(question, sys.stderr)
    if not said:
        raise CommandError("nothing was typed", "Run this again, and answer the question.")
    return Secret(said.encode())

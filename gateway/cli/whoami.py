"""``slurm-gateway whoami``: says who you are."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.errors import CommandError


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    commands.add_parser("whoami", description=__doc__).set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Say that it is not there yet."""
    raise CommandError("not there yet", "Wait for the next release.")

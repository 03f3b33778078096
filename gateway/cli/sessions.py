"""``slurm-gateway sessions list | end``: who is signed in, and putting an end to it."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli import ending
from gateway.cli.table import stamp
from gateway.store.sessions import SESSION, SessionRow


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("sessions", help="list sessions and end them", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list sessions, newest first")
    ending.add_user_option(listing)
    listing.add_argument("--json", action="store_true", help='print {"sessions": […]}')
    listing.set_defaults(run=show)
    stop = actions.add_parser("end", help="end a session, or all of a user's; it is refused within a second")
    ending.add_ending(stop)
    stop.set_defaults(run=end)


def show(arguments: argparse.Namespace) -> int:
    """List sessions."""
    return ending.show(arguments, _SESSIONS)


def end(arguments: argparse.Namespace) -> int:
    """End sessions."""
    return ending.end(arguments, _SESSIONS)


def _shown(row: SessionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "user": row.username,
        "created_at": stamp(row.created_at),
        "last_used_at": stamp(row.last_used_at),
        "expires_at": stamp(row.expires_at),
        "second_factor_at": stamp(row.second_factor_at),
        "factor": row.factor,
        "address": row.address,
        "client": row.client,
    }


_SESSIONS = ending.Kind(
    kind=SESSION,
    noun="session",
    event="session_ended",
    columns=("id", "user", "created_at", "last_used_at", "address", "client"),
    shown=_shown,
)

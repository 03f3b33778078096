"""``slurm-gateway tokens list | revoke``: the personal access tokens that there are, and putting an end to them."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli import ending
from gateway.cli.table import stamp
from gateway.store.sessions import TOKEN, SessionRow


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("tokens", help="list personal access tokens and revoke them", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list tokens, newest first; never what they are")
    ending.add_user_option(listing)
    listing.add_argument("--json", action="store_true", help='print {"tokens": […]}')
    listing.set_defaults(run=show)
    stop = actions.add_parser("revoke", help="end a token, or all of a user's; it is refused within a second")
    ending.add_ending(stop)
    stop.set_defaults(run=revoke)


def show(arguments: argparse.Namespace) -> int:
    """List tokens."""
    return ending.show(arguments, _TOKENS)


def revoke(arguments: argparse.Namespace) -> int:
    """End tokens."""
    return ending.end(arguments, _TOKENS)


def _shown(row: SessionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "user": row.username,
        "name": row.name,
        "created_at": stamp(row.created_at),
        "last_used_at": stamp(row.last_used_at) if row.last_used_at > row.created_at else None,
        "expires_at": stamp(row.expires_at),
        "scopes": list(row.scopes),
        "networks": list(row.networks),
        "made_in": row.made_in,
        "address": row.address,
        "client": row.client,
    }


_TOKENS = ending.Kind(
    kind=TOKEN,
    noun="token",
    event="token_ended",
    columns=("id", "user", "name", "scopes", "networks", "last_used_at", "expires_at"),
    shown=_shown,
)

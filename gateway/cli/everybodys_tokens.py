"""``slurm-gateway --config FILE tokens list | revoke``: everybody's personal access tokens, in the store, and putting an end to them."""

from __future__ import annotations

import argparse

from gateway.cli import ending
from gateway.cli.table import stamp
from gateway.store.sessions import TOKEN, SessionRow


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

"""``slurm-gateway ping``: whether Slurm's controllers answer; exit code 1 when none does.

With ``--json``: ``{"slurm": "24.11.5", "controllers": [{"host", "role", "up", "latency"}]}``, the latency in seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from gateway.cli import person
from gateway.cli.table import document
from gateway.client.cluster import items, number
from gateway.errors import CommandError

_MICROSECONDS = 1e6


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("ping", help="say whether Slurm answers", description=__doc__.partition("\n")[0])
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the controllers."""
    with person.gateway_of(arguments) as gateway:
        tree = gateway.ping()
    controllers, release = [_document(told) for told in items(tree, "pings")], _release(tree)
    if arguments.json:
        sys.stdout.write(document({"slurm": release, "controllers": controllers}))
    else:
        _show(controllers, release)
    if not any(controller["up"] for controller in controllers):
        raise CommandError("no controller of Slurm answers", "Ask your administrators: slurmctld is down, or slurmrestd cannot reach it.")
    return 0


def _show(controllers: list[dict[str, Any]], release: str | None) -> None:
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    columns = (
        tables.Column(heading="CONTROLLER", least=8),
        tables.Column(heading="ROLE"),
        tables.Column(heading="STATE"),
        tables.Column(heading="LATENCY", right=True, rank=1),
        tables.Column(heading="SLURM", rank=2),
    )
    rows = [
        (told["host"], told["role"], tables.state("UP" if told["up"] else "DOWN"), _milliseconds(told["latency"]), release) for told in controllers
    ]
    tables.show_or_say(columns, rows, "No controllers.")


def _document(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a controller for programs; ``ping`` became ``pinged`` in v0.0.40, with ``responding`` beside it, and ``latency`` is in microseconds."""
    said, latency = told.get("responding"), number(told.get("latency"))
    return {
        "host": str(told.get("hostname") or ""),
        "role": str(told.get("mode") or ("primary" if told.get("primary") else "backup")),
        "up": said if isinstance(said, bool) else str(told.get("pinged", told.get("ping"))).upper() == "UP",
        "latency": None if latency is None else latency / _MICROSECONDS,
    }


def _release(tree: Mapping[str, Any]) -> str | None:
    """Return Slurm's release; ``meta.Slurm`` became ``meta.slurm`` in v0.0.40."""
    meta = tree.get("meta")
    told = (meta.get("slurm") or meta.get("Slurm")) if isinstance(meta, dict) else None
    release = told.get("release") if isinstance(told, dict) else None
    return release if isinstance(release, str) else None


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.1f} ms"

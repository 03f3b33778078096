"""``slurm-gateway partitions``: the cluster's partitions, and what they have.

With ``--json``: ``{"partitions": [{"name", "default", "states", "nodes", "total_nodes", "total_cpus", "time_limit"}]}``, the limit in minutes, null
for none; ``default`` is null where this version of Slurm's API does not tell.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli import person
from gateway.cli.shown import limit
from gateway.cli.table import document
from gateway.client.cluster import Partition, words

_MINUTE = 60


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("partitions", help="list partitions", description=__doc__.partition("\n")[0])
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List partitions."""
    with person.gateway_of(arguments) as gateway:
        told = [_document(partition) for partition in gateway.partitions()]
    if arguments.json:
        sys.stdout.write(document({"partitions": told}))
        return 0
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    columns = (
        tables.Column(heading="PARTITION", least=8),
        tables.Column(heading="STATE"),
        tables.Column(heading="NODES", right=True),
        tables.Column(heading="CPUS", right=True),
        tables.Column(heading="TIME LIMIT", right=True, rank=1),
        tables.Column(heading="NODE LIST", least=8, rank=2),
    )
    tables.show_or_say(columns, [_row(partition) for partition in told], "No partitions.")
    return 0


def _document(partition: Partition) -> dict[str, Any]:
    """Return a partition for programs."""
    flags = partition.raw.get("flags")
    return {
        "name": partition.name,
        "default": None if flags is None else "DEFAULT" in {word.upper() for word in words(flags)},
        "states": list(partition.states),
        "nodes": partition.nodes,
        "total_nodes": partition.total_nodes,
        "total_cpus": partition.total_cpus,
        "time_limit": limit(partition.time_limit),
    }


def _row(told: dict[str, Any]) -> tuple[Any, ...]:
    from gateway.cli.tables import lasting, state  # noqa: PLC0415 - see above

    return (
        f"{told['name']}*" if told["default"] else told["name"],
        state(*told["states"]) if told["states"] else None,
        told["total_nodes"],
        told["total_cpus"],
        "none" if told["time_limit"] is None else lasting(told["time_limit"] * _MINUTE),
        told["nodes"],
    )

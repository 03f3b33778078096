"""``slurm-gateway nodes``: the cluster's nodes, and how they are.

With ``--json``: ``{"nodes": [{"name", "states", "cpus", "cpus_allocated", "load", "memory", "memory_free", "partitions", "reason"}]}``,
memory in MiB.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli import person
from gateway.cli.jobs import words
from gateway.cli.table import document
from gateway.client.cluster import Node, number

# Slurm's load is in hundredths.
_HUNDREDTHS = 100
_NOT_KNOWN = 0xFFFFFFF0


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("nodes", help="list nodes", description=__doc__.partition("\n")[0])
    parser.add_argument("--state", metavar="STATE,…", type=words, default=(), help="only nodes in these states, such as idle,drain")
    person.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List nodes."""
    with person.gateway_of(arguments) as gateway:
        nodes = gateway.nodes(states=arguments.state)
    told = [_document(node) for node in nodes]
    if arguments.json:
        sys.stdout.write(document({"nodes": told}))
        return 0
    from gateway.cli import tables  # noqa: PLC0415 - rich takes its time, and the request has gone out by now

    columns = (
        tables.Column(heading="NODE", least=8),
        tables.Column(heading="STATE"),
        tables.Column(heading="CPUS", right=True),
        tables.Column(heading="LOAD", right=True, rank=3),
        tables.Column(heading="MEMORY", right=True, rank=1),
        tables.Column(heading="PARTITIONS", least=8, rank=2),
        tables.Column(heading="REASON", least=8, rank=1),
    )
    tables.show_or_say(columns, [_row(node) for node in told], "No nodes.")
    return 0


def _document(node: Node) -> dict[str, Any]:
    """Return a node for programs."""
    load = _told(node, "cpu_load")
    return {
        "name": node.name,
        "states": list(node.states),
        "cpus": node.cpus,
        "cpus_allocated": _whole(_told(node, "alloc_cpus")),
        "load": None if load is None else load / _HUNDREDTHS,
        "memory": node.memory,
        "memory_free": _whole(_told(node, "free_mem", "free_memory")),
        "partitions": list(node.partitions),
        "reason": node.raw.get("reason") or None,
    }


def _row(told: dict[str, Any]) -> tuple[Any, ...]:
    from gateway.cli.tables import state  # noqa: PLC0415 - see above

    allocated, load = told["cpus_allocated"], told["load"]
    return (
        told["name"],
        state(*told["states"]),
        told["cpus"] if allocated is None else f"{allocated}/{told['cpus']}",
        None if load is None else f"{load:.2f}",
        None if told["memory"] is None else f"{told['memory']} MiB",
        told["partitions"],
        told["reason"],
    )


def _told(node: Node, *names: str) -> float | None:
    found = next((found for name in names if (found := number(node.raw.get(name))) is not None), None)
    return None if found is None or not 0 <= found < _NOT_KNOWN else found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)

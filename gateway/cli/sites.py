"""``slurm-gateway sites``: the sites that you have signed in to, and which one is meant where none is named."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from gateway.client.sites import Sites


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("sites", help="list the sites that you have signed in to, and choose the default one", description=__doc__)
    parser.add_argument("--json", action="store_true", help='print {"sites": […]}')
    parser.set_defaults(run=show)
    actions = parser.add_subparsers(metavar="ACTION")
    listing = actions.add_parser("list", help="list them; what 'sites' alone does")
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help='print {"sites": […]}')
    listing.set_defaults(run=show)
    default = actions.add_parser("default", help="choose the one that is meant where none is named")
    default.add_argument("name", metavar="NAME")
    default.set_defaults(run=choose)


def show(arguments: argparse.Namespace) -> int:
    """List the sites."""
    sites = Sites.of(os.environ)
    default = sites.default()
    rows: list[dict[str, str | bool | None]] = []
    for name in sites.names():
        site = sites.site(name)[1]
        where = "keyring" if site.keyring else "file"
        rows.append({"name": name, "url": site.url, "user": site.username, "ca": site.ca, "token_in": where, "default": name == default})
    if arguments.json:
        import json  # noqa: PLC0415 - for programs alone

        sys.stdout.write(json.dumps({"sites": rows}) + "\n")
    elif rows:
        from gateway.cli.tables import Column, show  # noqa: PLC0415 - for people alone

        columns = [Column(heading=title) for title in ("NAME", "URL", "USER", "DEFAULT")]
        show(columns, [(row["name"], row["url"], row["user"], row["default"]) for row in rows])
    else:
        sys.stdout.write("No sites.\n")
    return 0


def choose(arguments: argparse.Namespace) -> int:
    """Choose the default one."""
    Sites.of(os.environ).choose(arguments.name)
    sys.stdout.write(f"{arguments.name} is meant from now on where no site is named\n")
    return 0

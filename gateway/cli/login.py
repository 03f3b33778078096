"""``slurm-gateway login [URL]``: sign in with password and code, and keep the token for the other commands and for curl."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.cli import person, terminal
from gateway.client.gateway import Gateway
from gateway.client.sites import DEFAULT, Site, Sites
from gateway.errors import CommandError


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("login", help="sign in with password and code", description=__doc__)
    parser.add_argument("url", nargs="?", metavar="URL", default=os.environ.get("SLURM_GATEWAY_URL"), help="the gateway, https://…")
    parser.add_argument("--site", metavar="NAME", help="what to call it, where there are several")
    parser.add_argument("--user", metavar="USER", help="the user name; asked for without it")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA that the gateway's certificate chains to (PEM)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sign in, and say how to go on."""
    sites = Sites.of(os.environ)
    name, site = _site(arguments, sites)
    if not terminal.is_there():
        raise CommandError("there is no terminal to ask for password and code", "For CI, set SLURM_GATEWAY_TOKEN or give --token-file.")
    with Gateway(site.url, ca=site.ca) as gateway:
        token = person.sign_in(gateway, arguments.user or site.username)
        sites.keep(name, replace(site, username=gateway.username), token)
    file = sites.header_file(name)
    sys.stdout.write(f"Signed in as {gateway.username}.\nWith curl: curl -H @{file} {site.url}/slurm/latest/jobs\n")
    return 0


def _site(arguments: argparse.Namespace, sites: Sites) -> tuple[str, Site]:
    if arguments.url is None:
        return sites.site(arguments.site)
    return arguments.site or DEFAULT, Site(url=arguments.url.rstrip("/"), ca=None if arguments.ca is None else str(arguments.ca.absolute()))

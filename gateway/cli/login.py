"""``slurm-gateway login [URL]``: sign in with password and code, and keep the token for the other commands and for curl."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.cli import person, terminal
from gateway.client.address import Address
from gateway.client.calls import SignedIn
from gateway.client.errors import GatewayError, NotUnderstoodError, RefusedError, UnreachableError, printable
from gateway.client.gateway import Gateway
from gateway.client.sites import DEFAULT, Site, Sites, check_name
from gateway.errors import CommandError
from gateway.secret import Secret

# Seconds: whoever mistyped the address shall not wait long to hear of it.
_PATIENCE = 5.0
_ALIVE = b"ok"
_NO_TERMINAL = (
    "there is no terminal to ask for password and code",
    "Where nobody is there to be asked, as in CI, set SLURM_GATEWAY_TOKEN or give --token-file: 'slurm-gateway tokens create' makes a token.",
)


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("login", help="sign in with password and code", description=__doc__)
    parser.add_argument("url", nargs="?", metavar="URL", help="the gateway, https://…; without it, a site that is known already")
    parser.add_argument("--site", metavar="NAME", default=os.environ.get("SLURM_GATEWAY_SITE"), help="what to call it, where there are several")
    parser.add_argument("--user", metavar="USER", help="the user name; asked for without it")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA that the gateway's certificate chains to (PEM); it is remembered")
    parser.add_argument("--keyring", action="store_true", help="keep the token in the desktop's keyring, not in a file; curl has none then")
    parser.add_argument("--json", action="store_true", help='print {"site", "url", "username", "expires_at", "header_file"}')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sign in, and say how to go on."""
    sites = Sites.of(os.environ)
    name, site = _site(arguments, sites)
    if not terminal.is_there():
        raise CommandError(*_NO_TERMINAL)
    sites.prepare()  # before a code is used up for nothing
    if site.keyring:
        sites.open_keyring().get(name)
    with Gateway(site.url, ca=site.ca, patience=_PATIENCE, on_pause=person.tell) as gateway:
        _meet(gateway)
        asked = "User: " if site.username is None else f"User [{site.username}]: "
        signed_in = person.sign_in(gateway, arguments.user or terminal.line(asked, site.username))
        site = replace(site, username=signed_in.username)
        try:
            before = sites.keep(name, site, signed_in.token)
        except GatewayError:
            person.end(site, signed_in.token)  # nobody has it
            raise
    _end(before)
    if os.environ.get("SLURM_GATEWAY_TOKEN"):
        terminal.say("SLURM_GATEWAY_TOKEN is set: the other commands use that token, not this session.")
    _tell(arguments, sites, name, site, signed_in)
    return 0


def _site(arguments: argparse.Namespace, sites: Sites) -> tuple[str, Site]:
    """Return the name and the site that the command line means: a new one, or one that is kept, with what is said anew of it."""
    said = arguments.url or (None if arguments.site else os.environ.get("SLURM_GATEWAY_URL"))
    names = sites.names()
    if said is None:
        if not names and not arguments.site:
            raise CommandError("nothing says where to sign in", "Name the gateway as your site told you: slurm-gateway login URL", exit_code=2)
        name, kept = sites.site(arguments.site)
        return name, replace(kept, ca=person.absolute(arguments.ca) or kept.ca, keyring=arguments.keyring or kept.keyring)
    url = person.full_url(said)
    known = sites.by_url(url)
    name = check_name(arguments.site or (known[0] if known is not None else _free(names, url)))
    same = sites.site(name)[1] if name in names else None
    if same is None or same.url != url:
        same = Site(url=url)
    ca = person.absolute(arguments.ca) or same.ca or os.environ.get("SLURM_GATEWAY_CA")
    return name, replace(same, ca=ca, keyring=arguments.keyring or same.keyring)


def _free(names: list[str], url: str) -> str:
    """Return what a new site is called whose name nobody says: by its host, where the usual name is another's, which would lose its token."""
    if DEFAULT not in names:
        return DEFAULT
    address = Address.of(url)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", address.host)[:40].strip(".-") or "site"
    return next(name for name in (host, f"{host}-{address.port}", f"{host}-{os.urandom(4).hex()}") if name not in names)


def _meet(gateway: Gateway) -> None:
    """Look whether a gateway is there, before anybody types a password; raise GatewayError."""
    try:
        if gateway.call("GET", "/health/live").body.strip() == _ALIVE:
            return
    except (RefusedError, UnreachableError):
        raise
    except GatewayError:
        pass  # it speaks HTTP, and that is all that there is to say
    raise NotUnderstoodError(f"{gateway.url} answers, but is no gateway", hint="Check the address: your administrators told you one.")


def _end(before: tuple[Site, Secret] | None) -> None:
    if before is not None and (why := person.end(*before)) is not None:
        terminal.say(f"The session before this one could not be ended ({why}); it ends by itself when it is not used.")


def _tell(arguments: argparse.Namespace, sites: Sites, name: str, site: Site, signed_in: SignedIn) -> None:
    file = None if site.keyring else sites.header_file(name)
    if arguments.json:
        import json  # noqa: PLC0415 - for programs alone

        tree = {"site": name, "url": site.url, "username": signed_in.username, "expires_at": signed_in.expires_at}
        sys.stdout.write(json.dumps({**tree, "header_file": None if file is None else str(file)}) + "\n")
        return
    who = printable(signed_in.username)
    from gateway.cli import times  # noqa: PLC0415 - after the request

    called = "" if name == DEFAULT else f" (site {name})"
    sys.stdout.write(f"Signed in to {site.url} as {who}, for {times.in_words(signed_in.expires_in)}{called}.\n")
    if len(sites.names()) > 1 and sites.default() == name:
        sys.stdout.write("It is meant from now on where no site is named ('slurm-gateway sites default NAME' chooses another).\n")
    if file is None:
        sys.stdout.write("The token is in the keyring, so there is no file for curl; 'slurm-gateway api GET /slurm/latest/jobs' does the same.\n")
    else:
        sys.stdout.write(f"With curl:\n{curl_line(file, site, os.environ.get('HOME', ''))}\n")


def curl_line(file: Path, site: Site, home: str) -> str:
    """Return a line for the shell that lists jobs; no shell turns ``@~`` into a home folder, so it says ``$HOME``."""
    ca = "" if site.ca is None else f"--cacert {shlex.quote(site.ca)} "
    return f"curl {ca}-H @{_quoted(file, home)} {shlex.quote(f'{site.url}/slurm/latest/jobs')}"


def _quoted(file: Path, home: str) -> str:
    # A home folder with a blank would fall apart where $HOME stands bare.
    if home in {"", "/"} or shlex.quote(home) != home or not file.is_relative_to(home):
        return shlex.quote(str(file))
    return f"$HOME/{shlex.quote(str(file.relative_to(home)))}"

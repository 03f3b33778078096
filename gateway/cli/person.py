"""What the commands for people share: which site, with which token, and what happens when a session has ended.

A token comes from ``--token-file``, else from SLURM_GATEWAY_TOKEN (with SLURM_GATEWAY_URL, for CI), else from what ``login`` has kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli import terminal
from gateway.client.asking import Pause
from gateway.client.errors import STALE, GatewayError, NotSignedInError
from gateway.client.gateway import Gateway
from gateway.client.sites import Site, Sites
from gateway.errors import CommandError
from gateway.secret import Secret

_MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a command acts for: ``name`` is that of the kept site, None where the token came from elsewhere."""

    sites: Sites
    name: str | None
    site: Site
    token: Secret | None


def add_options(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    """Add what every command for people takes."""
    parser.add_argument("--site", metavar="NAME", default=os.environ.get("SLURM_GATEWAY_SITE"), help="the site, as 'login --site' called it")
    parser.add_argument("--cluster", metavar="NAME", help="another cluster than the gateway's default one")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="a file that holds a token and that nobody else may read, for CI")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA that the gateway's certificate chains to (PEM)")
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")


def person_of(arguments: argparse.Namespace) -> Person:
    """Return whom the command line, the environment and the kept sites name."""
    sites = Sites.of(os.environ)
    given = _given(arguments)
    url = os.environ.get("SLURM_GATEWAY_URL")
    if given is not None and url and not arguments.site:
        return Person(sites=sites, name=None, site=Site(url=url, ca=_path(arguments.ca)), token=given)
    name, site = sites.site(arguments.site)
    if arguments.ca is not None:
        site = Site(url=site.url, ca=_path(arguments.ca), username=site.username)
    if given is not None:
        return Person(sites=sites, name=None, site=Site(url=site.url, ca=site.ca), token=given)
    return Person(sites=sites, name=name, site=site, token=sites.token(name))


@contextmanager
def gateway_of(arguments: argparse.Namespace, *, patience: float = 30.0) -> Iterator[Gateway]:
    """Give the gateway that a command speaks to; on a terminal, a session that has ended is begun anew."""
    person = person_of(arguments)
    if person.token is None and not terminal.is_there():
        raise NotSignedInError(f"not signed in at {person.site.url}", hint=f"Sign in first: slurm-gateway login --site {person.name}")

    def prove(error: GatewayError) -> Secret:
        return _prove(person, gateway, error)

    gateway = Gateway(
        person.site.url, token=person.token, ca=person.site.ca, cluster=arguments.cluster, patience=patience, prove=prove, on_pause=_tell
    )
    with gateway:
        yield gateway


def renew_if_short(gateway: Gateway, needed: float) -> None:
    """Ask whether to sign in anew if the session ends before ``needed`` seconds are over; where nobody can be asked, say so and go on.

    For commands that take long, once, before they begin: ``with gateway_of(arguments) as gateway: renew_if_short(gateway, 7200)``.
    It is the session's hard end that counts. That it does not idle out is its user's affair: a stream of events does not keep it alive.
    """


def sign_in(gateway: Gateway, username: str | None) -> Secret:
    """Ask for what signing in needs, on the terminal, and sign in."""
    username = username or terminal.line("User: ")
    return gateway.login(username, terminal.hidden("Password: "), terminal.line("Code: ").replace(" ", "")).token


def _prove(person: Person, gateway: Gateway, error: GatewayError) -> Secret:
    """Answer a refusal for an ended session or an old second factor, if somebody is there to do it."""
    if person.name is None or not terminal.is_there():
        raise error
    terminal.say(str(error))
    if error.reason == STALE and gateway.token is not None:
        gateway.stepup(terminal.line("Code: ").replace(" ", ""))
        return gateway.token
    token = sign_in(gateway, person.site.username)
    person.sites.keep(person.name, person.site, token)
    return token


def _given(arguments: argparse.Namespace) -> Secret | None:
    if arguments.token_file is not None:
        return _token_in(arguments.token_file)
    said = os.environ.get("SLURM_GATEWAY_TOKEN")
    return Secret(said.strip().encode()) if said else None


def _token_in(file: Path) -> Secret:
    hint = "Give a file with a token and nothing else, mode 0600: 'slurm-gateway tokens create' makes one."
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_MOST).strip()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", hint) from error
    if mode & 0o077:
        raise CommandError(f"{file} may be read by others", f"chmod 600 {file}")
    if not content or not content.isascii() or b"\n" in content:
        raise CommandError(f"{file} holds no token", hint)
    return Secret(content)


def _tell(pause: Pause) -> None:
    if pause.because is not None and sys.stderr.isatty():
        terminal.say(f"{pause.because}; trying again in {pause.seconds:.0f} s")


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())

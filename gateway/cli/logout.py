"""``slurm-gateway logout``: end the session, at the gateway and here."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from gateway.cli import person, terminal
from gateway.client.errors import GatewayError, NotSignedInError
from gateway.client.sites import Sites


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("logout", help="end the session", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--site", metavar="NAME", default=os.environ.get("SLURM_GATEWAY_SITE"), help="the site, as 'login --site' called it")
    which.add_argument("--all", action="store_true", help="at every site")
    parser.add_argument("--force", action="store_true", help="forget the token even if the gateway cannot be told")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """End one session, or all."""
    sites = Sites.of(os.environ)
    names = sites.names() if arguments.all else [sites.site(arguments.site)[0]]
    failed = None
    ended = 0
    for name in names:
        try:
            ended += _sign_out(sites, name, force=arguments.force)
        except GatewayError as error:
            if failed is not None:
                terminal.say(f"slurm-gateway: {failed}")
            failed = error
    if os.environ.get("SLURM_GATEWAY_TOKEN"):
        terminal.say("SLURM_GATEWAY_TOKEN is set still, and its token good: 'slurm-gateway tokens revoke' ends one.")
    if failed is not None:
        raise failed
    if not ended:
        raise NotSignedInError(
            "not signed in" if arguments.all else f"not signed in at {sites.site(arguments.site)[1].url}", hint="Nothing is left to end."
        )
    return 0


def _sign_out(sites: Sites, name: str, *, force: bool) -> bool:
    """End the session at a site and forget its token; tell whether there was one. The token of a gateway that cannot be told is kept."""
    _, site, token = sites.signed_in(name)
    if token is None:
        return False
    error = person.end(site, token)
    if error is not None and not force:
        error.hint = f"The token is kept, for it is good still: try again, or forget it with --force ({error.hint})"
        raise error
    sites.forget(name, token)
    if error is None:
        sys.stdout.write(f"Signed out of {site.url}.\n")
    else:
        sys.stdout.write(f"Forgot the token for {site.url}.\n")
        terminal.say(f"The session could not be ended ({error}); it ends by itself when it is not used.")
    return True

"""``slurm-gateway tokens create | list | revoke``: personal tokens, for scripts and CI.

They are yours, through the gateway. Where ``--config`` or SLURM_GATEWAY_CONFIG names the gateway's configuration, ``list`` and ``revoke`` are
the administrator's, on everybody's tokens in its store, unless ``--site`` is given.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.cli import person
from gateway.client.calls import MadeToken, PersonalToken
from gateway.client.errors import GatewayError
from gateway.client.files import create as create_file
from gateway.client.gateway import Gateway
from gateway.errors import CommandError

_ADMINISTRATORS = "for administrators, with --config: "


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("tokens", help="make, list and revoke your personal tokens, for scripts and CI", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    make = actions.add_parser("create", help="make a token; it is shown this once")
    make.add_argument("--name", metavar="NAME", required=True, help="what it is for")
    make.add_argument("--expires", metavar="TIME", help="for how long it is good, such as 12h or 7d (default: the gateway's, usually 30d)")
    make.add_argument(
        "--scope", metavar="SCOPE", nargs="+", action="extend", help="read (default), submit, jobs, admin, or such as 'GET /slurm/*/nodes'"
    )
    make.add_argument(
        "--network", metavar="CIDR", nargs="+", action="extend", help="from where it is good, such as 192.0.2.0/24 (default: everywhere)"
    )
    make.add_argument("--output", type=Path, metavar="FILE", help="write it to a new file that only you may read, for --token-file")
    person.add_options(make, cluster=False)
    make.set_defaults(run=create)
    listing = actions.add_parser("list", help="list tokens, newest first; never what they are")
    listing.add_argument("--user", metavar="USER", help=f"{_ADMINISTRATORS}of this user, as Slurm spells it")
    person.add_options(listing, cluster=False)
    listing.set_defaults(run=show)
    stop = actions.add_parser("revoke", help="end tokens; they are refused within a second")
    stop.add_argument("id", metavar="ID", nargs="*", help="its id, as 'list' shows it")
    stop.add_argument("--user", metavar="USER", help=f"{_ADMINISTRATORS}all of this user, as Slurm spells it")
    person.add_options(stop, cluster=False)
    stop.set_defaults(run=revoke)


def create(arguments: argparse.Namespace) -> int:
    """Make a token, and show it or write it to a file."""
    expires_in = _seconds(arguments.expires)
    if arguments.output is not None and (arguments.output.exists() or arguments.output.is_symlink()):
        raise CommandError(f"{arguments.output} is there already", "Name a file that is not there yet: no token is ever written over another.")
    with person.gateway_of(arguments) as gateway:
        made = gateway.create_token(arguments.name, scopes=arguments.scope or (), expires_in=expires_in, networks=arguments.network or ())
        if arguments.output is not None:
            _write(gateway, arguments.output, made)
    kept = {"token": made.token.reveal().decode()} if arguments.output is None else {"file": str(arguments.output)}
    if arguments.json:
        sys.stdout.write(
            json.dumps({"token_type": "Bearer", "id": made.id, "name": made.name, **_terms(made), "expires_in": round(made.expires_in), **kept})
            + "\n"
        )
    else:
        sys.stdout.write("".join(f"{value}\n" for value in kept.values()))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """List tokens."""
    if _is_administrators(arguments):
        from gateway.cli import everybodys_tokens  # noqa: PLC0415 - the server's libraries, which people need not have

        return everybodys_tokens.show(arguments)
    with person.gateway_of(arguments) as gateway:
        found = gateway.tokens()
    if arguments.json:
        sys.stdout.write(json.dumps({"tokens": [{**asdict(token), **_terms(token)} for token in found]}) + "\n")
    elif found:
        _show(found)
    else:
        sys.stdout.write("No tokens.\n")
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """End tokens."""
    if _is_administrators(arguments):
        return _revoke_anybodys(arguments)
    if not arguments.id:
        raise CommandError("no token is named", "'slurm-gateway tokens list' shows the ids.", exit_code=2)
    ended = []
    try:
        with person.gateway_of(arguments) as gateway:
            for token in arguments.id:
                gateway.revoke_token(token)
                ended.append(token)
    except GatewayError as error:
        if error.reason == "not_found":
            done = f" Ended by now: {', '.join(ended)}." if ended else ""
            raise CommandError(f"you have no token {token}", f"'slurm-gateway tokens list' shows yours.{done}") from error
        raise
    sys.stdout.write(json.dumps({"ended": ended}) + "\n" if arguments.json else "".join(f"{token}: ended\n" for token in ended))
    return 0


def _revoke_anybodys(arguments: argparse.Namespace) -> int:
    from gateway.cli import everybodys_tokens  # noqa: PLC0415 - see show

    if bool(arguments.id) == (arguments.user is not None):
        raise CommandError("either the id of a token or --user is needed", "'slurm-gateway tokens list' shows the ids.", exit_code=2)
    for token in arguments.id or [None]:
        everybodys_tokens.revoke(argparse.Namespace(**(vars(arguments) | {"id": token})))
    return 0


def _is_administrators(arguments: argparse.Namespace) -> bool:
    """Tell whether everybody's tokens are meant, in the store; raise CommandError if the command line says both."""
    mine = arguments.site is not None or arguments.token_file is not None
    if arguments.config is not None and not mine:
        return True
    if arguments.user is not None:
        raise CommandError("--user is the administrator's", "Name the gateway's configuration (--config), and no --site.", exit_code=2)
    return False


def _terms(token: MadeToken | PersonalToken) -> dict[str, Any]:
    return {"expires_at": token.expires_at, "scopes": list(token.scopes), "networks": list(token.networks)}


def _show(found: list[PersonalToken]) -> None:
    from gateway.cli.tables import Column, When, show  # noqa: PLC0415 - after the request
    from gateway.cli.times import moment  # noqa: PLC0415 - likewise

    columns = (
        Column(heading="ID"),
        Column(heading="NAME", least=8),
        Column(heading="SCOPES", least=8, rank=1),
        Column(heading="NETWORKS", least=8, rank=3),
        Column(heading="LAST USED", rank=2),
        Column(heading="EXPIRES"),
    )

    show(
        columns,
        [
            (
                token.id,
                token.name,
                ", ".join(token.scopes),
                ", ".join(token.networks),
                When(seconds=moment(token.last_used_at)),
                When(seconds=moment(token.expires_at)),
            )
            for token in found
        ],
    )


def _write(gateway: Gateway, file: Path, made: MadeToken) -> None:
    """Write a token to a new file, and to no program; a token that cannot be kept is ended again."""
    try:
        create_file(file, made.token.reveal() + b"\n")
    except OSError as error:
        ended = "The token was ended again."
        try:
            gateway.revoke_token(made.id)
        except GatewayError:
            ended = f"The token could not be ended again: 'slurm-gateway tokens revoke {made.id}' does it."
        hint = f"{ended} Name a new file in a folder that you may write to."
        raise CommandError(f"{file} cannot be written: {error.strerror}", hint) from error


def _seconds(said: str | None) -> int | None:
    from gateway.cli import times  # noqa: PLC0415 - only what is made has an end

    return None if said is None else times.duration(said)

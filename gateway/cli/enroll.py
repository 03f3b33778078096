"""``slurm-gateway enroll USER``: a second factor for a user, or a ticket for one, shown once: as a QR code on a terminal, as JSON to a program."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import segno

from gateway.cli.configuration import key_ring
from gateway.cli.people import People, Task, note, on_store, prepare
from gateway.errors import CommandError
from gateway.sessions.enrolling import Ticket, new_ticket
from gateway.signin.enrolment import NAME, Enrolled, enrol, is_name
from gateway.signin.ways import ADMINISTRATOR, TICKET, open_ways
from gateway.store.sealing import KeyRingFile


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("enroll", help="give a user a second factor, or a ticket for one", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.add_argument("--name", metavar="NAME", help=f"what to call it ({NAME}); one more, if the user has others")
    parser.add_argument("--another", action="store_true", help="one more, though the user has one already")
    parser.add_argument("--ticket", action="store_true", help="print a ticket instead, with which the user enrols once (enroll-me --ticket)")
    parser.add_argument(
        "--json", action="store_true", help='print {"id", "name", "secret", "otpauth_uri", "recovery_codes"}, or {"ticket", "expires_at"}'
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Enrol, or issue a ticket, and show what the person needs; nothing of it can be shown again."""
    if arguments.name is not None and not is_name(arguments.name):
        raise CommandError(f"{arguments.name!r} is no name", "Give 1 to 64 letters, digits, blanks, '.', '_' and '-'.", exit_code=2)
    task = prepare(arguments)
    way = TICKET if arguments.ticket else ADMINISTRATOR
    if way not in task.config.enrolment.ways:
        raise CommandError("this way of enrolling is switched off (enrolment.ways)", open_ways(task.config.enrolment.ways))
    return _ticket(task, arguments) if arguments.ticket else _enroll(task, arguments)


def _enroll(task: Task, arguments: argparse.Namespace) -> int:
    key_ring(task.config)
    seal = KeyRingFile(task.config.store.key_ring_file)
    more = arguments.another or arguments.name is not None
    note(task, "enrol")

    async def action(people: People) -> Enrolled | None:
        return await enrol(
            people.authenticators,
            seal,
            username=task.user,
            issuer=task.config.totp.issuer,
            now=time.time(),
            name=arguments.name,
            most=task.config.enrolment.max_authenticators if more else 1,
        )

    enrolled = on_store(task.config, action)
    if enrolled is None:
        raise _already(task, arguments.name if more else None)
    if arguments.json:
        fields = {"id": enrolled.id, "name": enrolled.name, "secret": enrolled.secret, "otpauth_uri": enrolled.otpauth_uri}
        sys.stdout.write(json.dumps({**fields, "recovery_codes": list(enrolled.recovery_codes)}) + "\n")
    else:
        sys.stdout.write(_for_people(task.user, enrolled, qr=sys.stdout.isatty()))
    return 0


def _already(task: Task, name: str | None) -> CommandError:
    note(task, "refusal", reason="already_enrolled")
    if name is not None:
        return CommandError(f"{task.user} has a second factor called {name} already, or no room for one more", "Choose another name, or remove one.")
    hint = f"To replace it: slurm-gateway disenroll {task.user}, then enroll again. For one more: enroll {task.user} --another."
    return CommandError(f"{task.user} has a second factor already", hint)


def _ticket(task: Task, arguments: argparse.Namespace) -> int:
    now = time.time()
    ticket = new_ticket(task.user, lifetime=task.config.enrolment.ticket_lifetime, now=now)
    note(task, "ticket_issued")

    async def action(people: People) -> Ticket | None:
        has = any(row.confirmed_at is not None for row in await people.authenticators.of(task.user))
        if has and not (arguments.another or arguments.name is not None):
            return None
        await people.tickets.add(ticket.row)
        return ticket

    if on_store(task.config, action) is None:
        raise _already(task, None)
    until = datetime.fromtimestamp(int(ticket.row.expires_at), UTC).isoformat().replace("+00:00", "Z")
    if arguments.json:
        sys.stdout.write(json.dumps({"ticket": ticket.text, "expires_at": until}) + "\n")
    else:
        sys.stdout.write(
            f"Ticket of {task.user}, good once until {until}; it is shown this once, and an earlier one is void.\n\n  {ticket.text}\n\n"
            "To redeem it: slurm-gateway enroll-me --ticket URL (it asks for the password and the ticket), or in curl as README.md says.\n"
        )
    return 0


def _for_people(user: str, enrolled: Enrolled, *, qr: bool) -> str:
    picture = f"{_qr_code(enrolled.otpauth_uri)}\n" if qr else ""
    return (
        f"Second factor of {user}. Scan it with an authenticator app, or type the secret; it is shown this once.\n\n"
        f"{picture}secret:  {enrolled.secret}\naddress: {enrolled.otpauth_uri}\n\n{recovery_text(enrolled.recovery_codes)}"
    )


def recovery_text(codes: tuple[str, ...]) -> str:
    """Return recovery codes as they are shown to people."""
    lines = "\n".join(f"  {code}" for code in codes)
    return f"Recovery codes, each good once instead of a code, for the day the telephone is lost; earlier ones are void:\n{lines}\n"


def _qr_code(uri: str) -> str:
    text = io.StringIO()
    segno.make(uri, error="l").terminal(out=text, compact=True)
    return text.getvalue()

"""``slurm-gateway enroll USER``: a second factor for a user, shown once: as a QR code on a terminal, as JSON to a program."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from typing import Any

import segno

from gateway.cli.configuration import key_ring
from gateway.cli.people import People, note, on_store, prepare
from gateway.errors import CommandError
from gateway.signin.enrolment import Enrolled, enrol


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("enroll", help="give a user a second factor", description=__doc__)
    parser.add_argument("user", metavar="USER", help="the user as Slurm and the directory spell it")
    parser.add_argument("--json", action="store_true", help='print {"secret", "otpauth_uri", "recovery_codes"}')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Enrol and show what the person needs; nothing of it can be shown again."""
    task = prepare(arguments)
    ring = key_ring(task.config)
    note(task, "enrol")

    async def action(people: People) -> Enrolled | None:
        return await enrol(people.authenticators, ring, username=task.user, issuer=task.config.totp.issuer, now=time.time())

    enrolled = on_store(task.config, action)
    if enrolled is None:
        note(task, "refusal", reason="already_enrolled")
        raise CommandError(f"{task.user} has a second factor already", f"To replace it: slurm-gateway disenroll {task.user}, then enroll again.")
    if arguments.json:
        fields = {"secret": enrolled.secret, "otpauth_uri": enrolled.otpauth_uri, "recovery_codes": list(enrolled.recovery_codes)}
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        sys.stdout.write(_for_people(task.user, enrolled, qr=sys.stdout.isatty()))
    return 0


def _for_people(user: str, enrolled: Enrolled, *, qr: bool) -> str:
    codes = "\n".join(f"  {code}" for code in enrolled.recovery_codes)
    picture = f"{_qr_code(enrolled.otpauth_uri)}\n" if qr else ""
    return (
        f"Second factor of {user}. Scan it with an authenticator app, or type the secret; it is shown this once.\n\n"
        f"{picture}secret:  {enrolled.secret}\naddress: {enrolled.otpauth_uri}\n\n"
        f"Recovery codes, each good once instead of a code, for the day the telephone is lost:\n{codes}\n"
    )


def _qr_code(uri: str) -> str:
    text = io.StringIO()
    segno.make(uri, error="l").terminal(out=text, compact=True)
    return text.getvalue()

"""``slurm-gateway audit``: verify the trail, ask it who is behind a job, read it, put it away, and show the key that it is signed with."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from gateway.cli import audit_reading, audit_verify
from gateway.cli.audit_files import audit_key, trail_path
from gateway.cli.configuration import EXIT_CONFIGURATION, configuration
from gateway.cli.people import open_trail, user_name
from gateway.cli.privileges import act_as_owner_of, operator
from gateway.errors import CommandError, Refusal
from gateway.observe.audit import Event


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("audit", help="verify and read the audit trail: who did what", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    verify = actions.add_parser("verify", help="say whether a line was changed, added or taken away", description=audit_verify.__doc__)
    verify.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="files of one trail; without any, the configured one and what it was rotated to"
    )
    verify.add_argument(
        "--public-key",
        action="append",
        type=Path,
        metavar="FILE",
        help="a key that heads may be signed with (PEM); with FILEs no configuration is needed",
    )
    verify.add_argument("--json", action="store_true", help="print what was found as JSON")
    verify.set_defaults(run=audit_verify.run)

    job = actions.add_parser("job", help="who started a job, from where, with which factors, and who else touched it")
    job.add_argument("job_id", type=int, metavar="ID", help="the job's number")
    job.add_argument("--cluster", metavar="NAME", help="only on this cluster")
    job.add_argument("--json", action="store_true", help="print the trail's own lines as JSON")
    job.set_defaults(run=audit_reading.job)

    show = actions.add_parser("show", help="print the trail, or some of it")
    show.add_argument("--user", type=user_name, metavar="USER", help="only what USER did, or was done to USER")
    show.add_argument("--event", metavar="EVENT", help="only events of this kind")
    show.add_argument("--since", metavar="WHEN", help='only from then on: "1h", "7d" ago, or 2026-01-31T08:00:00Z')
    show.add_argument("--json", action="store_true", help="print the trail's own lines")
    show.set_defaults(run=audit_reading.show)

    away = actions.add_parser("rotate", help="sign the head, put the file away under a name with the time, begin the next")
    away.add_argument("--json", action="store_true", help='print {"file"}, null if there was nothing to put away')
    away.set_defaults(run=rotate)
    key = actions.add_parser("key", help="print the public key that the trail is signed with")
    key.add_argument("--json", action="store_true", help="print it as JSON")
    key.set_defaults(run=show_key)


def rotate(arguments: argparse.Namespace) -> int:
    """Put the file away; the gateway need not be told, and the chain goes on in the next file."""
    config = configuration(arguments)
    path, by = trail_path(config), operator()
    act_as_owner_of(config.store.key_ring_file.parent)
    if path.exists() and not path.is_file():
        raise CommandError(
            f"audit.file: {path} is no plain file, and nothing else is chained and rotated",
            "Name a plain file in audit.file.",
            exit_code=EXIT_CONFIGURATION,
        )
    try:
        trail = open_trail(config)
        try:
            name = trail.rotate()
            if name is not None:
                trail.write_now(Event(event="audit_rotate", at=time.time(), by=by, address="local", name=name.name))
        finally:
            trail.close()
    except Refusal as refusal:
        raise CommandError(
            f"audit.file: {refusal.cause}", "Run this as the gateway's user or as root, and see that the folder is writable."
        ) from None
    words = f"{name}\n" if name is not None else f"{path}: nothing is in it\n"
    sys.stdout.write(json.dumps({"file": None if name is None else str(name)}) + "\n" if arguments.json else words)
    return 0


def show_key(arguments: argparse.Namespace) -> int:
    """Print the public key and its fingerprint, which stands in each signed head."""
    config = configuration(arguments)
    act_as_owner_of(config.store.key_ring_file.parent)
    key = audit_key(config)
    if arguments.json:
        sys.stdout.write(json.dumps({"fingerprint": key.fingerprint, "public_key": key.public.pem()}) + "\n")
    else:
        sys.stdout.write(f"{key.public.pem()}fingerprint: {key.fingerprint}\n")
    return 0

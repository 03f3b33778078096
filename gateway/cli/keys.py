"""``slurm-gateway keys init``: make the key ring that seals the second factors and the key that signs the audit trail, once."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli.configuration import EXIT_CONFIGURATION, configuration, key_ring
from gateway.cli.privileges import act_as_owner_of
from gateway.config import Config, SecretFileError
from gateway.errors import CommandError
from gateway.observe.audit import audit_key_file, load_audit_key
from gateway.observe.audit.keys import new_audit_key
from gateway.store.sealing import new_key_ring


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("keys", help="make the keys that seal the second factors", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("init", help="write the key ring unless it is there").set_defaults(run=init)


def init(arguments: argparse.Namespace) -> int:
    """Write the key ring; what is there already is checked and kept."""
    config = configuration(arguments)
    path = config.store.key_ring_file
    act_as_owner_of(path.parent)
    try:
        written = new_key_ring(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", "Make its folder, and let the gateway's user write to it.") from None
    if not written:
        key_ring(config)
    sys.stdout.write(
        f"{path}: {'written; back it up, for without it every second factor is lost' if written else 'was there already, and is kept'}\n"
    )
    _make_audit_key(config)
    return 0


def _make_audit_key(config: Config) -> None:
    """Write the key that signs the audit trail; what is there already is checked and kept."""
    path = audit_key_file(config.audit, config.store)
    try:
        written = new_audit_key(path)
        key = load_audit_key(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", "Make its folder, and let the gateway's user write to it.") from None
    except SecretFileError as error:
        raise CommandError(
            f"audit.key_file: {error}", "Restore it from a backup, or take it away for a new one.", exit_code=EXIT_CONFIGURATION
        ) from None
    sys.stdout.write(f"{path}: {'written' if written else 'was there already, and is kept'}; it signs the audit trail as {key.fingerprint}\n")

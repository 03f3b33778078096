"""``slurm-gateway keys``: make, list and replace the keys that seal the second factors; the running gateway follows by itself."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.cli.configuration import EXIT_CONFIGURATION, configuration, key_ring, unusable
from gateway.cli.people import Task, note
from gateway.cli.privileges import act_as_owner_of, operator
from gateway.cli.storage import on_database
from gateway.config import Config, SecretFileError
from gateway.errors import CommandError
from gateway.observe.audit import audit_key_file, load_audit_key
from gateway.observe.audit.keys import new_audit_key
from gateway.store.migrate import home
from gateway.store.resealing import Resealed, reseal, rows_by_key
from gateway.store.sealing import RingEditor, new_key_ring

# Whoever read the ring just before a key was taken out has sealed and stored within this time.
_STRAGGLERS = 1.0
# On long work something is said this often, in seconds.
_TELL_EVERY = 2.0


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("keys", help="make, list and replace the keys that seal the second factors", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, run, summary in (
        ("init", init, "write the key ring unless it is there"),
        ("list", show, "the keys by their ids, and how many secrets each seals"),
        ("stage", _edit(stage), "add a key that opens and does not seal yet: to be copied to the other nodes before it is used"),
        ("rotate", _edit(rotate), "seal every secret anew: under the newest staged key, or under a new one"),
        ("prune", _edit(prune), "take out the keys that seal nothing any more"),
    ):
        action = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        action.add_argument("--json", action="store_true", help="print what was done as JSON")
        action.set_defaults(run=run)
        if name == "prune":
            action.add_argument("--dry-run", action="store_true", help="only say which they are")


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
    audit_key, fresh, fingerprint = _make_audit_key(config)
    words = (
        f"{path}: {'written; back it up, for without it every second factor is lost' if written else 'was there already, and is kept'}\n"
        f"{audit_key}: {'written' if fresh else 'was there already, and is kept'}; it signs the audit trail as {fingerprint}"
    )
    told = {"file": str(path), "written": written, "audit_key_file": str(audit_key), "audit_key_written": fresh, "fingerprint": fingerprint}
    _tell(arguments, told, words)
    return 0


def _make_audit_key(config: Config) -> tuple[Path, bool, str]:
    """Write the key that signs the audit trail, unless it is there; return where it is, whether it is new, and its fingerprint."""
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
    return path, written, key.fingerprint


def show(arguments: argparse.Namespace) -> int:
    """Print the keys in their order; then those that secrets are sealed under and the ring does not have."""
    config = configuration(arguments)
    act_as_owner_of(home(config.store))
    ring, seals = key_ring(config), on_database(config, rows_by_key)
    numbers = [*ring.keys, *sorted(set(seals) - set(ring.keys))]
    rows = [{"id": key, "first": key == ring.current, "in_ring": key in ring.keys, "secrets": seals[key]} for key in numbers]
    _tell(arguments, rows, "\n".join(_line(row) for row in rows))
    return 0


def _line(row: dict[str, object]) -> str:
    state = "is missing from the ring" if not row["in_ring"] else "seals" if row["first"] else "opens"
    return f"{row['id']}: {state}; {row['secrets']} secret(s) sealed under it"


def stage(arguments: argparse.Namespace, task: Task, editor: RingEditor) -> int:
    """Add a key at the end of the ring."""
    note(task, "keys_stage")
    key = editor.stage()
    words = (
        f"{key} was added and opens; it seals after 'slurm-gateway keys rotate'. Copy {task.config.store.key_ring_file} to every other node first."
    )
    _tell(arguments, {"key": key}, words)
    return 0


def rotate(arguments: argparse.Namespace, task: Task, editor: RingEditor) -> int:
    """Let another key be the first, and seal everything anew under it."""
    note(task, "keys_rotate")
    key = editor.staged() or editor.stage()
    # It is in the file before anything is sealed under it: whoever meets such a seal looks there.
    editor.promote(key)
    ring = editor.ring
    done: Resealed = on_database(task.config, lambda database: reseal(database, ring, _progress()))
    words = f"{key} seals from now on; {done.count} secret(s) were sealed anew. Copy {task.config.store.key_ring_file} to every other node."
    _tell(arguments, {"key": key, "resealed": done.count, "broken": list(done.broken)}, words)
    if done.broken:
        raise CommandError(
            f"{len(done.broken)} secret(s) cannot be opened by any key and were left: {', '.join(done.broken)}",
            "Put the key that is missing back into the ring and rotate again, or enrol their owners anew.",
        )
    return 0


def prune(arguments: argparse.Namespace, task: Task, editor: RingEditor) -> int:
    """Take out what seals nothing; the first key stays, and so does one that is staged for the next rotation."""
    seals: Counter[str] = on_database(task.config, rows_by_key)
    first, *others = editor.ring.keys
    idle = [key for key in others if not seals[key] and not editor.is_staged(key)]
    if not arguments.dry_run and idle:
        note(task, "keys_prune")
        before = editor.drop(idle)
        time.sleep(_STRAGGLERS)
        late = sorted(set(on_database(task.config, rows_by_key)) & set(idle))
        if late:
            editor.restore(before)
            raise CommandError(f"something was sealed under {', '.join(late)} meanwhile; the ring is as it was", "Rotate again, then prune.")
    kept = [first, *(key for key in others if key not in idle)]
    verb = "would be taken out" if arguments.dry_run else "taken out"
    words = f"{verb}: {', '.join(idle) or 'none'}; kept: {', '.join(kept)}"
    _tell(arguments, {"dropped": idle, "kept": kept, "dry_run": arguments.dry_run}, words)
    return 0


def _edit(action: Callable[[argparse.Namespace, Task, RingEditor], int]) -> Callable[[argparse.Namespace], int]:
    """Return the command that lets ``action`` change the ring, alone, as the gateway's own user."""

    def run(arguments: argparse.Namespace) -> int:
        task = Task(user="", config=configuration(arguments), by=operator())
        act_as_owner_of(home(task.config.store))
        path = task.config.store.key_ring_file
        try:
            with RingEditor(path) as editor:
                return action(arguments, task, editor)
        except SecretFileError as error:
            raise unusable("store.key_ring_file", path, error) from None
        except BlockingIOError:
            raise CommandError(f"{path}: another command is changing it", "Wait until that is done.") from None
        except OSError as error:
            raise CommandError(
                f"{path} cannot be replaced: {error.strerror}", "Its folder must be there, and writable for the gateway's user."
            ) from None

    return run


def _tell(arguments: argparse.Namespace, fields: object, words: str) -> None:
    sys.stdout.write((json.dumps(fields) if arguments.json else words) + "\n")


def _progress() -> Callable[[int], None]:
    told = time.monotonic()

    def progress(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_EVERY:
            told = time.monotonic()
            sys.stderr.write(f"{done} sealed anew so far\n")

    return progress

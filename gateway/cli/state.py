"""``slurm-gateway state``: back up what the store holds, and restore it, into the same or another database."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from gateway.cli.configuration import configuration, key_ring
from gateway.cli.people import Task, note
from gateway.cli.privileges import act_as_owner_of, operator
from gateway.cli.storage import on_database
from gateway.errors import CommandError
from gateway.store.backup import BackupError, NotEmptyError, Outcome, Reader, Wanted, require_empty, restore, survey, write_backup
from gateway.store.engine import Database
from gateway.store.migrate import home, newest_revision

# Seconds that reading or writing the whole store may take.
_LONGEST = 3600.0
_A_BACKUP = "Name the file that 'slurm-gateway state backup' wrote."


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("state", help="back up and restore the store", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    save = actions.add_parser("backup", help="write a backup", description="Write a backup of the store, as it is at one moment, to FILE.")
    load = actions.add_parser(
        "restore", help="restore a backup", description="Restore the backup in FILE; until all of it is good, nothing is changed."
    )
    for action, run in ((save, _backup), (load, _restore)):
        action.add_argument("file", metavar="FILE", type=Path)
        action.add_argument("--json", action="store_true", help="print what was done as JSON")
        action.set_defaults(run=run)
    load.add_argument("--replace", action="store_true", help="take out what the store holds")
    load.add_argument("--dry-run", action="store_true", help="only say what would be done")
    load.add_argument("--with-sessions", action="store_true", help="restore sessions too: one that was ended since the backup lives again")
    load.add_argument("--with-tokens", action="store_true", help="restore personal tokens too: one that was ended since the backup lives again")
    load.add_argument(
        "--with-recovery-codes", action="store_true", help="restore recovery codes too: one that was used since the backup is good again"
    )


def _backup(arguments: argparse.Namespace) -> int:
    task = _task(arguments)
    note(task, "state_backup")
    draft = arguments.file.with_name(f".{arguments.file.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                counts = on_database(task.config, lambda database: _write(database, arguments.file, file), limit=_LONGEST)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(arguments.file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _flush_folder(arguments.file.parent)
    except OSError as error:
        raise _cannot_be_written(arguments.file, error) from None
    ring = task.config.store.key_ring_file
    words = (
        f"{arguments.file}: {sum(counts.values())} row(s), {_listed(counts)}\n"
        f"Not in it, and needed with it: the key ring {ring}, the configuration and the keys that it names. Keep the ring apart from the backup."
    )
    _tell(arguments, {"file": str(arguments.file), "rows": counts}, words)
    return 0


async def _write(database: Database, path: Path, file: BinaryIO) -> Mapping[str, int]:
    def write(line: bytes) -> None:
        try:
            file.write(line)
        except OSError as error:
            # Named here, for what fails within a question would be taken for a failure of the store.
            raise _cannot_be_written(path, error) from None

    return await write_backup(database, write, revision=newest_revision(), now=time.time())


def _cannot_be_written(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path} cannot be written: {error.strerror}", "Name a file in a folder that the gateway's user may write to.")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _restore(arguments: argparse.Namespace) -> int:
    wanted = Wanted(sessions=arguments.with_sessions, tokens=arguments.with_tokens, recovery_codes=arguments.with_recovery_codes)
    # Opened by whoever runs this, for it may lie where the gateway's user cannot look.
    with _opened(arguments.file) as file:
        task = _task(arguments)
        reader, now = Reader(file, newest_revision()), time.time()
        try:
            outcome = survey(reader, wanted, now)
            _require_keys(task, outcome)
            if not arguments.dry_run:
                note(task, "state_restore")
                outcome = on_database(
                    task.config, lambda database: restore(database, reader, wanted, replace=arguments.replace, now=now), limit=_LONGEST
                )
            elif not arguments.replace:
                on_database(task.config, require_empty)
        except BackupError as error:
            raise CommandError(f"{arguments.file} cannot be restored: {error}", "Nothing was changed. Name another backup.") from None
        except NotEmptyError:
            raise CommandError(
                "the store is not empty", "Nothing was changed. With --replace, what it holds is taken out first: back that up before."
            ) from None
    _tell(arguments, _fields(arguments, outcome), _words(arguments, outcome))
    return 0


def _opened(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", _A_BACKUP) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise CommandError(f"{path} is no plain file", _A_BACKUP)
    if status.st_mode & 0o022:
        os.close(descriptor)
        raise CommandError(
            f"{path} may be written to by others (mode {stat.S_IMODE(status.st_mode):04o})",
            "Whoever can change a backup can sign in after it is restored: chmod 0600 it.",
        )
    return os.fdopen(descriptor, "rb")


def _require_keys(task: Task, outcome: Outcome) -> None:
    missing = outcome.keys - set(key_ring(task.config).keys)
    if missing:
        raise CommandError(
            f"secrets of the backup are sealed under keys that {task.config.store.key_ring_file} does not have: {', '.join(sorted(missing))}",
            "Nothing was changed. Bring the key ring that belongs to the backup first.",
        )


def _fields(arguments: argparse.Namespace, outcome: Outcome) -> dict[str, object]:
    return {"dry_run": arguments.dry_run, "restored": outcome.restored, "left_out": outcome.left_out, "made_at": outcome.made_at}


def _words(arguments: argparse.Namespace, outcome: Outcome) -> str:
    made = datetime.fromtimestamp(outcome.made_at, UTC).isoformat(timespec="seconds")
    verb = "would be restored" if arguments.dry_run else "restored"
    return (
        f"{arguments.file} of {made}: {_listed(outcome.restored)} {verb}; left out: {_listed(outcome.left_out)}\n"
        "One-time codes of the last minutes count as used: sign in with the one after the next. "
        "Sessions, personal tokens and recovery codes are left out unless they are asked for (--with-…), tickets always: "
        "what was ended or used since the backup would be good again.\n"
        "Second factors that were taken away since the backup are back: take them away again (disenroll)."
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"


def _task(arguments: argparse.Namespace) -> Task:
    task = Task(user="", config=configuration(arguments), by=operator())
    act_as_owner_of(home(task.config.store))
    return task


def _tell(arguments: argparse.Namespace, fields: object, words: str) -> None:
    sys.stdout.write((json.dumps(fields) if arguments.json else words) + "\n")

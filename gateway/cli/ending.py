"""What ``sessions`` and ``tokens`` share: listing what people have, and ending one of it or all that somebody has."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.cli.people import People, note, on_store, prepare
from gateway.cli.table import document, table
from gateway.errors import CommandError
from gateway.store.sessions import SESSION, SessionRow

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of what the sessions' table has, and how it is spoken of; ``columns`` are those of the table for people."""

    kind: str
    noun: str
    event: str
    columns: Sequence[str]
    shown: Callable[[SessionRow], dict[str, object]]


def add_user_option(parser: argparse.ArgumentParser) -> None:
    """Let the command be for one person."""
    parser.add_argument("--user", metavar="USER", help="of this user, as Slurm spells it")


def add_ending(parser: argparse.ArgumentParser) -> None:
    """Let the command name one by its id, or a person for all that they have."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("id", metavar="ID", nargs="?", help="its id, as 'list' shows it")
    what.add_argument("--user", metavar="USER", help="all of this user, as Slurm spells it")
    parser.add_argument("--json", action="store_true", help='print {"user", "ended"}')


def show(arguments: argparse.Namespace, kind: Kind) -> int:
    """List what is there, newest first."""
    task, now = prepare(arguments), time.time()

    async def action(people: People) -> tuple[SessionRow, ...]:
        return await people.sessions.of(kind.kind, task.user or None)

    rows = [kind.shown(row) for row in on_store(task.config, action) if is_alive(row, now, task.config.sessions.idle)]
    if arguments.json:
        sys.stdout.write(document({f"{kind.noun}s": rows}))
    elif rows:
        sys.stdout.write(table(kind.columns, [[row[column] for column in kind.columns] for row in rows]))
    else:
        sys.stdout.write(f"no {kind.noun}s\n")
    return 0


def end(arguments: argparse.Namespace, kind: Kind) -> int:
    """End one, or all of a person; running workers refuse it within a second."""
    task = prepare(arguments)
    if arguments.id is None:
        note(task, f"{kind.noun}s_ended")

        async def all_of(people: People) -> int:
            return await people.sessions.end_all_of(task.user, kind=kind.kind)

        _tell(arguments, kind, task.user, on_store(task.config, all_of))
        return 0
    if _ID.fullmatch(arguments.id) is None:
        raise CommandError(f"{arguments.id!r} is no id", f"'slurm-gateway {kind.noun}s list' shows the ids.", exit_code=2)

    async def one(people: People) -> SessionRow | None:
        row = next((row for row in await people.sessions.of(kind.kind) if row.id == arguments.id), None)
        if row is not None:
            note(replace(task, user=row.username), kind.event, target=row.id, name=row.name or None)
            await people.sessions.end(row.id, kind=kind.kind)
        return row

    row = on_store(task.config, one)
    if row is None:
        hint = f"It may have ended already; 'slurm-gateway {kind.noun}s list' shows those that there are."
        raise CommandError(f"there is no {kind.noun} {arguments.id}", hint)
    _tell(arguments, kind, row.username, 1)
    return 0


def _tell(arguments: argparse.Namespace, kind: Kind, user: str, ended: int) -> None:
    sys.stdout.write(document({"user": user, "ended": ended}) if arguments.json else f"{user}: {ended} {kind.noun}(s) ended\n")


def is_alive(row: SessionRow, now: float, idle: float) -> bool:
    """Tell whether a row could still be used."""
    return now < row.expires_at and (row.kind != SESSION or now < row.last_used_at + idle)

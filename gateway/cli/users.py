"""``slurm-gateway users list | show | unlock | end``: the people that the gateway knows."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from gateway.cli.ending import is_alive
from gateway.cli.people import People, note, on_store, prepare
from gateway.cli.table import document, stamp, table
from gateway.config import Config
from gateway.errors import CommandError
from gateway.signin import throttle
from gateway.store.people import Person
from gateway.store.sessions import SESSION, TOKEN

_COUNTS = ("authenticators", "recovery_codes", "sessions", "tokens")

# Of so many addresses at most it is looked whether somebody has to wait there.
_ADDRESSES = 100


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("users", help="list the people that the gateway knows, unlock them, end what they have", description=__doc__)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list everybody who has or had something here")
    listing.add_argument("--json", action="store_true", help='print {"users": […]}')
    listing.set_defaults(run=show_all, user=None)
    for name, run, summary, printed in (
        ("show", show_one, "show what the gateway knows of a user", "it as a JSON object"),
        ("unlock", unlock, "forget a user's failed sign-ins", '{"user", "forgotten"}'),
        ("end", end, "end all sessions and personal tokens of a user", '{"user", "ended"}'),
    ):
        one = actions.add_parser(name, help=summary)
        one.add_argument("user", metavar="USER", help="the user as Slurm spells it")
        one.add_argument("--json", action="store_true", help=f"print {printed}")
        one.set_defaults(run=run)


def show_all(arguments: argparse.Namespace) -> int:
    """List everybody."""
    task, now = prepare(arguments), time.time()

    async def action(people: People) -> list[dict[str, object]]:
        everybody = await people.known.everybody(now, task.config.sessions.idle)
        return [{**_counts(person), "locked_until": stamp(await _locked_until(people, task.config, person.username, now))} for person in everybody]

    users = on_store(task.config, action)
    columns = ("user", *_COUNTS, "locked_until")
    if arguments.json:
        sys.stdout.write(document({"users": users}))
    else:
        sys.stdout.write(table(columns, [[user[column] for column in columns] for user in users]))
    return 0


def show_one(arguments: argparse.Namespace) -> int:
    """Show somebody."""
    task, now = prepare(arguments), time.time()

    async def action(people: People) -> dict[str, object] | None:
        return await _known_of(people, task.config, task.user, now)

    told = on_store(task.config, action)
    if told is None:
        raise CommandError(f"the gateway knows no {task.user}", "Check the spelling: it is Slurm's, with its capitals.")
    sys.stdout.write(document(told) if arguments.json else _for_people(told))
    return 0


def unlock(arguments: argparse.Namespace) -> int:
    """Forget failures, in every spelling of the name, and say how many."""
    task = prepare(arguments)
    note(task, "unlock")
    keys = throttle.keys_of(task.user.casefold())

    async def action(people: People) -> int:
        failures = await people.known.failures(keys)
        await people.attempts.unlock(keys)
        return failures

    forgotten = on_store(task.config, action)
    words = f"{task.user}: {forgotten} failed attempt(s) forgotten\n"
    sys.stdout.write(document({"user": task.user, "forgotten": forgotten}) if arguments.json else words)
    return 0


def end(arguments: argparse.Namespace) -> int:
    """End everything that somebody has."""
    task = prepare(arguments)
    note(task, "sessions_ended")

    async def action(people: People) -> int:
        return await people.sessions.end_all_of(task.user)

    ended = on_store(task.config, action)
    words = f"{task.user}: {ended} session(s) and token(s) ended\n"
    sys.stdout.write(document({"user": task.user, "ended": ended}) if arguments.json else words)
    return 0


def _counts(person: Person) -> dict[str, object]:
    return {"user": person.username, **{name: getattr(person, name) for name in _COUNTS}}


async def _locked_until(people: People, config: Config, username: str, now: float) -> float | None:
    """Return until when somebody has to wait somewhere: at an address that has failed too often, at new ones, or for a code; None when nowhere."""
    account, settings = username.casefold(), config.throttle
    limits = [limit for limit in throttle.password_limits(settings, account, "", known=False) if limit.scope == throttle.ACCOUNT]
    for key in await people.known.keys_under(throttle.ACCOUNT_ADDRESS, f"{account}|", _ADDRESSES):
        limits += throttle.password_limits(settings, account, key.partition("|")[2], known=True)
    exceeded = await people.attempts.peek([*limits, *throttle.code_limits(settings, account)], now)
    return exceeded.free_at if exceeded is not None else None


async def _known_of(people: People, config: Config, username: str, now: float) -> dict[str, object] | None:
    person = next((person for person in await people.known.everybody(now, config.sessions.idle) if person.username == username), None)
    failures = await people.known.failures(throttle.keys_of(username.casefold()))
    if person is None and not failures:
        return None
    account = await people.accounts.find(username)
    rows = {kind: [row for row in await people.sessions.of(kind, username) if is_alive(row, now, config.sessions.idle)] for kind in (SESSION, TOKEN)}
    return {
        "user": username,
        "uid": account.uid if account else None,
        "groups": sorted(account.groups) if account else None,
        "account_checked_at": stamp(account.checked_at) if account else None,
        "authenticators": [
            {
                "id": row.id,
                "name": row.name,
                "origin": row.origin,
                "created_at": stamp(row.created_at),
                "confirmed_at": stamp(row.confirmed_at),
                "last_used_at": stamp(row.last_used_at),
            }
            for row in await people.authenticators.of(username)
        ],
        "recovery_codes": person.recovery_codes if person else 0,
        "sessions": [{"id": row.id, "address": row.address, "last_used_at": stamp(row.last_used_at)} for row in rows[SESSION]],
        "tokens": [{"id": row.id, "name": row.name, "expires_at": stamp(row.expires_at)} for row in rows[TOKEN]],
        "failures": failures,
        "locked_until": stamp(await _locked_until(people, config, username, now)),
    }


def _for_people(told: dict[str, object]) -> str:
    """Return what is known as lines: plain values beside their names, lists as tables below."""
    lines = table(("what", "value"), [(name.replace("_", " "), value) for name, value in told.items() if not _is_table(value)])
    for name, value in told.items():
        if _is_table(value):
            columns = list(value[0])  # type: ignore[index]  # _is_table has looked
            lines += f"\n{name}:\n" + table(columns, [[row[column] for column in columns] for row in value])  # type: ignore[attr-defined]  # as above
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)

"""What ``enroll``, ``disenroll`` and ``recovery`` share: the store, brought up to date, and an audit line for what was done."""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.cli.configuration import configuration, unusable
from gateway.cli.privileges import act_as_owner_of, operator
from gateway.cli.storage import on_database
from gateway.config import Config, SecretFileError
from gateway.errors import CommandError, Refusal
from gateway.observe.audit import AuditTrail, Event, audit_key_file, load_audit_key
from gateway.slurm.names import is_well_formed
from gateway.store.accounts import AccountStore
from gateway.store.attempts import AttemptStore
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.migrate import home
from gateway.store.people import PeopleStore
from gateway.store.sessions import SessionStore
from gateway.store.tickets import TicketStore

_T = TypeVar("_T")


def user_name(text: str) -> str:
    """Return ``text`` if a Slurm user could be called that; raise CommandError otherwise."""
    if not is_well_formed(text):
        raise CommandError(f"{text!r} is no user name", "Give the name as Slurm spells it, in letters, digits, '.', '_' and '-'.", exit_code=2)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a command is to do something to, for whom (nobody in particular: ""), and on whose word."""

    user: str
    config: Config
    by: str


def prepare(arguments: argparse.Namespace) -> Task:
    """Read the user (none stands for everybody) and the configuration, and go on as the gateway's own user; raise CommandError."""
    user = "" if arguments.user is None else user_name(arguments.user)
    task = Task(user=user, config=configuration(arguments), by=operator())
    act_as_owner_of(home(task.config.store))
    return task


class People:
    """The stores that a command works on."""

    def __init__(self, database: Database) -> None:
        self.authenticators = AuthenticatorStore(database)
        self.sessions = SessionStore(database)
        self.accounts = AccountStore(database)
        self.attempts = AttemptStore(database)
        self.known = PeopleStore(database)
        self.tickets = TicketStore(database)


def on_store(config: Config, action: Callable[[People], Awaitable[_T]]) -> _T:
    """Run ``action`` on the store; raise CommandError when the store cannot be used."""
    return on_database(config, lambda database: action(People(database)))


def note(task: Task, event: str, *, reason: str | None = None, target: str | None = None, name: str | None = None) -> None:
    """Write to the audit trail what is about to be done; raise CommandError when it cannot be written.

    ``reason`` says why it was not done after all; ``target`` is the id of what it is done to, ``name`` what people call that.
    """
    what = Event(event=event, at=time.time(), user=task.user or None, by=task.by, address="local", reason=reason, target=target, name=name)
    try:
        trail = open_trail(task.config)
        try:
            trail.write_now(what)
        finally:
            trail.close()
    except Refusal as refusal:
        raise CommandError(f"audit.file: {refusal.cause}", "What cannot be written down is not done: make the audit file writable.") from None


def open_trail(config: Config) -> AuditTrail:
    """Return the gateway's audit trail, to write to; raise CommandError without its key, AuditUnavailable without its file."""
    if config.audit.file is None:
        return AuditTrail(None)
    key_file = audit_key_file(config.audit, config.store)
    try:
        return AuditTrail(config.audit.file, load_audit_key(key_file))
    except SecretFileError as error:
        raise unusable("audit.key_file", key_file, error) from None

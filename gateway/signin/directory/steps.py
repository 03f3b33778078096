"""What ``directory check`` finds, step by step: each server, the base, the groups, and one person. No password of anybody's is involved."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

import ldap

from gateway.config import Directory as Settings
from gateway.errors import DirectoryUnavailable
from gateway.signin.account import REQUIRED, Account
from gateway.signin.directory.groups import configured
from gateway.signin.directory.ldap_directory import FAILURES, connect, greet
from gateway.signin.directory.link import Link, Search, describe
from gateway.signin.directory.names import spelling
from gateway.signin.directory.people import Found, People
from gateway.slurm.names import NameRules, Subject

_DAY = 86400
_SOON = 30 * _DAY
_HINTS = {
    "domain_foreign": "The domain is none of directory.domains; add it there if its users are yours.",
    "user_unknown": "Nobody below directory.user_base matches directory.user_filter and has this name in directory.login_attribute.",
    "user_ambiguous": "Several entries have this name: narrow directory.user_base or directory.user_filter.",
    "name_missing_or_ambiguous": "The entry needs exactly one value, in ASCII, of directory.name_attribute that the service account may read.",
    "uid_missing_or_malformed": "The entry needs exactly one number as directory.uid_attribute that the service account may read.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at: all well, a note, or a failure with what to do about it."""

    outcome: Literal["ok", "note", "failed"]
    step: str
    found: str
    hint: str | None = None


async def look(settings: Settings, names: NameRules, typed: str | None, clock: Callable[[], float]) -> AsyncIterator[Step]:
    """Yield what is found, in the order of looking; what needs a server is asked of the first one that serves."""
    serving: Link | None = None
    try:
        for url in settings.urls:
            steps, link = await _server(url, settings, clock())
            for step in steps:
                yield step
            if link is not None and serving is None:
                serving = link
            elif link is not None:
                link.close()
        if serving is None:
            yield Step(outcome="failed", step="directory", found="no server serves", hint="See the lines above.")
            return
        for step in [await _base(serving, settings), *await _groups(serving, settings)]:
            yield step
        if typed is not None:
            for step in await _person(serving, settings, names, typed, clock):
                yield step
    finally:
        if serving is not None:
            serving.close()


async def _server(url: str, settings: Settings, now: float) -> tuple[list[Step], Link | None]:
    """Connect and bind the service account; return what came of it, and the link if it may search."""
    try:
        link = await connect(url, settings)
    except FAILURES as error:
        hint = "Is the server running, is its port open from here, and does its certificate chain to directory.ca_file and bear this very name?"
        return [Step(outcome="failed", step=f"connect {url}", found=describe(error), hint=hint)], None
    steps = [_connected(url, link, now)]
    who = settings.bind_dn or "nobody (anonymously)"
    try:
        await greet(link, settings)
    except FAILURES as error:
        link.close()
        hint = "See directory.bind_dn, and that directory.bind_password_file holds the password of this account and is the gateway's user's alone."
        return [*steps, Step(outcome="failed", step=f"bind {url}", found=f"{who}: {describe(error)}", hint=hint)], None
    return [*steps, Step(outcome="ok", step=f"bind {url}", found=f"as {who}")], link


def _connected(url: str, link: Link, now: float) -> Step:
    certificate = link.wire.certificate
    if certificate is None:
        return Step(outcome="note", step=f"connect {url}", found="without TLS", hint="Passwords cross this connection in the clear.")
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // _DAY)
    found = f"TLS; the certificate expires {certificate['notAfter']}, in {days} days"
    if days * _DAY < _SOON:
        return Step(outcome="note", step=f"connect {url}", found=found, hint="Renew it, or nobody can sign in from then on.")
    return Step(outcome="ok", step=f"connect {url}", found=found)


async def _base(link: Link, settings: Settings) -> Step:
    hint = "See directory.user_base and directory.user_filter, and that the service account may read and search there."
    search = Search(base=settings.user_base, filter=settings.user_filter, scope=ldap.SCOPE_SUBTREE, limit=1)
    problem = await _problem(link, search, settings.user_base, wanted="somebody is found")
    if problem is None:
        return Step(outcome="ok", step="user_base", found=f"people are found below {settings.user_base}")
    return Step(outcome="failed", step="user_base", found=problem, hint=hint)


async def _groups(link: Link, settings: Settings) -> list[Step]:
    """Look for each configured group."""
    steps = []
    for name, dn in configured(settings).items():
        problem = await _problem(link, Search(base=dn, filter="(objectClass=*)"), dn, wanted="is there")
        hint = "See the DN, and that the service account may read it and its members. While it is missing, nobody can sign in."
        step = f"group {name}"
        steps.append(Step(outcome="ok", step=step, found=dn) if problem is None else Step(outcome="failed", step=step, found=problem, hint=hint))
    if settings.required_group is None:
        steps.append(Step(outcome="note", step=f"group {REQUIRED}", found="none is configured: whoever has both factors may come in"))
    return steps


async def _problem(link: Link, search: Search, where: str, *, wanted: str) -> str | None:
    """Return why a search finds nothing, or None when it finds something, more than asked for included."""
    try:
        (answer,) = await link.search([search])
    except FAILURES as error:
        return f"{where}: {describe(error)}"
    if isinstance(answer, ldap.SIZELIMIT_EXCEEDED):
        return None
    if isinstance(answer, ldap.LDAPError):
        return f"{where}: {describe(answer)}"
    return None if answer else f"{where}: not that {wanted}"


async def _person(link: Link, settings: Settings, names: NameRules, typed: str, clock: Callable[[], float]) -> list[Step]:
    """Find one person as signing in would."""
    try:
        found = await People(settings, clock).by_login(link, spelling(typed, settings.domains))
    except DirectoryUnavailable as error:
        return [Step(outcome="failed", step="user", found=error.cause, hint="See the groups above.")]
    except FAILURES as error:
        return [Step(outcome="failed", step="user", found=describe(error), hint="The server did not answer the search; see its log.")]
    return _told(found, settings, names, typed)


def _told(found: Found, settings: Settings, names: NameRules, typed: str) -> list[Step]:
    account = found.account
    steps = [] if found.entry is None else [Step(outcome="ok", step="entry", found=found.entry.dn)]
    if not isinstance(account, Account):
        return [*steps, Step(outcome="failed", step="user", found=f"{typed}: {account.cause}", hint=_HINTS.get(account.cause))]
    steps.append(Step(outcome="ok", step="user", found=f"Slurm user {account.username}, uid {account.uid}"))
    if account.barred is None:
        steps.append(Step(outcome="ok", step="account", found="not disabled, expired, or locked for good"))
    else:
        steps.append(Step(outcome="failed", step="account", found=account.barred, hint="The directory's administrator can put this right."))
    steps += [_membership(name, account) for name in configured(settings)]
    cause = names.refusal(Subject(username=account.username, uid=account.uid))
    if cause is None:
        return [*steps, Step(outcome="ok", step="token", found="nothing is against a Slurm token for this name and uid")]
    hint = "See slurm.minimum_uid, slurm.slurm_user and slurm.reserved_users: a token for such a user would be another's power."
    return [*steps, Step(outcome="failed", step="token", found=f"none is ever made: {cause}", hint=hint)]


def _membership(name: str, account: Account) -> Step:
    if name in account.groups:
        return Step(outcome="ok", step=f"member {name}", found="yes")
    if name != REQUIRED:
        return Step(outcome="note", step=f"member {name}", found="no")
    hint = "Add the person to directory.required_group; groups within it count with directory.nested_groups."
    return Step(outcome="failed", step=f"member {name}", found="no", hint=hint)

"""The directory behind ``Login``: a service account finds the person, one bind with the password proves who they are.

A refusal is a result (``Denied``, or a cause); a directory that is down, slow or makes no sense is an error (DirectoryUnavailable).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import ldap

from gateway.config import Directory as Settings
from gateway.config import Secret, SecretFileError, read_secret
from gateway.errors import DirectoryUnavailable
from gateway.signin.account import Account, Candidate, Denied
from gateway.signin.directory import states
from gateway.signin.directory.link import Link, Search, describe, details
from gateway.signin.directory.links import Links
from gateway.signin.directory.names import spelling
from gateway.signin.directory.people import People
from gateway.signin.directory.servers import Servers
from gateway.signin.turns import Turns
from gateway.signin.wire import StartTlsRefusedError, WireError, open_wire

# What a question may take at most, in answers: the entry, and some levels of groups.
_ANSWERS = 4
# ValueError: what a library makes of bytes that make no sense.
FAILURES = (ldap.LDAPError, OSError, WireError, StartTlsRefusedError, SecretFileError, ValueError)
_T = TypeVar("_T")


class LdapDirectory:
    """Search, then bind (RFC 4513 section 5.1.3), on kept links, with every wait bounded from the event loop."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._people = People(settings, clock)
        self._servers = Servers(settings.urls, settings.down_for, ticks)
        self._searching, self._proving = Links(), Links()
        busy = "too many sign-ins wait for the directory"
        self._turns = Turns(settings.max_binds, settings.queue_timeout, lambda: DirectoryUnavailable(busy))

    async def find(self, typed: str) -> Candidate:
        """Return whom a typed name stands for."""
        spelled = spelling(typed, self._settings.domains)
        found = await self._ask(lambda link: self._people.by_login(link, spelled))
        name = None if found.entry is None else found.entry.text(self._settings.name_attribute)
        return Candidate(
            key=spelled.key if name is None else name.casefold(),
            account=found.account,
            entry=None if found.entry is None else found.entry.dn,
        )

    async def account(self, username: str) -> Account | Denied:
        """Return the account whose Slurm user is exactly ``username``."""
        return (await self._ask(lambda link: self._people.by_name(link, username))).account

    async def by_uid(self, uid: int) -> Account | Denied:
        """Return the account with this uid."""
        return (await self._ask(lambda link: self._people.by_uid(link, uid))).account

    async def prove(self, candidate: Candidate, password: Secret) -> str | None:
        """Bind once with ``password``; return why it was refused, or None. A bind that may have been sent is never sent again."""
        if not password.reveal():
            # RFC 4513 section 5.1.2: a bind without a password succeeds, as nobody.
            return "password_empty"
        dn = candidate.entry if isinstance(candidate.entry, str) else self._people.nobody().dn
        async with self._turns:
            url, link = await self._to_prove_on()
            try:
                cause = await prove(link, dn, password)
            except FAILURES as error:
                self._lost(url, link)
                raise DirectoryUnavailable(f"{url}: {describe(error)}") from error
            except BaseException:
                link.close()
                raise
            self._servers.answered(url)
            self._proving.keep(url, link)
            return cause

    async def ping(self) -> None:
        """Raise DirectoryUnavailable unless a server answers the service account."""
        await self._ask(self._look)

    def close(self) -> None:
        """Close all links."""
        self._searching.close()
        self._proving.close()

    async def _look(self, link: Link) -> None:
        (answer,) = await link.search([Search(base=self._settings.user_base, filter="(objectClass=*)")])
        # A base that only what is below it can be read of is an answer, too.
        if isinstance(answer, ldap.LDAPError) and not isinstance(answer, (ldap.NO_SUCH_OBJECT, ldap.INSUFFICIENT_ACCESS)):
            raise answer

    async def _to_prove_on(self) -> tuple[str, Link]:
        """Return a link to the first server that is there, on which nothing was sent yet."""
        failures = []
        for url in self._servers.turn():
            if link := self._proving.take(url):
                return url, link
            try:
                return url, await connect(url, self._settings)
            except FAILURES as error:
                self._servers.failed(url)
                failures.append(f"{url}: {describe(error)}")
        raise DirectoryUnavailable("; ".join(failures))

    async def _ask(self, question: Callable[[Link], Awaitable[_T]]) -> _T:
        """Return the answer of the first server that has one; a search may be repeated, for it changes nothing."""
        failures = []
        async with self._turns:
            for url in self._servers.turn():
                try:
                    answer = await self._ask_one(url, question)
                except FAILURES as error:
                    self._servers.failed(url)
                    failures.append(f"{url}: {describe(error)}")
                else:
                    self._servers.answered(url)
                    return answer
        raise DirectoryUnavailable("; ".join(failures))

    async def _ask_one(self, url: str, question: Callable[[Link], Awaitable[_T]]) -> _T:
        """Ask one server; when a kept link turns out to be dead, once more on a fresh one."""
        if kept := self._searching.take(url):
            try:
                return await self._converse(url, kept, question)
            except FAILURES:
                self._searching.drop(url)
        link = await connect(url, self._settings)
        try:
            await greet(link, self._settings)
        except BaseException:
            link.close()
            raise
        return await self._converse(url, link, question)

    async def _converse(self, url: str, link: Link, question: Callable[[Link], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(_ANSWERS * self._settings.timeout):
                answer = await question(link)
        except BaseException:
            link.close()  # whatever comes on it now would be taken for the answer to the next question
            raise
        self._searching.keep(url, link)
        return answer

    def _lost(self, url: str, link: Link) -> None:
        link.close()
        self._servers.failed(url)
        self._proving.drop(url)


async def connect(url: str, settings: Settings) -> Link:
    """Return a fresh link to a server, on which nobody is bound. Raises OSError, StartTlsRefusedError, WireError, LDAPError."""
    async with asyncio.timeout(settings.timeout):
        wire = await open_wire(url, start_tls=settings.start_tls, ca_file=settings.ca_file)
    try:
        return Link(wire, settings.timeout)
    except BaseException:
        wire.close()
        raise


async def greet(link: Link, settings: Settings) -> None:
    """Bind the service account. Raises SecretFileError, and what ``Link.bind`` does."""
    if not settings.bind_dn or settings.bind_password_file is None:
        await link.bind("", b"")
        return
    password = (await asyncio.to_thread(read_secret, settings.bind_password_file)).reveal().rstrip(b"\r\n")
    if not password:
        raise SecretFileError(f"{settings.bind_password_file} holds no password")
    await link.bind(settings.bind_dn, password)


async def prove(link: Link, dn: str, password: Secret) -> str | None:
    """Bind once as ``dn``; return None when the password is right and may be used, else why not. Raises when it cannot be told."""
    try:
        controls = await link.bind(dn, password.reveal())
    except (ldap.INVALID_CREDENTIALS, ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT) as error:
        return _refused(error) or "password_refused"
    except (ldap.INSUFFICIENT_ACCESS, ldap.UNWILLING_TO_PERFORM, ldap.CONSTRAINT_VIOLATION, ldap.INAPPROPRIATE_AUTH) as error:
        return _refused(error) or "account_unusable"
    return states.of_controls(controls)


def _refused(error: ldap.LDAPError) -> str | None:
    """Return what the server says of a refused bind beyond its result code."""
    told = details(error)
    controls = told.get("ctrls")
    if isinstance(controls, list) and (cause := states.of_controls({oid: value for oid, _, value in controls})):
        return cause
    return states.of_message(str(told.get("info", "")))

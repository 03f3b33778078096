"""The directory: a service account finds the person, one bind with the password proves who they are. The only room that knows LDAP.

A refusal is a result (``Denied``); a directory that is down, slow or makes no sense is an error (DirectoryUnavailable).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import ldap
import ldap.filter
from ldap.ldapobject import SimpleLDAPObject

from gateway.config import Directory as Settings
from gateway.config import Secret, SecretFileError, read_secret
from gateway.errors import DirectoryUnavailable
from gateway.signin.account import REQUIRED, Account, Candidate, Denied
from gateway.signin.wire import StartTlsRefusedError, open_wire

logger = logging.getLogger(__name__)

# Two entries already mean that the name is ambiguous; no answer needs more.
_SIZE_LIMIT = 2
_MAX_UID = 2**32 - 2
_UID = re.compile(r"[0-9]{1,10}")
# Service account, search, group, bind.
_QUESTIONS = 4
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    dn: str
    attributes: dict[str, list[bytes]]


class LdapDirectory:
    """Search, then bind (RFC 4513 section 5.1.3), libldap on threads of its own, and every wait bounded from the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.max_binds, thread_name_prefix="ldap")
        self._turns = asyncio.Semaphore(settings.max_binds)

    async def find(self, typed: str) -> Candidate:
        """Return whom a typed name stands for."""
        return await self._ask(lambda connection: self._candidate(connection, typed, self._settings.login_attribute))

    async def account(self, username: str) -> Account | Denied:
        """Return the account whose Slurm user is exactly ``username``."""
        candidate = await self._ask(lambda connection: self._candidate(connection, username, self._settings.name_attribute))
        if isinstance(candidate.account, Account) and candidate.account.username != username:
            return Denied("name_spelled_otherwise")
        return candidate.account

    async def by_uid(self, uid: int) -> Account | Denied:
        """Return the account with this uid."""
        return (await self._ask(lambda connection: self._candidate(connection, str(uid), self._settings.uid_attribute))).account

    async def prove(self, candidate: Candidate, password: Secret) -> str | None:
        """Bind once with ``password``; return why it was refused, or None."""
        if not password.reveal():
            # RFC 4513 section 5.1.2: a bind without a password succeeds, as nobody.
            return "password_empty"
        dn = candidate.entry if isinstance(candidate.entry, str) else self._nobody().dn
        return await self._ask(lambda connection: self._bind(connection, dn, password))

    async def ping(self) -> None:
        """Raise DirectoryUnavailable unless a server answers the service account."""
        await self._ask(lambda _: None)

    def close(self) -> None:
        """Let the threads end once they are idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[SimpleLDAPObject], _T]) -> _T:
        """Return the answer of the first server that takes the service account; the others are tried in order."""
        failures = []
        async with _Turn(self._turns, self._settings.queue_timeout):
            for url in self._settings.urls:
                try:
                    return await self._ask_one(url, question)
                except _NotAsked as error:
                    failures.append(f"{url}: {error}")
        raise DirectoryUnavailable("; ".join(failures))

    async def _ask_one(self, url: str, question: Callable[[SimpleLDAPObject], _T]) -> _T:
        """Return what one server answers; raise _NotAsked when it cannot be asked, DirectoryUnavailable when it fails once it was."""
        settings = self._settings
        asked = False

        def converse(theirs: socket.socket) -> _T:
            nonlocal asked
            connection = self._greet(url, theirs)
            try:
                asked = True
                return question(connection)
            finally:
                _unbind(connection)

        try:
            async with contextlib.AsyncExitStack() as held:
                async with asyncio.timeout(settings.timeout):
                    theirs = await held.enter_async_context(open_wire(url, start_tls=settings.start_tls, ca_file=settings.ca_file))
                # Each of the four questions at most may take the time-out; hanging up ends what libldap still waits for.
                async with asyncio.timeout(_QUESTIONS * settings.timeout):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, converse, theirs)
        except (ldap.LDAPError, OSError, StartTlsRefusedError, SecretFileError, UnicodeDecodeError) as error:
            if asked:
                raise DirectoryUnavailable(f"{url}: {_describe(error)}") from error
            raise _NotAsked(_describe(error)) from error

    def _greet(self, url: str, theirs: socket.socket) -> SimpleLDAPObject:
        """Return a connection on which the service account is bound."""
        connection = self._open(url, theirs)
        try:
            self._bind_service(connection)
        except BaseException:
            _unbind(connection)
            raise
        return connection

    def _open(self, url: str, theirs: socket.socket) -> SimpleLDAPObject:
        settings = self._settings
        # The scheme is ldap: what libldap speaks through is a local socket, and TLS is the wire's. libldap closes the descriptor itself.
        connection: SimpleLDAPObject = ldap.initialize(f"ldap://{urlsplit(url).netloc}", fileno=theirs.detach())
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, settings.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, settings.timeout)
        connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
        return connection

    def _bind_service(self, connection: SimpleLDAPObject) -> None:
        settings = self._settings
        if not settings.bind_dn or settings.bind_password_file is None:
            connection.simple_bind_s()
            return
        password = read_secret(settings.bind_password_file).reveal().rstrip(b"\r\n")
        if not password:
            raise SecretFileError(f"{settings.bind_password_file} holds no password")
        connection.simple_bind_s(settings.bind_dn, password.decode())

    def _candidate(self, connection: SimpleLDAPObject, typed: str, attribute: str) -> Candidate:
        found = self._find(connection, typed, attribute)
        # For a name that nobody has, the same questions about one that cannot be: its time is not to tell it apart.
        entry = self._nobody() if isinstance(found, Denied) else found
        member = self._is_member(connection, entry)
        account = found if isinstance(found, Denied) else self._account(entry, member=member)
        key = account.username if isinstance(account, Account) else typed
        return Candidate(key=key.casefold(), account=account, entry=None if isinstance(found, Denied) else entry.dn)

    def _find(self, connection: SimpleLDAPObject, username: str, attribute: str) -> _Entry | Denied:
        settings = self._settings
        name = ldap.filter.escape_filter_chars(username, escape_mode=1)
        try:
            entries = connection.search_ext_s(
                settings.user_base,
                ldap.SCOPE_SUBTREE,
                f"(&{settings.user_filter}({attribute}={name}))",
                [settings.name_attribute, settings.uid_attribute],
                timeout=settings.timeout,
                sizelimit=_SIZE_LIMIT,
            )
        except ldap.SIZELIMIT_EXCEEDED:
            return Denied("user_ambiguous")
        # Search references (RFC 4511 section 4.5.3) come with no DN, and are not followed.
        found = [_Entry(dn=dn, attributes={key.casefold(): values for key, values in pairs.items()}) for dn, pairs in entries if dn]
        if not found:
            return Denied("user_unknown")
        return found[0] if len(found) == 1 else Denied("user_ambiguous")

    def _nobody(self) -> _Entry:
        return _Entry(dn=f"{self._settings.login_attribute}={secrets.token_hex(8)},{self._settings.user_base}", attributes={})

    def _is_member(self, connection: SimpleLDAPObject, entry: _Entry) -> bool:
        settings = self._settings
        if settings.required_group is None:
            return True
        value = entry.dn
        if settings.group_member_attribute.casefold() == "memberuid":
            value = _text(entry, settings.name_attribute) or ""
        wanted = ldap.filter.escape_filter_chars(value, escape_mode=1)
        try:
            groups = connection.search_ext_s(
                settings.required_group,
                ldap.SCOPE_BASE,
                f"({settings.group_member_attribute}={wanted})",
                ["1.1"],  # RFC 4511 section 4.5.1.8: no attributes
                timeout=settings.timeout,
            )
        except ldap.NO_SUCH_OBJECT:
            raise DirectoryUnavailable("the required group does not exist, or the service account may not read it") from None
        return any(dn for dn, _ in groups)

    def _bind(self, connection: SimpleLDAPObject, dn: str, password: Secret) -> str | None:
        """Bind as ``dn``; return None when the password is right, else why not. Raises LDAPError when it cannot be told."""
        try:
            connection.simple_bind_s(dn, password.reveal().decode())
        except (ldap.INVALID_CREDENTIALS, ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT):
            return "password_refused"  # servers answer the same for a locked account, on purpose
        except (ldap.INSUFFICIENT_ACCESS, ldap.UNWILLING_TO_PERFORM, ldap.CONSTRAINT_VIOLATION, ldap.INAPPROPRIATE_AUTH):
            return "account_unusable"
        return None

    def _account(self, entry: _Entry, *, member: bool) -> Account | Denied:
        """Return who the entry is; the name is the directory's own, never the typed one: Slurm tells ALICE from alice, LDAP does not."""
        username = _text(entry, self._settings.name_attribute)
        if username is None:
            return Denied("name_missing_or_ambiguous")
        uid = _text(entry, self._settings.uid_attribute)
        if uid is None or _UID.fullmatch(uid) is None or int(uid) > _MAX_UID:
            return Denied("uid_missing_or_malformed")
        return Account(username=username, uid=int(uid), groups=frozenset({REQUIRED} if member else ()))


class _NotAsked(Exception):  # noqa: N818 - not an error of the question
    """This server could not be asked; the next one may be."""


class _Turn:
    """A place among the binds under way, or 503 after a wait."""

    def __init__(self, turns: asyncio.Semaphore, timeout: float) -> None:
        self._turns = turns
        self._timeout = timeout

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise DirectoryUnavailable("too many sign-ins wait for the directory") from None

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()


def _text(entry: _Entry, attribute: str) -> str | None:
    values = entry.attributes.get(attribute.casefold(), [])
    if len(values) != 1:
        return None
    try:
        return values[0].decode("ascii")
    except UnicodeDecodeError:
        return None


def _describe(error: Exception) -> str:
    """Return what the library says of a failure: its class and its own short description, never what was sent."""
    if isinstance(error, (SecretFileError, StartTlsRefusedError)):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"{type(error).__name__} {error.reason or ''}".strip()
    if isinstance(error, OSError):
        return f"{type(error).__name__} {os.strerror(error.errno) if error.errno else ''}".strip()
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    said = " / ".join(str(details[key]) for key in ("desc", "info") if details.get(key))
    return f"{type(error).__name__} {said}".strip()


def _unbind(connection: SimpleLDAPObject) -> None:
    try:
        connection.unbind_s()
    except ldap.LDAPError as error:
        logger.debug("unbind failed: %s", _describe(error))

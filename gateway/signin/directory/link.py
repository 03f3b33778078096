"""One connection to a server: libldap between two local sockets, fed by the loop with whole messages, so that it never waits and holds no thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import ldap
from ldap.controls import RequestControl, ResponseControl
from ldap.ldapobject import SimpleLDAPObject

from gateway.config import SecretFileError
from gateway.signin.ber import NotBerError
from gateway.signin.directory import states
from gateway.signin.directory.entries import Entry
from gateway.signin.wire import MAX_MESSAGE, StartTlsRefusedError, Wire, WireError, message_id

_ASKED = (RequestControl(states.POLICY),)
# Kept as they came, for `states` to read; any other control is not looked at.
_KEPT = {states.POLICY: ResponseControl, states.EXPIRED: ResponseControl}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search: where, how deep, for what, and which attributes are wanted ("1.1": none, RFC 4511 section 4.5.1.8)."""

    base: str
    filter: str
    scope: int = ldap.SCOPE_BASE
    attributes: tuple[str, ...] = ("1.1",)
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The kind of an answer, its entries and its controls, as libldap gives them."""

    kind: int
    entries: list[tuple[str | None, dict[str, list[bytes]]]]
    controls: list[ResponseControl]


class Link:
    """One connection; one question at a time. Methods raise LDAPError (the server said no), WireError, OSError, ValueError (no sense)."""

    def __init__(self, wire: Wire, timeout: float) -> None:
        self._wire = wire
        self._timeout = timeout
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        theirs.setblocking(False)
        # The scheme is ldap: what libldap speaks through is a local socket, and TLS is the wire's. libldap closes the descriptor itself.
        self._connection: SimpleLDAPObject = ldap.initialize("ldap://", fileno=theirs.detach())
        self._connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
        self._connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
        self._closed = False

    @property
    def usable(self) -> bool:
        """Tell whether the server is still there, and has said nothing that was not asked for."""
        return not self._closed and self._wire.quiet

    @property
    def wire(self) -> Wire:
        """What the link speaks through."""
        return self._wire

    async def bind(self, dn: str, password: bytes) -> dict[str, bytes | None]:
        """Bind once; return the controls that came with the success, by OID. Raises LDAPError when it is refused."""
        (answer,) = await self._exchange([self._connection.simple_bind(dn, password, serverctrls=_ASKED)])
        if isinstance(answer, ldap.LDAPError):
            raise answer
        if answer.kind != ldap.RES_BIND:
            raise WireError("the server answered something else")
        return {control.controlType: control.encodedControlValue for control in answer.controls}

    async def search(self, searches: Sequence[Search]) -> list[list[Entry] | ldap.LDAPError]:
        """Send the searches at once, and return for each what it found, or what the server said instead; references are not followed."""
        answers = await self._exchange(
            [
                self._connection.search_ext(one.base, one.scope, one.filter, list(one.attributes), timeout=self._timeout, sizelimit=one.limit)
                for one in searches
            ]
        )
        return [answer if isinstance(answer, ldap.LDAPError) else _entries(answer) for answer in answers]

    async def _exchange(self, identities: Sequence[int]) -> list[_Answer | ldap.LDAPError]:
        """Send what libldap wrote, and give it whole messages until it has all answers."""
        answers: dict[int, _Answer | ldap.LDAPError] = {}
        with contextlib.suppress(BlockingIOError):
            while data := self._ours.recv(MAX_MESSAGE):
                self._wire.send(data)
        async with asyncio.timeout(self._timeout):
            while len(answers) < len(identities):
                message = await self._wire.message()
                identity = message_id(message)
                if identity not in identities or identity in answers:
                    raise WireError("the server says what it was not asked")
                if self._ours.send(message) != len(message):
                    raise WireError("libldap does not read")
                if (answer := self._read(identity)) is not None:
                    answers[identity] = answer
        return [answers[identity] for identity in identities]

    def _read(self, identity: int) -> _Answer | ldap.LDAPError | None:
        """Have libldap read the one message that waits, of the answer to ``identity``; None while more of it is to come.

        Asked for the answer to another message, libldap would keep this one, and python-ldap not look at its result code later.
        """
        try:
            kind, data, _, controls, *_ = self._connection.result4(identity, timeout=0, resp_ctrl_classes=_KEPT)
        except ldap.LDAPError as error:
            return error
        return None if kind is None else _Answer(kind=kind, entries=data or [], controls=controls or [])

    def close(self) -> None:
        """Hang up."""
        if self._closed:
            return
        self._closed = True
        self._wire.close()
        self._ours.close()
        with contextlib.suppress(ldap.LDAPError):
            self._connection.unbind_ext()


def _entries(answer: _Answer) -> list[Entry]:
    if answer.kind != ldap.RES_SEARCH_RESULT:
        raise WireError("the server answered something else")
    # Search references (RFC 4511 section 4.5.3) come with no DN.
    return [Entry(dn=dn, attributes={name.casefold(): values for name, values in pairs.items()}) for dn, pairs in answer.entries if dn]


def details(error: ldap.LDAPError) -> dict[str, object]:
    """Return what libldap tells of an error."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def describe(error: Exception) -> str:
    """Return what the library says of a failure: its class and its own short description, never what was sent."""
    if isinstance(error, (SecretFileError, StartTlsRefusedError, WireError, NotBerError)):
        return str(error)
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    said = ""
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "verify_message", None) or getattr(error, "reason", None) or ""
    elif isinstance(error, OSError):
        said = os.strerror(error.errno) if error.errno else ""
    elif isinstance(error, ldap.LDAPError):
        said = " / ".join(str(details(error)[key]) for key in ("desc", "info") if details(error).get(key))
    return f"{type(error).__name__} {said}".strip()

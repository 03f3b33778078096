"""The wire to an LDAP server: TCP and TLS on the event loop, and whole messages out of it.

libldap's own time-outs do not cover its TLS handshake, nor an answer that announces more than it sends: a server that hangs there would
hold whoever waits in libldap for ever. So the loop makes the connection and the handshake (Python's ssl, with host names checked), and
libldap is given a message only once all of it is there.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from gateway.signin.ber import NotBerError, elements, head

_PORTS = {"ldap": 389, "ldaps": 636}
_SEQUENCE, _INTEGER, _ENUMERATED = 0x30, 0x02, 0x0A
# RFC 4511 section 4.14.1: an LDAPMessage with messageID 1 and an ExtendedRequest for 1.3.6.1.4.1.1466.20037.
_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_EXTENDED_RESPONSE = 0x78
_RESULTS = (0x61, 0x65)  # BindResponse and SearchResultDone
# Entries come with a handful of attributes, each a message of its own: none that is longer answers what was asked.
MAX_MESSAGE = 64 * 1024
_MAX_UNREAD = 4 * 1024 * 1024


class WireError(Exception):
    """The wire is broken: the server hung up, or what it sends is not LDAP."""


class StartTlsRefusedError(Exception):
    """The server does not do StartTLS, or makes no sense of the request."""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what a connection is verified with: the CA file, or the system's CAs; TLS 1.2 at least. Raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def whole(data: bytes | bytearray) -> int | None:
    """Return the length of the LDAPMessage that ``data`` begins with, or None while some of it is missing; raise WireError when it is none."""
    try:
        found = head(data)
    except NotBerError as error:
        raise WireError(f"the server sends no LDAP: {error}") from None
    if data and data[0] != _SEQUENCE:
        raise WireError("the server sends no LDAP")
    if found is None:
        return None
    end = found[2]
    if end > MAX_MESSAGE:
        raise WireError("the server announces a message that is too long")
    return end if len(data) >= end else None


def message_id(message: bytes) -> int:
    """Return the messageID of a whole LDAPMessage (RFC 4511 section 4.1.1); raise WireError when it has none, or a result without its code.

    libldap is not strict about the latter, and takes what is missing for zero, which is success.
    """
    try:
        ((_, content),) = elements(message)
        ((tag, number), (operation, response), *_) = elements(content)
        code = elements(response)[0] if operation in _RESULTS else (_ENUMERATED, b"\x00")
    except (ValueError, IndexError):
        raise WireError("the server sends no LDAP") from None
    if tag != _INTEGER or not number or code[0] != _ENUMERATED or not code[1]:
        raise WireError("the server sends no LDAP")
    return int.from_bytes(number, "big", signed=True)


class Wire(asyncio.Protocol):
    """A connection on the loop; ``message`` gives what the server sends, one whole LDAPMessage at a time. The caller bounds the time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._over = False
        self._changed: asyncio.Future[None] | None = None

    @property
    def quiet(self) -> bool:
        """Tell whether the server is still there, and has said nothing that was not asked for."""
        return not self._over and not self._unread

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as Python's ssl tells it, or None without TLS."""
        return self._transport.get_extra_info("peercert") if self._transport is not None else None

    def send(self, data: bytes) -> None:
        """Send a request; raise WireError when nobody is there."""
        if self._over or self._transport is None:
            raise WireError("the server hung up")
        self._transport.write(data)

    async def message(self) -> bytes:
        """Return the next message; raise WireError when none can come."""
        while True:
            if end := whole(self._unread):
                message = bytes(self._unread[:end])
                del self._unread[:end]
                return message
            if self._over:
                raise WireError("the server hung up")
            self._changed = asyncio.get_running_loop().create_future()
            try:
                await self._changed
            finally:
                self._changed = None

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Ask for TLS on a plain connection (RFC 4511 section 4.14) and shake hands; raise StartTlsRefusedError, OSError."""
        self.send(_START_TLS)
        try:
            answer = await self.message()
        except WireError as error:
            raise StartTlsRefusedError(str(error)) from None
        # What came in the clear behind the answer could be taken for an answer under TLS.
        if not _granted(answer) or not self.quiet or self._transport is None:
            raise StartTlsRefusedError("the server refused StartTLS")
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._transport, self, context, server_hostname=host)

    def close(self) -> None:
        """Hang up."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; under TLS this is called once its handshake is done."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is asked for."""
        self._unread += data
        if len(self._unread) > _MAX_UNREAD:
            self.close()
        self._wake()

    def eof_received(self) -> bool:
        """Take half a farewell for a whole one."""
        self._over = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody is there."""
        del exc
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


async def open_wire(url: str, *, start_tls: bool, ca_file: Path | None) -> Wire:
    """Return a wire to the server at ``url``, secured as told. Raises OSError (ssl.SSLError is one) and StartTlsRefusedError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    secure = parts.scheme == "ldaps"
    context = await asyncio.to_thread(tls_context, ca_file) if secure or start_tls else None
    made: Callable[[], Wire] = Wire
    _, wire = await asyncio.get_running_loop().create_connection(made, host, port, ssl=context if secure else None)
    if context is not None and not secure:
        try:
            await wire.secure(context, host)
        except BaseException:
            wire.close()
            raise
    return wire


def _granted(answer: bytes) -> bool:
    """Tell whether this is an ExtendedResponse to messageID 1 with resultCode success (RFC 4511 section 4.14.2)."""
    try:
        ((_, content),) = elements(answer)
        (identity, (tag, response), *_) = elements(content)
        return identity == (_INTEGER, b"\x01") and tag == _EXTENDED_RESPONSE and elements(response)[:1] == [(_ENUMERATED, b"\x00")]
    except ValueError:
        return False

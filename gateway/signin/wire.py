"""The wire to a directory server: TCP and TLS on the event loop, and a plain local socket for libldap to speak through.

libldap's own time-outs do not cover its TLS handshake, nor an answer that announces more than it sends: a server that hangs there would
hold a thread for ever. Here the loop makes the connection and the handshake (Python's ssl, with host names checked), pumps bytes to
and fro, and can hang up at any moment, which ends whatever libldap waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

_PIECE = 64 * 1024
_PORTS = {"ldap": 389, "ldaps": 636}
# RFC 4511 section 4.14.1: an LDAPMessage with messageID 1 and an ExtendedRequest for 1.3.6.1.4.1.1466.20037.
_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_EXTENDED_RESPONSE = 0x78
_SHORT_FORM = 0x80


class StartTlsRefusedError(Exception):
    """The server does not do StartTLS, or makes no sense of the request."""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what a connection is verified with: the CA file, or the system's CAs; TLS 1.2 at least. Raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextlib.asynccontextmanager
async def open_wire(url: str, *, start_tls: bool, ca_file: Path | None) -> AsyncIterator[socket.socket]:
    """Give a local socket that leads to the server at ``url``, secured as told; leaving the block hangs up.

    Raises OSError (ssl.SSLError among them) and StartTlsRefusedError. The caller bounds the time.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    secure = parts.scheme == "ldaps"
    context = await asyncio.to_thread(tls_context, ca_file) if secure or start_tls else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context if secure else None)
    try:
        if start_tls and not secure and context is not None:
            await _start_tls(reader, writer, context, host)
        async with _pumped(reader, writer) as theirs:
            yield theirs
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    pumps = [asyncio.create_task(_to_libldap(reader, ours)), asyncio.create_task(_to_server(ours, writer))]
    try:
        yield theirs
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        ours.close()
        theirs.close()


async def _to_libldap(reader: asyncio.StreamReader, ours: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(_PIECE):
            await loop.sock_sendall(ours, data)
    finally:
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_WR)  # libldap sees that the server is gone


async def _to_server(ours: socket.socket, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(ours, _PIECE):
        writer.write(data)
        await writer.drain()


async def _start_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str) -> None:
    """Ask for TLS on a plain connection (RFC 4511 section 4.14) and shake hands."""
    writer.write(_START_TLS)
    await writer.drain()
    head = await _exactly(reader, 2)
    if head[0] != 0x30 or head[1] >= _SHORT_FORM:  # noqa: PLR2004 - SEQUENCE; a short answer has a short length
        raise StartTlsRefusedError("no answer that could be read")
    answer = await _exactly(reader, head[1])
    # messageID 1, then [APPLICATION 24] with its length, then resultCode ENUMERATED success.
    if answer[:3] != b"\x02\x01\x01" or answer[3:4] != bytes([_EXTENDED_RESPONSE]) or answer[5:8] != b"\x0a\x01\x00":
        raise StartTlsRefusedError("the server refused StartTLS")
    await writer.start_tls(context, server_hostname=host)


async def _exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError:
        raise StartTlsRefusedError("the server hung up") from None

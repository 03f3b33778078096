from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.signin.wire import StartTlsRefusedError, open_wire, tls_context

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """A server on loopback that speaks as ``talk`` does; gives its URL."""

    served: list[asyncio.Task[object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            served.append(task)
        with contextlib.suppress(OSError):
            await talk(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"ldap://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        await asyncio.gather(*served)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_bytes_go_to_the_server_and_come_back() -> None:
    payload = bytes(range(256)) * 4096
    async with server(echo) as url, open_wire(url, start_tls=False, ca_file=None) as theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        sender = asyncio.create_task(loop.sock_sendall(theirs, payload))
        received = b""
        async with asyncio.timeout(10):
            while len(received) < len(payload):
                received += await loop.sock_recv(theirs, 65536)
        await sender
    assert received == payload


async def test_a_server_that_hangs_up_is_seen_at_the_other_end() -> None:
    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with server(hang_up) as url, open_wire(url, start_tls=False, ca_file=None) as theirs:
        theirs.setblocking(False)
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""


async def test_leaving_hangs_up_on_the_server() -> None:
    gone = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            gone.set()

    async with server(watch) as url:
        async with open_wire(url, start_tls=False, ca_file=None):
            pass
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"0",
        b"0\x0c\x02\x01\x01",
        b"0\x84\x7f\xff\xff\xff",
        bytes.fromhex("300c02010178070a010204000400"),
        bytes.fromhex("300c02010265070a010004000400"),
    ],
    ids=["nothing", "half a head", "half an answer", "endless", "refused", "another answer"],
)
async def test_whoever_does_not_grant_start_tls_is_left(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(31)
        writer.write(answer)

    async with server(talk) as url:
        with pytest.raises(StartTlsRefusedError):
            async with asyncio.timeout(5), open_wire(url, start_tls=True, ca_file=None):
                raise AssertionError("the wire was given")


async def test_nobody_there_is_an_error_of_the_system() -> None:
    with pytest.raises(ConnectionRefusedError):
        async with open_wire("ldap://127.0.0.1:1", start_tls=False, ca_file=None):
            raise AssertionError("the wire was given")


def test_the_context_verifies_names_and_knows_nothing_older_than_tls_1_2() -> None:
    context = tls_context(None)
    assert (context.verify_mode, context.check_hostname, context.minimum_version) == (ssl.CERT_REQUIRED, True, ssl.TLSVersion.TLSv1_2)


def test_a_ca_file_that_is_none_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "absent.pem")

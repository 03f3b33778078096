from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.wire import MAX_MESSAGE, StartTlsRefusedError, Wire, WireError, message_id, open_wire, tls_context, whole
from tests import certificates

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GRANTED = bytes.fromhex("300c02010178070a010004000400")
# The same as Active Directory writes it: every length in four bytes.
GRANTED_AT_LENGTH = bytes.fromhex("3084000000100201017884000000070a010004000400")


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


@contextlib.asynccontextmanager
async def plain_wire(url: str) -> AsyncIterator[Wire]:
    wire = await open_wire(url, start_tls=False, ca_file=None)
    try:
        async with asyncio.timeout(5):
            yield wire
    finally:
        wire.close()
        await asyncio.sleep(0)


async def test_requests_go_to_the_server_and_whole_messages_come_back() -> None:
    async def echo_in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in await reader.readexactly(2 * len(GRANTED)):
            writer.write(bytes([byte]))
            await writer.drain()

    async with server(echo_in_pieces) as url, plain_wire(url) as wire:
        wire.send(GRANTED + GRANTED)
        assert [await wire.message(), await wire.message()] == [GRANTED, GRANTED]


async def test_a_server_that_hangs_up_is_seen_and_no_longer_asked() -> None:
    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with server(hang_up) as url, plain_wire(url) as wire:
        with pytest.raises(WireError, match="hung up"):
            await wire.message()
        assert not wire.quiet
        with pytest.raises(WireError, match="hung up"):
            wire.send(GRANTED)


async def test_a_server_that_says_what_was_not_asked_is_not_quiet() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GRANTED + GRANTED)
        await reader.read()

    async with server(chatter) as url, plain_wire(url) as wire:
        await wire.message()
        assert not wire.quiet


async def test_what_was_said_before_hanging_up_is_still_heard() -> None:
    async def farewell(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GRANTED)

    async with server(farewell) as url, plain_wire(url) as wire:
        assert await wire.message() == GRANTED


async def test_a_flood_is_hung_up_on() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        with contextlib.suppress(OSError):
            while True:
                writer.write(GRANTED * 10_000)
                await writer.drain()

    async with server(flood) as url, plain_wire(url) as wire:
        while wire._transport is not None and not wire._transport.is_closing():  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0)
        assert not wire.quiet


async def test_closing_hangs_up_on_the_server() -> None:
    gone = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            gone.set()

    async with server(watch) as url:
        async with plain_wire(url):
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
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("300c02010178070a010204000400"),
        bytes.fromhex("300c02010265070a010004000400"),
        GRANTED + b"\x30",
        GRANTED_AT_LENGTH + GRANTED,
    ],
    ids=["nothing", "half a head", "half an answer", "endless", "HTTP", "refused", "another answer", "more in the clear", "two answers"],
)
async def test_whoever_does_not_grant_start_tls_is_left(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(31)
        writer.write(answer)

    async with server(talk) as url:
        with pytest.raises(StartTlsRefusedError):
            async with asyncio.timeout(5):
                await open_wire(url, start_tls=True, ca_file=None)


@pytest.mark.parametrize("answer", [GRANTED, GRANTED_AT_LENGTH], ids=["short", "as Active Directory"])
async def test_whoever_grants_start_tls_is_spoken_to_under_it(answer: bytes, tmp_path: Path) -> None:
    ca_file, _ = certificates.write(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(31)
        writer.write(answer)
        await writer.start_tls(context)
        writer.write(await reader.readexactly(len(GRANTED)))
        await writer.drain()

    async with server(talk) as url, asyncio.timeout(5):
        wire = await open_wire(url, start_tls=True, ca_file=ca_file)
        wire.send(GRANTED)
        assert await wire.message() == GRANTED
        assert wire.certificate is not None
        wire.close()


async def test_nobody_there_is_an_error_of_the_system() -> None:
    with pytest.raises(ConnectionRefusedError):
        await open_wire("ldap://127.0.0.1:1", start_tls=False, ca_file=None)


def test_the_context_verifies_names_and_knows_nothing_older_than_tls_1_2() -> None:
    context = tls_context(None)
    assert (context.verify_mode, context.check_hostname, context.minimum_version) == (ssl.CERT_REQUIRED, True, ssl.TLSVersion.TLSv1_2)


def test_a_ca_file_that_is_none_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "absent.pem")


@pytest.mark.parametrize("data", ["02", "0201", "3080", "30830100", "3085", "3083010001", "48545450"])
def test_what_cannot_become_a_message_is_told_at_once(data: str) -> None:
    if data == "30830100":
        assert whole(bytes.fromhex(data)) is None  # its length is not all there yet
        return
    with pytest.raises(WireError):
        whole(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "number"),
    [(GRANTED.hex(), 1), (GRANTED_AT_LENGTH.hex(), 1), ("3006020201006400", 256), ("30050201ff6400", -1), ("300802010761030a0100", 7)],
)
def test_a_message_has_a_number(data: str, number: int) -> None:
    assert message_id(bytes.fromhex(data)) == number


@pytest.mark.parametrize(
    "data",
    [
        "3000",
        "30020201",
        "3003020101",
        "30050401016400",
        "300402006400",
        "30031f0101",
        "30050201016100",
        "300702010161020a00",
        "3008020101610302 0100",
    ],
    ids=["empty", "cut short", "no operation", "no number", "an empty number", "another tag", "no code", "an empty code", "another code"],
)
def test_a_message_without_number_or_code_is_none(data: str) -> None:
    with pytest.raises(WireError):
        message_id(bytes.fromhex(data))


@given(st.binary(max_size=64))
def test_any_bytes_have_a_number_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(message_id(data), int)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_less_or_none(data: bytes) -> None:
    try:
        end = whole(data)
    except WireError:
        return
    assert end is None or 2 <= end <= min(len(data), MAX_MESSAGE)
    if end is not None:
        assert whole(data[: end - 1]) is None

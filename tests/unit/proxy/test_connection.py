"""The protocol alone, on a transport that writes into a list: what it makes of bytes, in whatever pieces they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UpstreamBroken, UpstreamTimeout
from gateway.proxy.connection import Connection, Reply
from tests.web import fakes

HEAD = b"GET / HTTP/1.1\r\n\r\n"
GOOD = fakes.http(200, b'{"a":1}')


class Wire(asyncio.Transport):
    """A transport of nothing: what was written, and whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.closed = False
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def connected(loop: asyncio.AbstractEventLoop | None = None) -> tuple[Connection, Wire]:
    connection, wire = Connection(loop or asyncio.get_running_loop()), Wire()
    connection.connection_made(wire)
    return connection, wire


async def whole(reply: Reply) -> bytes:
    return b"".join([chunk async for chunk in reply.chunks(1.0)])


async def answered(reply: Reply) -> bytes:
    await reply.head(1.0)
    return await whole(reply)


async def test_a_request_is_written_and_its_reply_read() -> None:
    connection, wire = connected()
    reply = connection.start(HEAD)
    connection.data_received(GOOD)
    await reply.head(1.0)
    assert (wire.written, reply.status, reply.length, await whole(reply)) == (HEAD, 200, 7, b'{"a":1}')


@pytest.mark.parametrize("size", range(1, len(GOOD), 7))
async def test_a_reply_means_the_same_in_whatever_pieces_it_comes(size: int) -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    for start in range(0, len(GOOD), size):
        connection.data_received(GOOD[start : start + size])
    assert (reply.status, await whole(reply), connection.reusable) == (200, b'{"a":1}', True)


async def test_a_reply_that_came_whole_can_be_had_at_once() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    assert reply.whole_body() is None
    connection.data_received(GOOD)
    assert reply.whole_body() == b'{"a":1}'


@pytest.mark.parametrize(
    "reply", [GOOD, fakes.http(204), fakes.http(304), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fakes.chunked(b"a")]
)
async def test_after_a_reply_that_was_whole_and_good_the_connection_is_reusable(reply: bytes) -> None:
    connection, _ = connected()
    connection.start(HEAD)
    connection.data_received(reply)
    assert connection.reusable


SUSPECT: dict[str, Callable[[Connection], None]] = {
    "an error": lambda connection: connection.data_received(fakes.http(404, b"{}")),
    "a word of closing": lambda connection: connection.data_received(fakes.http(200, b"{}", "Connection: close")),
    "an older protocol": lambda connection: connection.data_received(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "half a reply": lambda connection: connection.data_received(GOOD[:-1]),
    "stray bytes in the same piece": lambda connection: connection.data_received(GOOD + b"0123456789012345678"),
    "another reply in the same piece": lambda connection: connection.data_received(GOOD + GOOD),
    "another head in the same piece": lambda connection: connection.data_received(GOOD + b"HTTP/1.1 200 OK\r\n\r\n"),
    "half a head in the same piece": lambda connection: connection.data_received(GOOD + b"HTTP/1.1 200 OK\r\nX-A: "),
    "half a status line in the same piece": lambda connection: connection.data_received(GOOD + b"HTTP/1.1 2"),
    "garbage": lambda connection: connection.data_received(b"garbage\r\n\r\n"),
    "its end": lambda connection: connection.connection_lost(None),
    "our closing it": lambda connection: connection.close(),
}


@pytest.mark.parametrize("case", SUSPECT)
async def test_after_anything_else_it_is_not_reusable(case: str) -> None:
    connection, _ = connected()
    connection.start(HEAD)
    SUSPECT[case](connection)
    assert not connection.reusable


async def test_a_connection_is_not_reusable_while_its_reply_is_under_way() -> None:
    connection, _ = connected()
    connection.start(HEAD)
    assert not connection.reusable


async def test_a_byte_that_comes_while_it_idles_closes_it() -> None:
    connection, wire = connected()
    connection.start(HEAD)
    connection.data_received(GOOD)
    connection.data_received(b"H")
    assert (connection.reusable, wire.closed) == (False, True)


async def test_stray_bytes_behind_a_reply_take_nothing_from_it() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    connection.data_received(GOOD + b"\x00garbage")
    assert await whole(reply) == b'{"a":1}'


async def test_a_second_request_gets_the_second_reply() -> None:
    connection, _ = connected()
    first = connection.start(HEAD)
    connection.data_received(GOOD)
    second = connection.start(HEAD)
    connection.data_received(fakes.http(200, b"second"))
    assert (await whole(first), await whole(second)) == (b'{"a":1}', b"second")


MALFORMED = [
    b"garbage\r\n\r\n",
    b"HTTP/1.1 20\r\n\r\n",
    b"HTTP/3.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n\0",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 70,
    b"HTTP/1.1 200 OK\r\nA: " + b"b" * 40_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("data", MALFORMED)
async def test_a_malformed_reply_is_broken_and_closes_the_connection(data: bytes) -> None:
    connection, wire = connected()
    reply = connection.start(HEAD)
    connection.data_received(data)
    with pytest.raises(UpstreamBroken):
        await answered(reply)
    assert wire.closed


@pytest.mark.parametrize("came", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_connection_lost_before_the_head_is_a_broken_reply(came: bytes) -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    if came:
        connection.data_received(came)
    connection.connection_lost(ConnectionResetError())
    with pytest.raises(UpstreamBroken):
        await reply.head(1.0)


async def test_a_connection_lost_within_the_body_is_a_broken_body() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    connection.data_received(GOOD[:-1])
    await reply.head(1.0)
    connection.eof_received()
    connection.connection_lost(None)
    with pytest.raises(UpstreamBroken):
        await whole(reply)


async def test_a_body_without_a_length_is_whole_at_the_end_of_the_connection() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nsome")
    connection.data_received(b"thing")
    connection.eof_received()
    connection.connection_lost(None)
    assert (await whole(reply), connection.reusable) == (b"something", False)


async def test_no_head_in_time_is_a_timeout() -> None:
    connection, _ = connected()
    with pytest.raises(UpstreamTimeout):
        await connection.start(HEAD).head(0.001)


async def test_silence_within_a_body_is_a_timeout() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    connection.data_received(GOOD[:-1])
    with pytest.raises(TimeoutError):
        [chunk async for chunk in reply.chunks(0.001)]


async def test_interim_replies_are_skipped_with_their_headers() -> None:
    connection, _ = connected()
    reply = connection.start(HEAD)
    connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD)
    assert (reply.status, await whole(reply), {name for name, _ in reply.headers}) == (200, b'{"a":1}', {b"content-type", b"content-length"})


async def test_interim_replies_without_end_are_given_up() -> None:
    connection, wire = connected()
    connection.start(HEAD)
    for _ in range(200):
        connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: %s\r\n\r\n" % (b"x" * 1000))
    assert wire.closed


ENDLESS = {
    "a status line": b"HTTP/1.1 200 ",
    "a name": b"HTTP/1.1 200 OK\r\nX-",
    "a value": b"HTTP/1.1 200 OK\r\nX-A: ",
    "an interim head": b"HTTP/1.1 103 Early Hints\r\nX-A: ",
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
    "a head after an interim one": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-A: ",
}


@pytest.mark.parametrize("case", ENDLESS)
async def test_what_has_no_end_is_given_up_long_before_it_fills_the_memory(case: str) -> None:
    connection, wire = connected()
    reply = connection.start(HEAD)
    connection.data_received(ENDLESS[case])
    fed = 0
    while not wire.closed and fed < 25_000_000:
        connection.data_received(b"x" * 16384)
        fed += 16384
    with pytest.raises(UpstreamBroken):
        await answered(reply)
    assert (fed < 2**17, connection.reusable) == (True, False)


async def test_starting_on_a_connection_that_has_closed_is_a_broken_reply() -> None:
    connection, wire = connected()
    wire.closed = True
    with pytest.raises(UpstreamBroken):
        await connection.start(HEAD).head(1.0)
    assert wire.written == b""


@pytest.mark.parametrize(("exchanges", "came", "failed"), [(1, b"", False), (2, b"", True), (2, b"H", False)])
async def test_only_a_kept_connection_without_a_byte_of_an_answer_failed_when_reused(exchanges: int, came: bytes, failed: bool) -> None:
    connection, _ = connected()
    for _ in range(exchanges - 1):
        connection.start(HEAD)
        connection.data_received(GOOD)
    connection.start(HEAD)
    if came:
        connection.data_received(came)
    connection.connection_lost(None)
    assert connection.failed_when_reused == failed


# Holding back.


async def test_reading_pauses_while_nobody_takes_the_body_and_goes_on_when_somebody_does() -> None:
    connection, wire = connected()
    reply = connection.start(HEAD)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    fed = 0
    while not wire.paused:
        connection.data_received(b"x" * 65536)
        fed += 65536
    assert fed <= 2**20
    chunk = await anext(aiter(reply.chunks(1.0)))
    assert (len(chunk), wire.paused) == (fed, False)


async def test_sending_waits_while_slurmrestd_does_not_read() -> None:
    connection, _ = connected()
    connection.start(HEAD)
    connection.pause_writing()
    sending = asyncio.create_task(connection.send(b"x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sending.done()
    connection.resume_writing()
    await sending


async def test_a_sender_that_waits_goes_on_when_the_connection_is_lost() -> None:
    connection, _ = connected()
    connection.start(HEAD)
    connection.pause_writing()
    sending = asyncio.create_task(connection.send(b"x"))
    await asyncio.sleep(0)
    connection.connection_lost(ConnectionResetError())
    await sending


async def test_a_sender_that_was_cancelled_does_not_upset_the_connection() -> None:
    connection, _ = connected()
    connection.start(HEAD)
    connection.pause_writing()
    sending = asyncio.create_task(connection.send(b"x"))
    await asyncio.sleep(0)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    connection.resume_writing()
    await connection.send(b"y")


# The worst sender.


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_arrives_a_reply_ends_and_raises_nothing_of_the_parsers(pieces: list[bytes], head_first: bool) -> None:
    async def run() -> None:
        connection, wire = connected()
        reply = connection.start(HEAD)
        for piece in ([b"HTTP/1.1 200 OK\r\n"] if head_first else []) + pieces:
            if piece and not wire.closed:
                connection.data_received(piece)
        connection.eof_received()
        connection.connection_lost(None)
        assert not connection.reusable
        with contextlib.suppress(UpstreamBroken):
            await answered(reply)

    asyncio.run(run())


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=20))
@settings(max_examples=60, deadline=None)
def test_a_body_arrives_byte_for_byte_in_whatever_pieces(body: bytes, size: int) -> None:
    async def run() -> bytes:
        connection, _ = connected()
        reply = connection.start(HEAD)
        data = fakes.http(200, body)
        for start in range(0, len(data), size):
            connection.data_received(data[start : start + size])
        return await whole(reply)

    assert asyncio.run(run()) == body


async def test_a_connection_that_answers_before_it_has_all_of_a_request_is_not_used_again() -> None:
    connection, wire = connected()
    wire.unsent = 10
    reply = connection.start(HEAD + b"a small body")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (reply.status, connection.reusable) == (200, False)


async def test_a_connection_whose_request_went_out_whole_is_used_again() -> None:
    connection, _ = connected()
    connection.start(HEAD + b"a small body")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert connection.reusable

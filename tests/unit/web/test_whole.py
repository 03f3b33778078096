from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gateway.web.whole import Whole
from tests.web import fakes

Answering = Callable[[web.BaseRequest], web.StreamResponse]


class Serving:
    """A server that answers what the test says; ``ask`` sends bytes and reads all that comes until the connection is closed."""

    def __init__(self) -> None:
        self.answering: Answering = lambda _: Whole(body=b"")
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return self.answering(request)

    async def ask(self, *requests: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for request in requests:
                writer.write(request)
            async with asyncio.timeout(fakes.LIMIT):
                return await reader.read()
        finally:
            writer.close()


def get(method: str = "GET", version: str = "1.1", *, last: bool = True) -> bytes:
    return f"{method} / HTTP/{version}\r\nHost: x\r\n{'Connection: close' if last else 'X: y'}\r\n\r\n".encode()


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    made = Serving()
    runner = web.ServerRunner(web.Server(made.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def test_it_is_the_answer_that_aiohttp_would_write(serving: Serving) -> None:
    def head(data: bytes) -> tuple[bytes, set[bytes]]:
        lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        return lines[0], {line for line in lines[1:] if not line.startswith((b"Date:", b"Server:"))}

    told = []
    for kind in (Whole, web.Response):
        serving.answering = lambda _, kind=kind: kind(status=404, headers={"Content-Type": "text/plain", "X-Request-ID": "7"}, body=b"no")  # type: ignore[misc]
        told.append(await serving.ask(get()))
    assert head(told[0]) == head(told[1])
    assert [data.endswith(b"\r\n\r\nno") for data in told] == [True, True]


async def test_a_connection_carries_one_answer_after_the_other(serving: Serving) -> None:
    serving.answering = lambda _: Whole(body=b"body")
    data = await serving.ask(get(last=False), get(last=False), get())
    assert (data.count(b"HTTP/1.1 200 OK\r\n"), data.count(b"\r\n\r\nbody"), data.count(b"Connection: close")) == (3, 3, 1)


async def test_head_is_told_the_length_and_nothing_more(serving: Serving) -> None:
    serving.answering = lambda _: Whole(body=b"four")
    data = await serving.ask(get("HEAD"))
    assert b"Content-Length: 4\r\n" in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none(serving: Serving, status: int) -> None:
    serving.answering = lambda _: Whole(status=status)
    assert (await serving.ask(get())).endswith(b"\r\n\r\n")


async def test_http_1_0_is_answered_in_its_own_way(serving: Serving) -> None:
    serving.answering = lambda _: Whole(body=b"old")
    data = await serving.ask(get(version="1.0"))
    assert data.startswith(b"HTTP/1.0 200 OK\r\n")
    assert data.endswith(b"old")


async def test_a_large_body_is_whole_too(serving: Serving) -> None:
    serving.answering = lambda _: Whole(body=b"x" * 300_000)
    assert (await serving.ask(get())).endswith(b"\r\n\r\n" + b"x" * 300_000)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_can_not_become_two(serving: Serving, value: str) -> None:
    serving.answering = lambda _: Whole(headers={"X": value}, body=b"body")
    data = await serving.ask(get())
    assert data == b""  # as with aiohttp's own: what must not be written ends the connection


async def test_a_client_that_sends_and_never_reads_is_not_written_to_for_ever(serving: Serving) -> None:
    answered = 0

    def answer(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal answered
        answered += 1
        return Whole(body=b"x" * 60_000)

    serving.answering = answer
    _, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1024)
    try:
        for _ in range(3000):
            writer.write(get(last=False))
        seen = -1
        while seen != answered:
            seen = answered
            await asyncio.sleep(0.3)  # as long as it takes to see that nothing more is answered
        assert answered < 1000
    finally:
        writer.transport.abort()

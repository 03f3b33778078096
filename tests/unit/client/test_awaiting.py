"""What is particular about awaiting: several questions at once, and being cancelled. The rest is tested with the blocking side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from gateway.client import AsyncGateway, GatewayError
from gateway.secret import Secret
from tests.unit.client.misbehaving import Caller, always, http, serving

TOKEN = "sgw_" + "a" * 49
REFUSAL = http(401, b'{"reason": "token_refused", "detail": "d", "hint": "h"}', media_type="application/problem+json")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: ready\ndata: {}\n\n"


async def test_questions_that_are_asked_together_are_under_way_together() -> None:
    together = threading.Barrier(3, timeout=10)

    def script(caller: Caller) -> None:
        caller.request()
        together.wait()
        caller.say(http())

    with serving(script) as server:
        async with AsyncGateway(server.url, token=TOKEN) as gateway:
            await asyncio.gather(gateway.ping(), gateway.ping(), gateway.ping())


async def test_of_those_who_are_refused_together_one_signs_in_for_all() -> None:
    proofs: list[str] = []

    async def prove(error: GatewayError) -> Secret:
        proofs.append(error.reason)
        await asyncio.sleep(0.05)
        return Secret(b"sgw_new")

    def script(caller: Caller) -> None:
        while True:
            caller.say(http() if b"sgw_new" in caller.request() else REFUSAL)

    with serving(script) as server:
        async with AsyncGateway(server.url, token=TOKEN, prove=prove) as gateway:
            await asyncio.gather(*(gateway.ping() for _ in range(5)))
    assert proofs == ["token_refused"]


async def test_a_question_that_is_cancelled_closes_its_connection_and_others_go_on() -> None:
    gone = threading.Event()

    def script(caller: Caller) -> None:
        caller.request()
        caller.wait()
        gone.set()

    with serving(script, always(http())) as server:
        async with AsyncGateway(server.url, token=TOKEN) as gateway:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await gateway.ping()
            assert await asyncio.to_thread(gone.wait, 5)
            await gateway.ping()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_stream_that_is_left_is_closed(cancelled: bool) -> None:
    gone = threading.Event()

    def script(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM)
        caller.wait()
        gone.set()

    with serving(script) as server:
        async with AsyncGateway(server.url, token=TOKEN) as gateway:

            async def listen() -> None:
                async with contextlib.aclosing(gateway.events()) as events:
                    async for event in events:
                        assert event.kind == "ready"
                        if not cancelled:
                            return

            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await listen()
            assert await asyncio.to_thread(gone.wait, 5)


async def test_a_queue_that_is_cancelled_while_somebody_is_asked_waits_for_no_answer(tmp_path: Path) -> None:
    asked, answered, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def prove(error: GatewayError) -> Secret:
        asked.set()
        try:
            await answered.wait()
        except asyncio.CancelledError:
            given_up.set()
            raise
        raise error

    def script(caller: Caller) -> None:
        while True:
            caller.request()
            caller.say(REFUSAL)

    async def run() -> None:
        async with contextlib.aclosing(gateway.queue(tmp_path)) as events:
            async for _ in events:
                pass

    with serving(script) as server:
        async with AsyncGateway(server.url, token=TOKEN, prove=prove) as gateway:
            running = asyncio.create_task(run())
            await asyncio.wait_for(asked.wait(), 10)
            running.cancel()
            try:
                ended, _ = await asyncio.wait({running}, timeout=5)
                assert ended == {running}
                await asyncio.wait_for(given_up.wait(), 5)
            finally:
                answered.set()
            assert running.cancelled()


async def test_a_gateway_may_be_closed_twice_and_before_it_was_used() -> None:
    gateway = AsyncGateway("https://gateway.example.org", token=TOKEN)
    await gateway.close()
    await gateway.close()

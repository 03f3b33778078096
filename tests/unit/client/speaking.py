"""Both sides of the library spoken to in one way, so that each test of a connection asks it of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Protocol, TypeVar

from gateway.client.address import Address
from gateway.client.asking import Answer, Ask, Conversation
from gateway.client.awaiting import AsyncConnection
from gateway.client.blocking import Connection
from gateway.client.errors import GatewayError
from gateway.client.news import Event
from gateway.secret import Secret

T = TypeVar("T")
READ = Ask(method="GET", path="/slurm/latest/jobs", repeatable=True, timeout=5)
CHANGE = Ask(method="POST", path="/auth/tokens", body=b'{"name": "ci"}', timeout=5)


class Speaker(Protocol):
    """A connection, blocking or not."""

    def __call__(self, *conversations: Conversation[Any], **settings: Any) -> list[Any]: ...

    def hear(self, conversation: Conversation[None], most: int, **settings: Any) -> list[Event]: ...


def one(question: Ask) -> Conversation[Answer]:
    """Ask once, and return whatever is answered."""
    answer = yield question
    assert isinstance(answer, Answer)
    return answer


class Blocking:
    """Speaks over http.client."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *conversations: Conversation[Any], **settings: Any) -> list[Any]:
        """Carry one conversation after the other on one connection; an error is what came of it."""
        with closing(self._made(settings)) as connection:
            return [_tried(partial(connection.carry, conversation)) for conversation in conversations]

    def hear(self, conversation: Conversation[None], most: int, **settings: Any) -> list[Event]:
        """Listen to so many events."""
        with closing(self._made(settings)) as connection, closing(connection.listen(conversation)) as events:
            return [next(events) for _ in range(most)]

    def _made(self, settings: dict[str, Any]) -> Connection:
        return Connection(Address.of(self.url), **{"trust": None, "sleep": lambda _seconds: None, **settings})


class Awaiting:
    """Speaks over aiohttp."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *conversations: Conversation[Any], **settings: Any) -> list[Any]:
        async def main() -> list[Any]:
            with_closing = self._made(settings)
            try:
                found = []
                for conversation in conversations:
                    try:
                        found.append(await with_closing.carry(conversation))
                    except GatewayError as error:
                        found.append(error)
                return found
            finally:
                await with_closing.close()

        return asyncio.run(main())

    def hear(self, conversation: Conversation[None], most: int, **settings: Any) -> list[Event]:
        async def main() -> list[Event]:
            connection = self._made(settings)
            events: list[Event] = []
            try:
                async with aclosing(connection.listen(conversation)) as stream:
                    async for event in stream:
                        events.append(event)
                        if len(events) == most:
                            break
                return events
            finally:
                await connection.close()

        return asyncio.run(main())

    def _made(self, settings: dict[str, Any]) -> AsyncConnection:
        async def slept(_seconds: float) -> None:
            await asyncio.sleep(0)

        known = {"trust": None, "sleep": slept, **settings}
        if "prove" in known:
            prove = known["prove"]

            async def proved(error: GatewayError) -> Secret:
                return prove(error)  # type: ignore[no-any-return]

            known["prove"] = proved
        return AsyncConnection(Address.of(self.url), **known)


def _tried(do: Callable[[], T]) -> T | GatewayError:
    try:
        return do()
    except GatewayError as error:
        return error

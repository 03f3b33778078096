"""A RADIUS server that does what a real one cannot be made to do: stay silent, answer wrongly, or from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.config import Endpoint

Reply = Callable[[bytes], "list[bytes]"]


@dataclass
class FakeServer(asyncio.DatagramProtocol):
    """Answers each request with the packets that ``reply`` makes of it; ``seen`` has what came, ``stranger`` answers in its place if there is one."""

    reply: Reply
    seen: list[bytes] = field(default_factory=list)
    transport: Any = None
    stranger: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.seen.append(data)
        for packet in self.reply(data):
            (self.stranger or self.transport).sendto(packet, addr)

    @property
    def endpoint(self) -> Endpoint:
        host, port = self.transport.get_extra_info("sockname")
        return Endpoint(host=host, port=port)


@asynccontextmanager
async def fake_server(reply: Reply, *, from_elsewhere: bool = False) -> AsyncIterator[FakeServer]:
    """Run one on loopback until the block ends."""
    loop, server = asyncio.get_running_loop(), FakeServer(reply)
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    if from_elsewhere:
        server.stranger, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
        if server.stranger is not None:
            server.stranger.close()

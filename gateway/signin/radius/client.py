"""Asking RADIUS servers over UDP, each in its turn, within bounded time; nothing here blocks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import structlog

from gateway.config import Endpoint, Secret
from gateway.errors import FactorUnavailable
from gateway.signin.radius.packet import ENTROPY_BYTES, Question, Verdict, question

logger = structlog.get_logger()


class RadiusClient:
    """Asks the servers in their order; each ``attempts`` times, waiting ``timeout`` seconds for each answer."""

    def __init__(self, servers: Sequence[Endpoint], secret: Secret, *, nas_identifier: str, timeout: float, attempts: int) -> None:
        self._servers = servers
        self._secret = secret
        self._nas_identifier = nas_identifier
        self._timeout = timeout
        self._attempts = attempts

    async def ask(self, username: str, code: str, address: str) -> Verdict:
        """Return the first verdict; raise FactorUnavailable when no server gives one."""
        for server in self._servers:
            entropy = secrets.token_bytes(ENTROPY_BYTES)
            asked = question(self._secret, entropy, username=username, code=code, address=address, nas_identifier=self._nas_identifier)
            verdict = await self._ask_one(server, asked)
            if verdict is not None:
                return verdict
            logger.warning("radius_silent", server=str(server))
        raise FactorUnavailable("radius_silent")

    async def _ask_one(self, server: Endpoint, asked: Question) -> Verdict | None:
        """Ask one server from a port of its own: the socket is connected, so that the kernel keeps out what others send (udp(7))."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                transport, ear = await loop.create_datagram_endpoint(lambda: _Ear(asked), remote_addr=(server.host, server.port))
        except OSError:  # TimeoutError is one
            return None
        try:
            for _ in range(self._attempts):
                transport.sendto(asked.data)
                done, _waiting = await asyncio.wait({ear.heard}, timeout=self._timeout)
                if done:
                    return ear.heard.result()
        finally:
            transport.close()
        return None


class _Ear(asyncio.DatagramProtocol):
    """Hears the first authentic answer to one request; None when the server's machine says that nobody listens there."""

    def __init__(self, asked: Question) -> None:
        self._asked = asked
        self.heard: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _sender: Any) -> None:  # noqa: ANN401 - an address of whatever family
        """Take an answer that is one; ignore the rest, for whoever can send to this port may try to drown the true one."""
        verdict = self._asked.verdict(data)
        if verdict is not None and not self.heard.done():
            self.heard.set_result(verdict)

    def error_received(self, _error: Exception) -> None:
        """Give up on a server that is not there."""
        if not self.heard.done():
            self.heard.set_result(None)

"""A connection that waits: carries conversations over the standard library's http.client, which is there as soon as Python is."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from gateway import __version__
from gateway.client.address import Address
from gateway.client.asking import Answer, Ask, Conversation, Pause, Prove
from gateway.client.errors import GatewayError, UnreachableError
from gateway.secret import Secret

T = TypeVar("T")
AGENT = f"slurm-gateway/{__version__}"
_CONNECT = 15.0
_PIECE = 64 * 1024


class Connection:
    """Speaks to one gateway, one request at a time; used from one thread.

    ``prove`` is called with the refusal that a new sign-in or a new code would answer: it returns the token to go on with, or raises.
    ``pause`` sleeps; ``on_pause`` is told of each pause, and why.
    """

    def __init__(
        self,
        address: Address,
        *,
        trust: ssl.SSLContext | None,
        token: Secret | None = None,
        prove: Callable[[GatewayError], Secret] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        on_pause: Callable[[Pause], None] | None = None,
    ) -> None:
        self.address = address
        self.token = token
        self._trust = trust
        self._prove = prove
        self._sleep = sleep
        self._on_pause = on_pause
        self._kept: http.client.HTTPConnection | None = None

    def carry(self, conversation: Conversation[T]) -> T:
        """Carry ``conversation`` to its end and return what it was for; raise GatewayError."""
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Ask):
                    try:
                        answer = self._exchange(step)
                    except UnreachableError as error:
                        step = conversation.throw(error)
                    else:
                        step = conversation.send(answer)
                    continue
                if isinstance(step, Pause):
                    self._wait(step)
                else:
                    self._sign_in_again(step)
                step = conversation.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def sibling(self) -> Connection:
        """Return another connection to the same gateway with the token of now, for another thread; it signs nobody in."""
        return Connection(self.address, trust=self._trust, token=self.token)

    def close(self) -> None:
        """Close the connection that is kept, if there is one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    @contextmanager
    def stream(self, question: Ask) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send a request and give its answer's head, with an empty body, and the pieces of its body as they come; raise UnreachableError."""
        connection = self._open(question.timeout)
        try:
            response = self._response(connection, question)
            yield _head(response, b""), _pieces(response, self.address)
        finally:
            connection.close()

    def _exchange(self, question: Ask) -> Answer:
        """Send one request; what may not be sent twice goes on a new connection, for a kept one may have been closed by the other side."""
        kept, self._kept = self._kept, None
        if kept is not None and question.repeatable:
            with suppress(UnreachableError):
                return self._on(kept, question)
        elif kept is not None:
            kept.close()
        return self._on(self._open(question.timeout), question)

    def _on(self, connection: http.client.HTTPConnection, question: Ask) -> Answer:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(question.timeout)
            response = self._response(connection, question)
            body = _whole(response, self.address)
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._kept = connection
        return _head(response, body)

    def _open(self, timeout: float) -> http.client.HTTPConnection:
        address = self.address
        connection: http.client.HTTPConnection
        if address.tls:
            connection = http.client.HTTPSConnection(address.host, address.port, timeout=_CONNECT, context=self._trust)
        else:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=_CONNECT)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(
                f"the certificate of {address.host} is not trusted: {error.verify_message}",
                hint="Name its CA with --ca FILE.",
                sent=False,
                lasting=True,
            ) from error
        except (OSError, http.client.HTTPException) as error:
            lasting = isinstance(error, socket.gaierror)
            raise UnreachableError(
                f"{address.url} cannot be reached: {_why(error)}", hint="Check the address and your network.", sent=False, lasting=lasting
            ) from error
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _response(self, connection: http.client.HTTPConnection, question: Ask) -> http.client.HTTPResponse:
        try:
            connection.request(question.method, self.address.target(question.path, question.query), question.body, self._headers(question))
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self.address, error) from error

    def _headers(self, question: Ask) -> dict[str, str]:
        headers = {"User-Agent": AGENT, "Accept": "application/json", **dict(question.headers)}
        if question.body is None and question.method in {"POST", "PUT"}:
            headers["Content-Length"] = "0"
        if self.token is not None and not question.anonymous:
            headers["Authorization"] = f"Bearer {self.token.reveal().decode()}"
        return headers

    def _wait(self, pause: Pause) -> None:
        if self._on_pause is not None:
            self._on_pause(pause)
        self._sleep(pause.seconds)

    def _sign_in_again(self, step: Prove) -> None:
        if self._prove is None:
            raise step.error
        self.token = self._prove(step.error)


def _head(response: http.client.HTTPResponse, body: bytes) -> Answer:
    return Answer(status=response.status, headers={name.lower(): value for name, value in response.getheaders()}, body=body)


def _whole(response: http.client.HTTPResponse, address: Address) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _broken(address, error) from error


def _pieces(response: http.client.HTTPResponse, address: Address) -> Iterator[bytes]:
    try:
        while piece := response.read1(_PIECE):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise _broken(address, error) from error


def _broken(address: Address, error: Exception) -> UnreachableError:
    return UnreachableError(f"{address.url} broke off: {_why(error)}", hint="Check your network, then look whether it was done.", sent=True)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

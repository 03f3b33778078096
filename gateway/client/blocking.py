"""A connection that waits: carries conversations over the standard library's http.client, which is there as soon as Python is."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gateway import __version__
from gateway.client.address import Address, Proxy
from gateway.client.asking import LARGEST, Answer, Ask, Conversation, More, Pause, Prove, Step, Tell, fields, too_large, unpacked
from gateway.client.errors import GatewayError, UnreachableError
from gateway.client.news import Event
from gateway.secret import Secret

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

T = TypeVar("T")
AGENT = f"slurm-gateway/{__version__}"
CONNECT = 15.0
"""Seconds to connect in, each of a host's addresses."""
LONGEST = 900.0
"""Seconds that an answer has at most, from its first byte to its last, however busily it comes."""
_PIECE = 64 * 1024
KEPT_FOR = 20.0
"""Seconds that an idle connection is kept: those in between close it after a minute or so, and say nothing where they only forget it."""
# Bytes a second that a request body goes out with at least.
_SLOWEST = 64 * 1024


class Connection:
    """Speaks to one gateway, one request at a time; used from one thread.

    ``prove`` is called with the refusal that a new sign-in or a new code would answer: it returns the token to go on with, or raises.
    ``sleep`` pauses; ``on_pause`` is told of each pause, and why. ``largest`` is the most bytes that an answer may have.
    """

    def __init__(
        self,
        address: Address,
        *,
        trust: ssl.SSLContext | None,
        proxy: Proxy | None = None,
        token: Secret | None = None,
        largest: int = LARGEST,
        prove: Callable[[GatewayError], Secret] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        on_pause: Callable[[Pause], None] | None = None,
    ) -> None:
        self.address = address
        self.token = token
        self._trust = trust
        self._proxy = proxy
        self._largest = largest
        self._prove = prove
        self._sleep = sleep
        self._on_pause = on_pause
        self._kept: http.client.HTTPConnection | None = None
        self._kept_since = 0.0
        self._heard: socket.socket | None = None
        self._hung_up = False

    def carry(self, conversation: Conversation[T]) -> T:
        """Carry ``conversation`` to its end and return what it was for; raise GatewayError."""
        try:
            step = next(conversation)
            while True:
                try:
                    answer = self._take(step)
                except GatewayError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            conversation.close()

    def listen(self, conversation: Conversation[None]) -> Generator[Event, None, None]:
        """Carry ``conversation`` and yield what it tells, for as long as somebody listens; raise GatewayError."""
        stream = _Stream(self)
        try:
            step = next(conversation)
            while True:
                answer: Answer | bytes | None = None
                if isinstance(step, Tell):
                    yield step.event
                try:
                    if isinstance(step, Ask):
                        answer = stream.open(step)
                    elif isinstance(step, More):
                        answer = stream.read()
                    elif not isinstance(step, Tell):
                        answer = self._take(step)
                except GatewayError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration:
            return
        finally:
            stream.close()
            conversation.close()

    @contextmanager
    def stream(self, question: Ask) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send one request, once, and give its answer's head, whatever its status, and the pieces of its body as they come; raise GatewayError."""
        stream = _Stream(self)
        try:
            answer = stream.open(question)
            yield replace(answer, body=b""), iter((answer.body,)) if answer.body else iter(stream.read, b"")
        finally:
            stream.close()

    def sibling(self) -> Connection:
        """Return another connection to the same gateway with the token of now, for another thread; it signs nobody in."""
        return Connection(self.address, trust=self._trust, proxy=self._proxy, token=self.token, largest=self._largest)

    def close(self) -> None:
        """Close the connection that is kept, if there is one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def hang_up(self) -> None:
        """End the stream that another thread listens to, at once and for good, with an UnreachableError."""
        self._hung_up = True
        if self._heard is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._heard, socket.SHUT_RDWR)  # of what is below TLS, which only the thread that reads may touch

    def open(self, question: Ask) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one request on a connection of its own; return that and the answer, of which the head has come. Raise GatewayError."""
        connection = self._connect()
        self._heard = connection.sock
        try:
            return connection, self._response(connection, question, longest=float("inf"))
        except BaseException:
            connection.close()
            raise

    def whole(self, question: Ask, response: http.client.HTTPResponse) -> Answer:
        """Return an answer with all of its body; raise GatewayError."""
        try:
            expected = response.length
            if expected is not None and expected > self._largest:
                raise too_large(self._largest)
            body = bytearray()
            while piece := response.read(min(_PIECE, self._largest + 1)):
                body += piece
                if len(body) > self._largest:
                    raise too_large(self._largest)
            if response.length:  # read() of a part does not say so itself
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(self.address, error) from error
        return unpacked(question, head(response, bytes(body)), self._largest)

    def _take(self, step: Step) -> Answer | None:
        """Do what a conversation wants, but for what a stream is for."""
        if isinstance(step, Ask):
            return self._exchange(step)
        if isinstance(step, Pause):
            if self._hung_up:
                raise UnreachableError("somebody hung up", hint="Ask again.", sent=False)
            if self._on_pause is not None:
                self._on_pause(step)
            self._sleep(step.seconds)
        elif isinstance(step, Prove):
            if self._prove is None:
                raise step.error
            self.token = self._prove(step.error)
        return None

    def _exchange(self, question: Ask) -> Answer:
        """Send one request; what may not be sent twice goes on a new connection, for a kept one may have been closed by the other side."""
        kept, self._kept = self._kept, None
        if kept is not None and question.repeatable and time.monotonic() - self._kept_since < KEPT_FOR:
            try:
                return self._on(kept, question)
            except _ClosedError:
                pass
        elif kept is not None:
            kept.close()
        return self._on(self._connect(), question)

    def _on(self, connection: http.client.HTTPConnection, question: Ask) -> Answer:
        try:
            # An answer whose connection is not kept is all that holds it by now.
            with self._response(connection, question, longest=question.timeout + LONGEST) as response:
                answer = self.whole(question, response)
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._kept, self._kept_since = connection, time.monotonic()
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        address, at = self.address, self._proxy or self.address
        connection: http.client.HTTPConnection
        if address.tls:
            connection = http.client.HTTPSConnection(at.host, at.port, timeout=CONNECT, context=self._trust)
        else:
            connection = http.client.HTTPConnection(at.host, at.port, timeout=CONNECT)
        if self._proxy is not None:
            connection.set_tunnel(address.host, address.port, self._proxy.headers)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise not_connected(address, self._proxy, error) from error
        connection.auto_open = 0
        return connection

    def _response(self, connection: http.client.HTTPConnection, question: Ask, *, longest: float) -> http.client.HTTPResponse:
        headers = fields(question, self.token, AGENT)
        target = self.address.target(question.path, question.query)
        sock = connection.sock
        assert sock is not None  # noqa: S101 - it is connected
        until = time.monotonic() + longest

        connection.response_class = partial(_Response, silence=question.timeout, until=until)  # type: ignore[assignment]  # it makes them
        try:
            sock.settimeout(question.timeout + len(question.body or b"") / _SLOWEST)
            try:
                connection.request(question.method, target, question.body, headers)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                # Whoever refuses a request before they have read all of it, may have said why.
                return connection.getresponse()
            return connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(self.address, error) from error


class _Stream:
    """The answer that is read piece by piece: one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None

    def open(self, question: Ask) -> Answer:
        """Send a request, and give the answer: of one of success the head alone, of another one all."""
        self.close()
        self._open, self._response = self._connection.open(question)
        if self._response.status == 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
            return head(self._response, b"")
        answer = self._connection.whole(question, self._response)
        self.close()
        return answer

    def read(self) -> bytes:
        """Return the next piece, empty at the end."""
        if self._response is None:
            return b""
        try:
            return self._response.read1(_PIECE)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(self._connection.address, error) from error

    def close(self) -> None:
        """Close what is open."""
        if self._response is not None:
            self._response.close()
        if self._open is not None:
            self._open.close()
        self._open = self._response = None


class _Response(http.client.HTTPResponse):
    """An answer that may take its time, but not for ever."""

    def __init__(self, sock: socket.socket, *args: Any, silence: float, until: float, **kwargs: Any) -> None:  # noqa: ANN401 - as http.client has them
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Patient(self.fp, sock, silence, until), _PIECE)


class _Patient(io.RawIOBase):
    """Reads from a socket: with so many seconds of silence at most, and until then at most, however slowly it trickles."""

    def __init__(self, stream: io.BufferedReader, sock: socket.socket, silence: float, until: float) -> None:
        # Not ours to close before it is read: a connection that will not be kept is closed as soon as the head of the answer has come.
        self._stream = stream
        self._sock = sock
        self._silence = silence
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(min(self._silence, left))
        return self._stream.readinto1(buffer)

    def readall(self) -> bytes:
        # http.client takes a chunk of the size -1 for all that is still to come, however much that is.
        raise ValueError("a chunk without a size")

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _ClosedError(UnreachableError):
    """The other side had closed the connection: where it was kept from before, nothing is wrong yet."""


def head(response: http.client.HTTPResponse, body: bytes) -> Answer:
    """Return an answer with ``body``."""
    return Answer(status=response.status, headers={name.lower(): value for name, value in response.getheaders()}, body=body)


def not_connected(address: Address, proxy: Proxy | None, error: Exception) -> UnreachableError:
    """Return the error for a connection that did not come about: nothing was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return UnreachableError(
            f"the certificate of {address.host} is not trusted: {error.verify_message}", hint=_certificate_hint(error), sent=False, lasting=True
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return UnreachableError(
            f"{address.url} does not speak TLS as it should: {error.reason or 'no handshake'}",
            hint="Check the port of the address; in a network that one signs in to, sign in first.",
            sent=False,
            lasting=True,
        )
    lasting = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
    if proxy is not None:
        hint = "Check HTTPS_PROXY, or name the gateway in NO_PROXY."
        return UnreachableError(
            f"{address.url} cannot be reached through the proxy {proxy.url}: {why(error)}", hint=hint, sent=False, lasting=lasting
        )
    return UnreachableError(f"{address.url} cannot be reached: {why(error)}", hint="Check the address and your network.", sent=False, lasting=lasting)


def _certificate_hint(error: ssl.SSLCertVerificationError) -> str:
    # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH, X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
    if error.verify_code in {62, 64}:
        return "Use the name that is in the certificate; nothing was sent to whoever answers there."
    if error.verify_code in {9, 10}:
        return "Check the clock of this machine; if it is right, tell your administrators."
    return "If the gateway's certificate is of a CA of its own, name that with --ca FILE."


def broken(address: Address, error: Exception) -> UnreachableError:
    """Return the error for an exchange that came to no end: what was asked for may have been done."""
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError, http.client.NotConnected)):
        return _ClosedError(f"{address.url} broke off: {why(error)}", hint="Check your network, then look whether it was done.", sent=True)
    if isinstance(error, (OSError, http.client.IncompleteRead)):
        return UnreachableError(f"{address.url} broke off: {why(error)}", hint="Check your network, then look whether it was done.", sent=True)
    return no_http(address, error)


def no_http(address: Address, error: Exception) -> UnreachableError:
    """Return the error for an answer that is no HTTP."""
    message = f"{address.url} answers with something that is no HTTP: {type(error).__name__}"
    return UnreachableError(message, hint="Check the address and its port.", sent=True, lasting=True)


def why(error: BaseException) -> str:
    """Say in some words why a connection failed."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

"""One connection to slurmrestd: a request goes out, a reply comes in, parsed by llhttp (through httptools).

slurmrestd's HTTP is its own (malformed rejections, stray bytes after a body, closing after every error), so the parser runs on a bare
asyncio protocol that knows at each moment what has arrived, and a connection is used again only when its reply was whole and good.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools

from gateway.errors import UpstreamBroken, UpstreamTimeout

# Reading stops above this and goes on below a quarter of it: a slow client holds this much of a reply, not all of it.
_HIGH_WATER = 256 * 1024
_LOW_WATER = _HIGH_WATER // 4
_MAX_HEADERS = 64
_MAX_HEAD_BYTES = 32 * 1024


class Origin:
    """The slurmrestd that a connection leads to: its number among its cluster's, what it is called, and how it behaves."""

    def __init__(self, number: int = 0, host: str = "localhost") -> None:
        self.number = number
        self.host = host
        # How often bytes came from it.
        self.heard = 0
        # Whether it has failed since its last answer, so that an answer is news.
        self.troubled = False


class Reply:
    """A reply as it arrives: ``status``, ``headers`` (names in lower case) and ``length`` once its head is there, then its body."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self._head_done: asyncio.Future[None] = loop.create_future()
        self.complete = False
        self.error: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._wakeup: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take a piece of the body in."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER:
            self._connection.pause_reading()
        self._wake()

    def finish(self, error: Exception | None = None) -> None:
        """Note that nothing more will come: the reply is whole, or ``error`` ended it."""
        if self.complete or self.error is not None:
            return
        self.error = error
        self.complete = error is None
        self.note_head()
        self._wake()

    def note_head(self) -> None:
        """Let whoever waits for the head go on: it is there, or never will be."""
        if not self._head_done.done():
            self._head_done.set_result(None)

    @property
    def answered(self) -> bool:
        """Whether the head is there, or never will be."""
        return self._head_done.done()

    def settled(self) -> asyncio.Future[None]:
        """Return a future that is done when ``answered`` is true; whoever waits for it must not cancel it."""
        return self._head_done

    async def head(self, timeout: float) -> None:  # noqa: ASYNC109 - kept by a timer of the loop, which costs a third of asyncio.timeout
        """Wait for the head; raise UpstreamBroken when none will come, UpstreamTimeout after ``timeout`` seconds."""
        if not self._head_done.done():
            timer = self._loop.call_later(timeout, self._time_out)
            try:
                await self._head_done
            finally:
                timer.cancel()
        if self.error is not None and self.status == 0:
            raise self.error

    def _time_out(self) -> None:
        self.finish(UpstreamTimeout("no answer in time"))

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def chunks(self, timeout: float) -> AsyncIterator[bytes]:  # noqa: ASYNC109 - a limit on each silence, not on the whole
        """Yield the body as it arrives; raise UpstreamBroken when it breaks off, TimeoutError after ``timeout`` seconds of silence."""
        while True:
            if self._chunks:
                data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
                self._chunks.clear()
                self._buffered = 0
                self._connection.resume_reading()
                yield data
            elif self.error is not None:
                raise self.error
            elif self.complete:
                return
            else:
                self._wakeup = self._loop.create_future()
                async with asyncio.timeout(timeout):
                    await self._wakeup

    @property
    def chunked(self) -> bool:
        """Whether the body says itself where it ends."""
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def whole_body(self) -> bytes | None:
        """Return the body if all of it has arrived already, else None."""
        return b"".join(self._chunks) if self.complete else None


class Connection(asyncio.Protocol):
    """The protocol of one connection; one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin | None = None) -> None:
        self._loop = loop
        self.origin = origin or Origin()
        self._transport: asyncio.Transport | None = None
        # Asked by its number only while the transport is open: a closed one's may be somebody else's.
        self._kernel: select.poll | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: Reply | None = None
        self._bodiless_bytes = 0
        self._body_came = False
        self._field_bytes = 0
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._suspect = False
        self._sending = False
        self._exchanges = 0
        self._answered = False
        self.idle_since = 0.0
        # Whose call it carries, and whether that call may be broken off to be made elsewhere.
        self.user = ""
        self.repeatable = False
        # Whether anything of the request may have left.
        self.sent = False

    # What the pool asks.

    @property
    def reusable(self) -> bool:
        """Whether another request may go out on it: open, its last reply whole and good, and nothing stray behind it."""
        if self._suspect or self._paused or self._reply is not None:
            return False
        return self._transport is not None and not self._transport.is_closing()

    def is_quiet(self) -> bool:
        """Ask the kernel whether nothing has come that the loop does not know of yet: above all, that slurmrestd has closed."""
        return self._kernel is None or not self._kernel.poll(0)

    @property
    def failed_when_reused(self) -> bool:
        """Whether its last request was not its first, and not one byte of an answer to it came."""
        return self._exchanges > 1 and not self._answered

    @property
    def failed_when_new(self) -> bool:
        """Whether its first request had not one byte of an answer: that a kept connection has none may be chance."""
        return self._exchanges == 1 and self.waited_in_vain

    @property
    def waited_in_vain(self) -> bool:
        """Whether its last request went out, and not one byte of an answer to it came."""
        return self.sent and not self._answered

    @property
    def waits(self) -> bool:
        """Whether a request is under way that nothing has come of yet."""
        return self._reply is not None and not self._answered

    def close(self) -> None:
        """Close at once; a reply under way ends as broken."""
        self._suspect = True
        if self._transport is not None:
            self._transport.abort()

    # What the forwarder does.

    def start(self, head: bytes) -> Reply:
        """Send ``head``, and a small body behind it, and return the reply that will come."""
        reply = Reply(self, self._loop)
        self._reply = reply
        self._bodiless_bytes = 0
        self._field_bytes = 0
        self._exchanges += 1
        self._answered = False
        self.sent = self._transport is not None and not self._transport.is_closing()
        if self._transport is None or not self.sent:
            reply.finish(UpstreamBroken("closed_before_sending"))
        else:
            self._transport.write(head)
            # What the kernel has not taken yet follows; see ``expect_body``.
            self._sending = self._transport.get_write_buffer_size() > 0
        return reply

    def expect_body(self) -> None:
        """Note that a body follows the head: until ``body_sent``, an answer makes this connection one that is not used again."""
        self._sending = True

    def body_sent(self) -> None:
        """Note that all of the body has gone out."""
        self._sending = False

    async def send(self, data: bytes) -> None:
        """Send a piece of the body, waiting while slurmrestd does not read."""
        if self._transport is None or self._transport.is_closing():
            return  # the reply knows why
        self._transport.write(data)
        if self._writable is not None:
            await self._writable

    def pause_reading(self) -> None:
        """Let the kernel hold what comes: the client is slower than slurmrestd."""
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        descriptor = transport.get_extra_info("socket")
        if descriptor is not None:
            self._kernel = select.poll()
            self._kernel.register(descriptor.fileno(), select.POLLIN | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        """Parse what came; bytes that belong to no reply make the connection suspect."""
        reply = self._reply
        if reply is None:
            self.close()
            return
        self._answered = True
        self.origin.heard += 1
        self._body_came = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._suspect = True
            if not reply.complete:
                self._malformed(reply, error)
        # What is no body is a head or a trailer, and is kept by the parser until it ends.
        self._bodiless_bytes = 0 if self._body_came else self._bodiless_bytes + len(data)
        if self._bodiless_bytes > _MAX_HEAD_BYTES and not reply.complete:
            self._malformed(reply, ValueError("endless head or trailer"))
        if reply.complete and self._suspect:
            self.close()

    def _malformed(self, reply: Reply, error: Exception) -> None:
        broken = UpstreamBroken(f"malformed reply: {type(error).__name__}")
        broken.__cause__ = error
        reply.finish(broken)
        self.close()

    def eof_received(self) -> bool:
        """Slurmrestd has closed: a reply that has no length is whole now."""
        reply = self._reply
        if reply is not None and reply.status and reply.length is None and not reply.chunked:
            self._suspect = True
            reply.finish()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way."""
        self._suspect = True
        if self._reply is not None:
            self._reply.finish(self._broken_off(exc))
            self._reply = None
        self.resume_writing()

    def _broken_off(self, exc: Exception | None) -> UpstreamBroken:
        """Return what a connection that ended too early means: slurmrestd rejects some requests with a status line and nothing more."""
        bare = self._answered and self._reply is not None and self._reply.status == 0
        status = self._parser.get_status_code() if bare else 0
        if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110 section 15.5: it is the request that slurmrestd did not like
            return UpstreamBroken(
                f"rejected with a bare {status}",
                detail=f"slurmrestd rejected the request with status {status} and no word why. It did not act on it.",
                hint="Check the request's size and form; tell your administrators the request id if both are right.",
            )
        return UpstreamBroken("connection lost" if exc is None else f"connection lost: {type(exc).__name__}")

    def pause_writing(self) -> None:
        """Wait with sending: slurmrestd reads more slowly than we send."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Go on sending: slurmrestd reads again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuse what comes behind a whole reply: it answers nothing that was asked."""
        if self._reply is None:
            raise ValueError("a message without a request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header in, within bounds."""
        reply = self._reply
        self._field_bytes += len(name) + len(value)
        if reply is None or len(reply.headers) >= _MAX_HEADERS or self._field_bytes > _MAX_HEAD_BYTES:
            raise ValueError("too many headers")
        reply.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the head, unless it was an interim one (RFC 9110 section 15.2)."""
        reply = self._reply
        if reply is None:
            raise ValueError("a head without a request")
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - interim responses are 1xx
            reply.headers.clear()
            return
        reply.status = status
        reply.length = next((int(value) for name, value in reply.headers if name == b"content-length"), None)
        reply.note_head()

    def on_body(self, data: bytes) -> None:
        """Pass a piece of the body on."""
        self._body_came = True
        if self._reply is not None:
            self._reply.feed(data)

    def on_message_complete(self) -> None:
        """End the exchange; the connection may be used again if its reply was good and slurmrestd does not mean to close."""
        reply = self._reply
        if reply is None or reply.status == 0:
            return
        # slurmrestd closes after every error, and what it says of it in the head is not to be relied on.
        # An answer to half a request is not the end of that request: what is sent next would be taken for the rest of it.
        if reply.status >= 400 or self._sending or not self._parser.should_keep_alive():  # noqa: PLR2004 - RFC 9110 section 15.5
            self._suspect = True
        reply.finish()
        self._reply = None

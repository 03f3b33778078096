"""The gateway, for programs that do other things meanwhile: the same conversations, carried over aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import aiohttp
from yarl import URL

from gateway.client import questions
from gateway.client.address import Address, Proxy, proxy_to, trust
from gateway.client.asking import LARGEST, Answer, Ask, Conversation, More, Pause, Prove, Step, Tell, fields, too_large, unpacked
from gateway.client.blocking import AGENT, CONNECT, KEPT_FOR, LONGEST, broken, no_http, not_connected
from gateway.client.calls import LATEST, Where
from gateway.client.errors import GatewayError, UnreachableError
from gateway.client.gateway import Gateway
from gateway.client.news import Event
from gateway.client.patience import Patience
from gateway.client.questions import Standing
from gateway.secret import Secret

if TYPE_CHECKING:
    from gateway.client.queue import Options, Queue, QueueEvent

P = ParamSpec("P")
T = TypeVar("T")
_PIECE = 64 * 1024


class AsyncConnection:
    """Speaks to one gateway, several requests at a time; what it is made with means what it means to ``blocking.Connection``."""

    def __init__(
        self,
        address: Address,
        *,
        trust: ssl.SSLContext | None,
        proxy: Proxy | None = None,
        token: Secret | None = None,
        largest: int = LARGEST,
        prove: Callable[[GatewayError], Awaitable[Secret]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
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
        self._kept: aiohttp.ClientSession | None = None
        self._proving = asyncio.Lock()

    async def carry(self, conversation: Conversation[T]) -> T:
        """Carry ``conversation`` to its end and return what it was for; raise GatewayError."""
        try:
            step = next(conversation)
            while True:
                try:
                    answer = await self._take(step)
                except GatewayError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            conversation.close()

    async def listen(self, conversation: Conversation[None]) -> AsyncGenerator[Event, None]:
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
                        answer = await stream.open(step)
                    elif isinstance(step, More):
                        answer = await stream.read()
                    elif not isinstance(step, Tell):
                        answer = await self._take(step)
                except GatewayError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration:
            return
        finally:
            await stream.close()
            conversation.close()

    async def close(self) -> None:
        """Close the connections that are kept; what is under way on them ends."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def open(self, session: aiohttp.ClientSession, question: Ask, *, longest: float | None) -> aiohttp.ClientResponse:
        """Send one request and return the answer, of which the head has come; raise GatewayError."""
        headers = fields(question, self.token, AGENT)
        target = URL(self.address.origin + self.address.target(question.path, question.query), encoded=True)
        try:
            return await session.request(
                question.method,
                target,
                headers=headers,
                data=BytesIO(question.body) if question.body else None,  # bytes that are many would go out in one piece
                allow_redirects=False,
                ssl=self._trust or True,
                proxy=None if self._proxy is None else URL(self._proxy.url),
                proxy_headers=None if self._proxy is None else self._proxy.headers,
                timeout=aiohttp.ClientTimeout(total=longest, sock_connect=CONNECT, sock_read=question.timeout),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.told(error) from error

    async def whole(self, question: Ask, response: aiohttp.ClientResponse) -> Answer:
        """Return an answer with all of its body; raise GatewayError."""
        body = bytearray()
        try:
            if response.content_length is not None and response.content_length > self._largest:
                raise too_large(self._largest)
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > self._largest:
                    raise too_large(self._largest)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.told(error) from error
        return unpacked(question, head(response, bytes(body)), self._largest)

    def told(self, error: Exception) -> UnreachableError:
        """Return aiohttp's error as one of ours."""
        before = _before_sending(error)
        if before is not None:
            return not_connected(self.address, self._proxy, before)
        if isinstance(error, OSError):
            return broken(self.address, error)
        if isinstance(error, (aiohttp.ServerConnectionError, aiohttp.ClientPayloadError)):
            return broken(self.address, ConnectionResetError("it closed the connection"))
        return no_http(self.address, error)

    def session(self) -> aiohttp.ClientSession:
        """Return a session of its own, which is to be closed."""
        # What is not named here is not wanted either: no cookies, no netrc, no credentials of a proxy but those that we read.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEPT_FOR),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
        )

    async def _take(self, step: Step) -> Answer | None:
        """Do what a conversation wants, but for what a stream is for."""
        if isinstance(step, Ask):
            return await self._exchange(step)
        if isinstance(step, Pause):
            if self._on_pause is not None:
                self._on_pause(step)
            await self._sleep(step.seconds)
        elif isinstance(step, Prove):
            await self._sign_in_again(step)
        return None

    async def _sign_in_again(self, step: Prove) -> None:
        """Have one of those who are refused at the same time sign in, for all of them."""
        if self._prove is None:
            raise step.error
        refused = self.token
        async with self._proving:
            if self.token is refused:
                self.token = await self._prove(step.error)

    async def _exchange(self, question: Ask) -> Answer:
        """Send one request; what may not be sent twice goes on a new connection, for a kept one may have been closed by the other side."""
        if question.repeatable:
            self._kept = session = self._kept or self.session()
            return await self._on(session, question)
        async with self.session() as session:
            return await self._on(session, question)

    async def _on(self, session: aiohttp.ClientSession, question: Ask) -> Answer:
        response = await self.open(session, question, longest=question.timeout + LONGEST)
        try:
            answer = await self.whole(question, response)
        except BaseException:
            _abort(response)
            raise
        response.release()
        return answer


class _Stream:
    """The answer that is read piece by piece: one at a time."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._session: aiohttp.ClientSession | None = None
        self._response: aiohttp.ClientResponse | None = None

    async def open(self, question: Ask) -> Answer:
        """Send a request, and give the answer: of one of success the head alone, of another one all."""
        await self.close()
        self._session = self._connection.session()
        response = await self._connection.open(self._session, question, longest=None)
        if response.status == 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
            self._response = response
            return head(response, b"")
        answer = await self._connection.whole(question, response)
        await self.close()
        return answer

    async def read(self) -> bytes:
        """Return the next piece, empty at the end."""
        if self._response is None:
            return b""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._connection.told(error) from error

    async def close(self) -> None:
        """Close what is open."""
        session, response = self._session, self._response
        self._session = self._response = None
        if response is not None:
            _abort(response)
        if session is not None:
            await session.close()


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer that nobody reads to its end, at once: TLS would wait for the other side's goodbye."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _before_sending(error: Exception) -> Exception | None:
    """Return why a connection did not come about, None for what went wrong on one."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return OSError(f"it answers {error.status}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError):  # of DNS and TLS too
        return error.os_error
    return TimeoutError() if isinstance(error, aiohttp.ConnectionTimeoutError) else None


def head(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    """Return an answer with ``body``."""
    return Answer(status=response.status, headers={name.lower(): value for name, value in response.headers.items()}, body=body)


def _asked(question: Callable[Concatenate[Standing, P], Conversation[T]]) -> Callable[Concatenate[AsyncGateway, P], Coroutine[Any, Any, T]]:
    """Make a method of a question."""

    async def method(gateway: AsyncGateway, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await gateway._connection.carry(question(gateway._standing, *args, **kwargs))  # noqa: SLF001 - it is a method of the class

    questions.introduce(method, question)
    return method


def _heard(question: Callable[Concatenate[Standing, P], Conversation[None]]) -> Callable[Concatenate[AsyncGateway, P], AsyncGenerator[Event, None]]:
    """Make a method of a question whose answer is a stream of events."""

    def method(gateway: AsyncGateway, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Event, None]:
        return gateway._connection.listen(question(gateway._standing, *args, **kwargs))  # noqa: SLF001 - it is a method of the class

    questions.introduce(method, question, answer="AsyncGenerator[Event, None]")
    return method


class AsyncGateway:
    """``Gateway`` with ``await``; several questions may be under way at once, and one that is cancelled closes what it had open.

    ``prove`` is awaited. ``contextlib.aclosing`` ends a stream of events as soon as its block is left::

        async with AsyncGateway("https://gateway.example.org", token=token) as gateway:
            async with contextlib.aclosing(gateway.events()) as events:
                async for event in events:
                    print(event.kind, event.data)
    """

    def __init__(  # noqa: PLR0913 - each has a default, and people name those that they mean
        self,
        url: str,
        *,
        token: str | Secret | None = None,
        ca: Path | str | None = None,
        cluster: str | None = None,
        version: str = LATEST,
        patience: float = 30.0,
        largest: int = LARGEST,
        prove: Callable[[GatewayError], Awaitable[Secret]] | None = None,
        on_pause: Callable[[Pause], None] | None = None,
    ) -> None:
        address = Address.of(url)
        context = trust(None if ca is None else Path(ca)) if address.tls else None
        proxy = proxy_to(address, os.environ)
        secret = questions.token_of(token)
        self._connection = AsyncConnection(address, trust=context, proxy=proxy, token=secret, largest=largest, prove=prove, on_pause=on_pause)
        self._standing = Standing(self._connection, Where(cluster=cluster, version=version, patience=Patience(seconds=patience)))
        self._blocking = partial(Gateway, url, ca=ca, cluster=cluster, version=version, patience=patience, largest=largest)
        self._prove = prove

    @classmethod
    def from_site(cls, name: str | None = None, *, cluster: str | None = None, version: str = LATEST, patience: float = 30.0) -> Self:
        """Return the gateway that ``slurm-gateway login`` has signed in to: the site ``name``, or the default one; raise NotSignedInError."""
        site, token = questions.signed_in(name)
        return cls(site.url, token=token, ca=site.ca, cluster=cluster, version=version, patience=patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the session goes on."""
        await self._connection.close()

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self._connection.address.url

    @property
    def token(self) -> Secret | None:
        """The token that requests go with."""
        return self._connection.token

    @property
    def known_username(self) -> str | None:
        """Who we are, if that is known without asking."""
        return self._standing.username

    @property
    def cluster(self) -> str | None:
        """The cluster that is asked, None for the gateway's default one."""
        return self._standing.where.cluster

    # Signing in.

    login = _asked(questions.login)
    session = _asked(questions.session)
    stepup = _asked(questions.stepup)
    logout = _asked(questions.logout)
    tokens = _asked(questions.tokens)
    create_token = _asked(questions.create_token)
    revoke_token = _asked(questions.revoke_token)

    @property
    def username(self) -> Awaitable[str]:
        """Who we are, as Slurm spells it."""
        return self._connection.carry(questions.username(self._standing))

    # Slurm.

    call = _asked(questions.call)
    ping = _asked(questions.ping)
    jobs = _asked(questions.jobs)
    job = _asked(questions.job)
    nodes = _asked(questions.nodes)
    partitions = _asked(questions.partitions)
    cancel = _asked(questions.cancel)
    submit = _asked(questions.submit)
    wait = _asked(questions.wait)
    events = _heard(questions.events)
    accounted = _asked(questions.accounted)
    recorded = _asked(questions.recorded)

    @property
    def submission_path(self) -> str:
        """Where submissions go; a key belongs to it."""
        return self._standing.where.slurm("job/submit")

    async def queue(self, folder: Path | str, options: Options | None = None) -> AsyncGenerator[QueueEvent, None]:
        """Submit the job files in ``folder``, each once, in a thread of their own, and yield what happens; left early, it stops, and can go on.

        How it runs is said by ``Options(in_flight=8)``.
        """
        loop = asyncio.get_running_loop()

        proving = _Proving(self._prove, loop)
        with ThreadPoolExecutor(1, "slurm-gateway-queue") as thread, self._blocking(token=self.token, prove=proving) as gateway:
            queue = await loop.run_in_executor(thread, gateway.queue, folder, options)
            events = iter(queue)
            try:
                while (event := await loop.run_in_executor(thread, next, events, None)) is not None:
                    yield event
            finally:
                proving.give_up()
                queue.stop()
                # What it is at is brought to its end first, and nothing of it is lost: the next one goes on.
                await loop.run_in_executor(thread, _end, queue, events)


class _Proving:
    """Has ``prove`` be awaited on the loop, for the thread of a queue, for as long as anybody wants the queue."""

    def __init__(self, prove: Callable[[GatewayError], Awaitable[Secret]] | None, loop: asyncio.AbstractEventLoop) -> None:
        self._prove = prove
        self._loop = loop
        self._asked: list[Future[Secret]] = []
        self._over = threading.Event()

    def __call__(self, error: GatewayError) -> Secret:
        """Return the token to go on with; raise ``error`` where nobody can say, or nobody wants to know any more."""
        if self._prove is None or self._over.is_set():
            raise error
        asked = asyncio.run_coroutine_threadsafe(_awaited(self._prove(error)), self._loop)
        self._asked.append(asked)
        if self._over.is_set():
            asked.cancel()
        try:
            return asked.result()
        except CancelledError:
            raise error from None

    def give_up(self) -> None:
        """Ask nobody any more, or whoever leaves the queue would wait for an answer that need not come."""
        self._over.set()
        for asked in self._asked:
            asked.cancel()


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _end(queue: Queue, events: Iterator[QueueEvent]) -> None:
    if isinstance(events, Generator):
        events.close()
    queue.close()

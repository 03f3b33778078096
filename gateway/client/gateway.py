"""The gateway, for programs that wait for their answers."""

from __future__ import annotations

import copy
import os
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from gateway.client import questions
from gateway.client.address import Address, proxy_to, trust
from gateway.client.asking import LARGEST, Conversation, Pause
from gateway.client.blocking import Connection
from gateway.client.calls import LATEST, Where
from gateway.client.errors import GatewayError
from gateway.client.news import Event
from gateway.client.patience import Patience
from gateway.client.questions import Standing
from gateway.secret import Secret

if TYPE_CHECKING:
    from gateway.client.queue import Options, Queue

P = ParamSpec("P")
T = TypeVar("T")


def _asked(question: Callable[Concatenate[Standing, P], Conversation[T]]) -> Callable[Concatenate[Gateway, P], T]:
    """Make a method of a question."""

    def method(gateway: Gateway, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return gateway._connection.carry(question(gateway._standing, *args, **kwargs))  # noqa: SLF001 - it is a method of the class

    questions.introduce(method, question)
    return method


def _heard(question: Callable[Concatenate[Standing, P], Conversation[None]]) -> Callable[Concatenate[Gateway, P], Generator[Event, None, None]]:
    """Make a method of a question whose answer is a stream of events."""

    def method(gateway: Gateway, /, *args: P.args, **kwargs: P.kwargs) -> Generator[Event, None, None]:
        return gateway._connection.listen(question(gateway._standing, *args, **kwargs))  # noqa: SLF001 - it is a method of the class

    questions.introduce(method, question, answer="Generator[Event, None, None]")
    return method


class Gateway:
    """Somebody's way to Slurm through a gateway; errors are GatewayError, with a ``reason`` for programs and a ``hint`` for people.

    ``ca`` names the CAs to trust in the place of the system's (PEM). ``version`` is one of Slurm's API, ``latest`` the newest that the cluster
    serves. ``patience`` is for how many seconds what is safe to send again is sent again. ``prove`` is called with the refusal when a session has
    ended, or a younger second factor is wanted; it returns the token to go on with, or raises. ``largest`` is the most bytes that an answer may
    have. An object is for one thread::

        with Gateway("https://gateway.example.org", token=token) as gateway:
            submitted = gateway.submit(Path("job.json"))
            [job] = gateway.wait(submitted.job_id)
            print(job.state, job.exit_code)
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
        prove: Callable[[GatewayError], Secret] | None = None,
        on_pause: Callable[[Pause], None] | None = None,
    ) -> None:
        address = Address.of(url)
        context: ssl.SSLContext | None = trust(None if ca is None else Path(ca)) if address.tls else None
        proxy = proxy_to(address, os.environ)
        secret = questions.token_of(token)
        self._connection = Connection(address, trust=context, proxy=proxy, token=secret, largest=largest, prove=prove, on_pause=on_pause)
        self._standing = Standing(self._connection, Where(cluster=cluster, version=version, patience=Patience(seconds=patience)))

    @classmethod
    def from_site(cls, name: str | None = None, *, cluster: str | None = None, version: str = LATEST, patience: float = 30.0) -> Self:
        """Return the gateway that ``slurm-gateway login`` has signed in to: the site ``name``, or the default one; raise NotSignedInError."""
        site, token = questions.signed_in(name)
        return cls(site.url, token=token, ca=site.ca, cluster=cluster, version=version, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the session goes on."""
        self._connection.close()

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

    # Signing in.

    login = _asked(questions.login)
    session = _asked(questions.session)
    stepup = _asked(questions.stepup)
    logout = _asked(questions.logout)
    tokens = _asked(questions.tokens)
    create_token = _asked(questions.create_token)
    revoke_token = _asked(questions.revoke_token)

    @property
    def username(self) -> str:
        """Who we are, as Slurm spells it."""
        return self._connection.carry(questions.username(self._standing))

    @property
    def cluster(self) -> str | None:
        """The cluster that is asked, None for the gateway's default one."""
        return self._standing.where.cluster

    def sibling(self) -> Gateway:
        """Return another way to the same gateway with the token of now, for another thread; it signs nobody in."""
        other = copy.copy(self)
        other._connection = self._connection.sibling()  # noqa: SLF001 - of our own class
        other._standing = self._standing.other(other._connection)  # noqa: SLF001 - likewise
        return other

    def hang_up(self) -> None:
        """End the stream of events that another thread listens to."""
        self._connection.hang_up()

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

    def queue(self, folder: Path | str, options: Options | None = None) -> Queue:
        """Return the queue of the job files in ``folder``: iterate over it, and it submits them, each once, and tells what happens.

        How it runs is said by ``Options(in_flight=8)``; each QueueEvent has a ``kind``, and what belongs to it.
        """
        from gateway.client.queue import Queue  # noqa: PLC0415 - few programs have one, and the commands start without it

        once = copy.copy(self)
        once._standing = self._standing.other(self._connection, patience=Patience(seconds=0))  # noqa: SLF001 - of our own class
        return Queue(once, folder, options)

"""The gateway, for programs that wait for their answers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.client import calls
from gateway.client.address import Address, trust
from gateway.client.asking import Answer, Ask, Pause
from gateway.client.blocking import Connection
from gateway.client.calls import Session, SignedIn, Submitted, Where
from gateway.client.cluster import Job, Node, Partition
from gateway.client.errors import GatewayError
from gateway.client.news import SILENCE, Event, events
from gateway.client.patience import Patience, refusal_of
from gateway.secret import Secret


class Gateway:
    """Somebody's way to Slurm through a gateway; errors are GatewayError, with a ``reason`` for programs and a ``hint`` for people.

    ``ca`` names the CAs to trust in the place of the system's (PEM). ``patience`` is for how many seconds what is safe to send again is sent
    again. ``prove`` is called with the refusal when a session has ended, or a younger second factor is wanted; it returns the token to go on
    with, or raises. An object is for one thread.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Secret | None = None,
        ca: Path | str | None = None,
        cluster: str | None = None,
        patience: float = 30.0,
        prove: Callable[[GatewayError], Secret] | None = None,
        on_pause: Callable[[Pause], None] | None = None,
    ) -> None:
        address = Address.of(url)
        context: ssl.SSLContext | None = trust(None if ca is None else Path(ca)) if address.tls else None
        secret = Secret(token.encode()) if isinstance(token, str) else token
        self._connection = Connection(address, trust=context, token=secret, prove=prove, on_pause=on_pause)
        self._where = Where(cluster=cluster, patience=Patience(seconds=patience))
        self._username: str | None = None

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

    # Signing in.

    def login(self, username: str, password: str | Secret, otp: str) -> SignedIn:
        """Sign in with both factors, and go on with the token that this gives."""
        secret = Secret(password.encode()) if isinstance(password, str) else password
        signed_in = self._connection.carry(calls.login(username, secret, otp, self._where.patience))
        self._connection.token = signed_in.token
        self._username = signed_in.username
        return signed_in

    def session(self) -> Session:
        """Return who we are, and until when."""
        return self._connection.carry(calls.session(self._where))

    def stepup(self, otp: str) -> None:
        """Show a new code, for what asks for a second factor that is young."""
        self._connection.carry(calls.stepup(otp, self._where))

    def logout(self) -> None:
        """End the session."""
        self._connection.carry(calls.logout(self._where))
        self._connection.token = None

    @property
    def username(self) -> str:
        """Who we are, as Slurm spells it."""
        if self._username is None:
            self._username = self.session().username
        return self._username

    # Slurm.

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Answer:
        """Send any request, and return its answer if it is one of success."""
        return self._connection.carry(calls.call(method, path, query=query, headers=headers, body=body, where=self._where))

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: float = 60.0,
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send any request once; give its answer's head, whatever its status, and the pieces of its body as they come. Raise UnreachableError."""
        question = Ask(method=method, path=path, headers=tuple(headers), body=body, timeout=timeout)
        with self._connection.stream(question) as answer:
            yield answer

    def prove(self, error: GatewayError) -> None:
        """Have whoever is there answer a refusal for an ended session, or for a second factor that is old; raise ``error`` where nobody can."""
        self._connection.carry(calls.proof(error))

    def ping(self) -> Mapping[str, Any]:
        """Return what Slurm's controllers say of themselves."""
        return self._connection.carry(calls.ping(self._where))

    def jobs(self, *, user: str | None = None, everybody: bool = False, states: Sequence[str] = (), partitions: Sequence[str] = ()) -> list[Job]:
        """Return the jobs that Slurm knows: mine, those of ``user``, or everybody's; ``states`` are Slurm's words, short or long."""
        whose = None if everybody else user or self.username
        return self._connection.carry(calls.jobs(self._where, user=whose, states=states, partitions=partitions))

    def job(self, job_id: int) -> list[Job]:
        """Return a job: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts."""
        return self._connection.carry(calls.job(job_id, self._where))

    def nodes(self, *, states: Sequence[str] = ()) -> list[Node]:
        """Return the nodes; ``states`` are Slurm's words, short or long."""
        return self._connection.carry(calls.nodes(self._where, states=states))

    def partitions(self) -> list[Partition]:
        """Return the partitions."""
        return self._connection.carry(calls.partitions(self._where))

    def cancel(self, job_id: int | str) -> None:
        """Cancel a job, or tasks of an array (``7_3``, ``7_[4-9]``)."""
        self._connection.carry(calls.cancel(job_id, self._where))

    def submit(self, body: bytes, *, key: str | None = None, media_type: str = "application/json") -> Submitted:
        """Submit a job once, however often it has to be sent; ``key`` is its idempotency key, a new one by default."""
        return self._connection.carry(calls.submit(body, self._where, key=key or calls.new_key(), media_type=media_type))

    def wait(self, job_id: int) -> list[Job]:
        """Wait until a job has ended, and return it: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts."""
        while True:
            jobs, _ = self._connection.carry(calls.wait(job_id, self._where))
            if all(job.is_over for job in jobs):
                return jobs

    def events(self, *, user: str | None = None, job_ids: Sequence[int] = (), last_event_id: str | None = None) -> Iterator[Event]:
        """Yield what happens to jobs, from now on, until the stream ends."""
        query = [("user", user)] if user is not None else []
        query += [("job_id", ",".join(map(str, job_ids)))] if job_ids else []
        headers = [("Accept", "text/event-stream")] + ([("Last-Event-ID", last_event_id)] if last_event_id else [])
        question = Ask(method="GET", path=self._where.events, query=tuple(query), headers=tuple(headers), timeout=SILENCE)
        with self._connection.stream(question) as (head, pieces):
            body = b"" if head.status == 200 else b"".join(pieces)  # noqa: PLR2004 - RFC 9110 section 15.3.1
            refusal = refusal_of(Answer(status=head.status, headers=head.headers, body=body))
            if refusal is not None:
                raise refusal
            yield from events(pieces)

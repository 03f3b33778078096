"""The gateway, for programs that wait for their answers."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

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

if TYPE_CHECKING:
    from gateway.client.queue import Options, Queue


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

    @property
    def cluster(self) -> str | None:
        """The cluster that is asked, None for the gateway's default one."""
        return self._where.cluster

    def sibling(self) -> Gateway:
        """Return another way to the same gateway with the token of now, for another thread; it signs nobody in."""
        other = copy.copy(self)
        other._connection = self._connection.sibling()  # noqa: SLF001 - of our own class
        return other

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

    def ping(self) -> Mapping[str, Any]:
        """Return what Slurm's controllers say of themselves."""
        return self._connection.carry(calls.ping(self._where))

    def jobs(self, *, user: str | None = None, everybody: bool = False, states: Sequence[str] = ()) -> list[Job]:
        """Return the jobs that Slurm knows: mine, those of ``user``, or everybody's; ``states`` are Slurm's words, short or long."""
        whose = None if everybody else user or self.username
        return self._connection.carry(calls.jobs(self._where, user=whose, states=states))

    def job(self, job_id: int) -> list[Job]:
        """Return a job: one, or what Slurm shows of an array's tasks and a heterogeneous job's parts."""
        return self._connection.carry(calls.job(job_id, self._where))

    def nodes(self) -> list[Node]:
        """Return the nodes."""
        return self._connection.carry(calls.nodes(self._where))

    def partitions(self) -> list[Partition]:
        """Return the partitions."""
        return self._connection.carry(calls.partitions(self._where))

    def cancel(self, job_id: int) -> None:
        """Cancel a job."""
        self._connection.carry(calls.cancel(job_id, self._where))

    def submit(self, body: bytes, *, key: str | None = None, media_type: str = "application/json") -> Submitted:
        """Submit a job once, however often it has to be sent; ``key`` is its idempotency key, a new one by default."""
        return self._connection.carry(calls.submit(body, self._where, key=key or calls.new_key(), media_type=media_type))

    @property
    def submission_path(self) -> str:
        """Where submissions go; a key belongs to it."""
        return self._where.slurm("job/submit")

    def recorded(self, since: float) -> list[Mapping[str, Any]]:
        """Return slurmdbd's records of the jobs that were there after ``since`` (Unix seconds), as it tells them."""
        return self._connection.carry(calls.recorded(since, self._where))

    def queue(self, folder: Path | str, options: Options | None = None) -> Queue:
        """Return the queue of the job files in ``folder``: iterate over it, and it submits them, each once, and tells what happens."""
        from gateway.client.queue import Queue  # noqa: PLC0415 - few programs have one, and the commands start without it

        once = copy.copy(self)
        once._where = replace(self._where, patience=Patience(seconds=0))  # noqa: SLF001 - of our own class
        return Queue(once, folder, options)

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

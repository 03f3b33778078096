"""PostgreSQL: how it is reached, who it must prove to be, and how long it may take."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import pq, waiting
from psycopg.abc import PQGen
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, Engine, make_url

from gateway.config import SecretFileError, Store, read_secret
from gateway.store.threads import Job, Threads, one_by_one

_T = TypeVar("_T")

_PORT = 5432
# psycopg waits no less than this for a connection.
_LEAST_CONNECT_TIMEOUT = 2
# The server gives up a little before the client does, so that it is the server's reason that is told.
_SERVER_SHARE = 0.9
# A worker's statements are short and few (the sessions' cache sees to it); the connections of all workers and nodes together
# must fit into the server's max_connections, which is 100 where nobody has raised it.
_POOL = 4


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server leaves a question unanswered for ``limit`` seconds.

    The driver would try to cancel the statement first, and wait for the answer to that; a server that hangs gives none.
    Closed, the connection is no danger: the server rolls its transaction back as soon as it notices.
    """

    limit: float | None = None

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:  # noqa: ARG002 - the driver's own signature
        """Return what the server answers; raise OperationalError when it does not in time."""
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=self.limit)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server does not answer") from None


def is_guarded(host: str) -> bool:
    """Tell whether the way to ``host`` leaves this machine, so that TLS must show who answers there."""
    if host.startswith("/") or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def parameters(store: Store, limit: float) -> dict[str, Any]:
    """Return libpq's connection parameters but the password (PostgreSQL documentation, section 34.1.2); ``limit`` is a transaction's, in seconds."""
    url = make_url(store.url)
    host = url.host or str(url.query["host"])
    remote = is_guarded(host) or (store.ca_file is not None and not host.startswith("/"))
    patience = min(limit, store.busy_timeout)
    return {
        "host": host,
        "port": url.port or int(str(url.query.get("port", _PORT))),
        "user": url.username,
        "dbname": url.database,
        # Nothing is a folder within /dev/null: the password is the one that the configuration names, or none.
        "passfile": "/dev/null/none",
        "sslmode": "verify-full" if remote else "prefer",
        **({"sslrootcert": str(store.ca_file or "system")} if remote else {}),
        "gssencmode": "disable",
        # After a fail-over, the server that can only be read from is not the one to go on with.
        "target_session_attrs": "read-write",
        "application_name": "slurm-gateway",
        "connect_timeout": max(_LEAST_CONNECT_TIMEOUT, math.ceil(patience)),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": math.ceil(patience * 1000),
        "options": " ".join(f"-c {name}={math.ceil(seconds * 1000)}" for name, seconds in _server_limits(limit).items()),
    }


def _server_limits(limit: float) -> dict[str, float]:
    return {
        "statement_timeout": limit * _SERVER_SHARE,
        "lock_timeout": limit * _SERVER_SHARE,
        "idle_in_transaction_session_timeout": limit,
    }


def read_password(path: Path) -> str:
    """Return the password in ``path``, without the newline that an editor leaves at its end; raise SecretFileError."""
    text = read_secret(path).reveal().removesuffix(b"\n").removesuffix(b"\r")
    try:
        password = text.decode()
    except UnicodeDecodeError:
        raise SecretFileError(f"{path} is not text in UTF-8") from None
    if not password or "\0" in password:
        raise SecretFileError(f"{path} holds no password")
    return password


def engine(store: Store, limit: float) -> Engine:
    """Return an engine whose connections are checked before use; nothing is opened before the first statement.

    The password is read for each connection: a new one in its file is good from then on.
    """
    arguments = parameters(store, limit)

    def connect() -> BoundedConnection:
        file = store.password_file
        password = {} if file is None else {"password": read_password(file)}
        connection = BoundedConnection.connect(**{**arguments, **password})
        connection.limit = limit
        return connection

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        # What is read under an advisory lock must be what is there then, not what was there before the lock was waited for.
        isolation_level="READ COMMITTED",
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=limit,
        pool_pre_ping=True,
        use_native_hstore=False,
        hide_parameters=True,
    )


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")


def lock(connection: Connection, name: str) -> None:
    """Wait, within a transaction, for all who hold the lock ``name``, and hold it to the end."""
    connection.execute(_LOCK, {"lock": name})


class Transactions:
    """Transactions on a server, each on a thread that has a connection. Raise what Threads and the changes do.

    Whoever waits is answered within ``limit`` seconds. A thread may hang a little longer, and gives up by itself: on a connection that does not
    answer after as long again, on one that is not made after ``connect_timeout``.
    """

    def __init__(self, store: Store, limit: float) -> None:
        self._engine = engine(store, limit)
        self._limit = limit
        self._threads = Threads(_POOL, one_by_one)

    async def write(self, change: Callable[[Connection], _T], name: str | None) -> _T:
        """Run ``change`` in a transaction, under the lock ``name`` if there is one."""

        def work(job: Job) -> _T:
            with self._engine.begin() as connection:
                if name is not None:
                    lock(connection, name)
                changed = change(connection)
                job.require()
                return changed

        return await self._do(work)

    async def read(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question`` outside a transaction."""

        def work(_job: Job) -> _T:
            with self._engine.connect() as connection:
                return question(connection.execution_options(isolation_level="AUTOCOMMIT"))

        return await self._do(work)

    async def snapshot(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question`` on a connection that sees the store as it was at its first statement."""

        def work(_job: Job) -> _T:
            with self._engine.connect() as connection:
                return question(connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True))

        return await self._do(work)

    async def _do(self, work: Callable[[Job], _T]) -> _T:
        done: _T = await self._threads.do(work, self._limit)
        return done

    async def close(self) -> None:
        """Finish what was handed over, and close every connection."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.close()
        self._engine.dispose()

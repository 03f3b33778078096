"""A PostgreSQL server of the tests' own: made in a moment, on a unix socket alone, stopped, hung, killed and started again at will."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from gateway.config import Store

_BINARIES = Path("/usr/lib/postgresql")
_PATIENCE = 20.0  # seconds that starting and stopping may take on a machine with much else to do
USER = "gateway"


def _binary(name: str) -> str:
    """Return the newest version's program: Debian keeps them out of PATH."""
    found = sorted(_BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    assert found, f"{name} is missing: apt-get install postgresql"
    return str(found[-1])


def _unprivileged() -> dict[str, Any]:
    """Return what makes subprocess run something as another than root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _lives(pid: int) -> bool:
    """Tell whether a process still runs; one that is dead but not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


class Cluster:
    """One server in a folder of its own; what it holds is gone when it is closed. With ``durable`` it flushes as in earnest."""

    def __init__(self, *, durable: bool = False, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))
        self.port = port
        self._durable = durable
        self._server: subprocess.Popen[bytes] | None = None
        self._as = _unprivileged()
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        self.folder.chmod(0o755)
        self._do(
            "initdb", "--pgdata", str(self.data), "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--username", "postgres"
        )

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._server = self._launch()
        self._await_ready()
        with self.connect("postgres", "postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,)).fetchone() is None:
                connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD 'of the tests'")

    def start_without_waiting(self) -> None:
        """Start the server, and leave it to others to wait for it."""
        self._server = self._launch()

    def stop(self) -> None:
        """Stop the server, breaking off what is under way (a fast shutdown)."""
        self._end(signal.SIGINT, {self._running().pid})

    def kill(self) -> None:
        """End the server as the loss of its machine would: every process of it at once."""
        self._end(signal.SIGKILL, self._processes())

    def pause(self) -> None:
        """Hang: connections stay open, and nothing is answered."""
        self._tell(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._tell(signal.SIGCONT)

    def connect(self, database: str, user: str = USER) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection that keeps each statement."""
        return psycopg.connect(host=str(self.folder), port=self.port or 5432, dbname=database, user=user, autocommit=True)

    def create(self, name: str, template: str = "template1") -> None:
        """Make a database that belongs to the gateway's user."""
        with self.connect("postgres", "postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}")

    def drop(self, name: str) -> None:
        """Take a database away, whoever uses it."""
        with self.connect("postgres", "postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")

    def url(self, database: str) -> str:
        """Return the address of a database as the configuration has it."""
        return f"postgresql://{USER}@/{database}?host={self.folder}" + ("" if self.port is None else f"&port={self.port}")

    def store(self, database: str, **more: Any) -> Store:
        """Return the section of a configuration that names a database."""
        return Store.model_validate({"url": self.url(database), "key_ring_file": "/nowhere/ring", "busy_timeout": "5s", **more})

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
            self.kill()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "" if self.port is None else "127.0.0.1",
            **({} if self.port is None else {"port": str(self.port)}),
            **({} if self._durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
            "shared_buffers": "16MB",
            "max_connections": "100",
            "autovacuum": "off",
            "timezone": "UTC",
        }
        command = [_binary("postgres"), "-D", str(self.data), *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self._as)

    def _tell(self, signum: signal.Signals) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):  # a connection that has just ended
                os.kill(pid, signum)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._server is not None, "the server is not running"
        return self._server

    def _processes(self) -> set[int]:
        """Return the server's process and its children: each connection has one."""
        first = self._running().pid
        children = Path(f"/proc/{first}/task/{first}/children")
        return {first, *map(int, children.read_text().split())} if children.exists() else {first}

    def _end(self, signum: int, pids: set[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        self._running().wait(_PATIENCE)
        self._server = None
        deadline = time.monotonic() + _PATIENCE
        while any(map(_lives, pids)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connect("postgres", "postgres").close()
            except psycopg.OperationalError:
                assert self._running().poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def _do(self, program: str, *arguments: str) -> None:
        done = subprocess.run([_binary(program), *arguments], capture_output=True, text=True, cwd=self.folder, check=False, **self._as)
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def cluster(*, durable: bool = False, port: int | None = None) -> Iterator[Cluster]:
    """Run a server for as long as the block lasts."""
    with Cluster(durable=durable, port=port) as made:
        yield made

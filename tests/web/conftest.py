"""The real application behind a real server on a unix socket, on the loop that it runs on in earnest, and no blocking call goes unseen."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pyotp
import pytest
import structlog
import uvloop
from blockbuster import blockbuster_ctx

from gateway import worker
from gateway.app import Application
from gateway.config import Config, Store, load
from gateway.observe import logs
from gateway.signin.enrolment import Enrolled, enrol
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import open_database
from gateway.store.migrate import migrate
from gateway.store.sealing import KeyRingFile
from gateway.store.sqlite import database_path
from tests.web import fakes


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _no_blocking() -> Iterator[None]:
    with blockbuster_ctx() as buster:
        # The application reads its keys once, before it serves.
        for function in buster.functions.values():
            function.can_block_in("gateway/app.py", "__init__")
            # The last line about a request may be the last thing that the process does.
            function.can_block_in("gateway/web/front.py", "_broken_off")
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "gateway.db"
    migrate(Store.model_validate({"url": f"sqlite:///{path}", "key_ring_file": "/nowhere/ring"}))
    return path


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that the gateway logs, as it would stand on standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.set_up("debug", stream)
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class House:
    """A gateway with its slurmrestd and its directory; the tests talk to it as nginx would."""

    def __init__(
        self, config: Config, slurm: fakes.FakeSlurmrestd, directory: fakes.FakeDirectory, application: Application, log: io.StringIO
    ) -> None:
        self.config = config
        self.slurm = slurm
        self.directory = directory
        self.application = application
        self.door = ""
        self._log = log
        self._secrets: dict[str, Enrolled] = {}
        self._steps: dict[str, int] = {}
        self.said: list[str] = []

    # Its people.

    async def token(self, username: str = "alice", *, lifetime: float = 3600.0, age: float = 0.0) -> str:
        """Return a token of somebody's, put into the store ``age`` seconds ago."""
        path, account = database_path(self.config.store.url), self.directory.people[username]
        token = await asyncio.to_thread(fakes.session_of, path, username, account.uid, lifetime=lifetime, age=age, groups=account.groups)
        self.said.append(token)
        return token

    async def enrol(self, username: str = "alice") -> Enrolled:
        """Give somebody a second factor."""
        database = await asyncio.to_thread(open_database, self.config.store)
        try:
            seal = await asyncio.to_thread(KeyRingFile, self.config.store.key_ring_file)
            enrolled = await enrol(AuthenticatorStore(database), seal, username=username, issuer="test", now=time.time())
        finally:
            await database.close()
        assert enrolled is not None
        self._secrets[username] = enrolled
        self.said += [enrolled.secret, *enrolled.recovery_codes]
        return enrolled

    async def code(self, username: str = "alice") -> str:
        """Return a code of somebody's that is good now, and another one the second time."""
        enrolled = self._secrets.get(username) or await self.enrol(username)
        now = int(time.time() // 30)
        step = max(self._steps.get(username, 0) + 1, now)
        self._steps[username] = step
        code = pyotp.TOTP(enrolled.secret).generate_otp(step)
        self.said.append(code)
        return code

    # Talking to it.

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the public listener."""
        if self.door.startswith("/"):
            return await asyncio.open_unix_connection(self.door)
        host, _, port = self.door.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def raw(self, data: bytes) -> fakes.Answer:
        """Send bytes and read one answer."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            async with asyncio.timeout(10):
                return await fakes.read_answer(reader)
        finally:
            writer.close()

    async def ask(self, method: str, target: str, fields: fakes.Fields = (), body: bytes | None = None) -> fakes.Answer:
        """Send one request and read its answer."""
        return await self.raw(fakes.encode(method, target, list(fields), body))

    async def admin(self, target: str, method: str = "GET") -> fakes.Answer:
        """Ask the administrators' listener."""
        listener = self.config.server.admin_listen
        assert listener is not None
        reader, writer = await asyncio.open_unix_connection(str(listener.path))
        try:
            writer.write(fakes.encode(method, target))
            return await fakes.read_answer(reader)
        finally:
            writer.close()

    # What it leaves behind.

    async def audit(self, event: str | None = None) -> list[dict[str, object]]:
        """Return the events of the audit trail, or those of one kind."""
        assert self.config.audit.file is not None
        return [line for line in await asyncio.to_thread(fakes.json_lines, self.config.audit.file) if event in {None, line["event"]}]

    @property
    def log(self) -> str:
        """Everything that was logged so far."""
        return self._log.getvalue()


Build = Callable[..., Awaitable[House]]


@pytest.fixture
async def slurm(tmp_path: Path) -> AsyncIterator[fakes.FakeSlurmrestd]:
    async with fakes.slurmrestd(tmp_path) as fake:
        yield fake


@pytest.fixture
async def build(
    tmp_path: Path, empty_store: Path, slurm: fakes.FakeSlurmrestd, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Build]:
    """Build a house whose configuration has some settings of its own."""
    directory = fakes.demo_directory()
    monkeypatch.setattr("gateway.app.LdapDirectory", lambda _settings: directory)
    async with contextlib.AsyncExitStack() as stack:

        def prepare(changes: Mapping[str, Mapping[str, object]]) -> Config:
            shutil.copyfile(empty_store, tmp_path / "gateway.db")
            wanted: dict[str, dict[str, object]] = {"server": {"admin_listen": f"unix:{tmp_path}/admin.sock"}}
            for table, settings in changes.items():
                wanted.setdefault(table, {}).update(settings)
            return load(fakes.site(tmp_path, slurm.url, wanted))

        async def made(tcp: bool = False, **changes: Mapping[str, object]) -> House:  # noqa: FBT002 - reads well where it is called
            tables: dict[str, dict[str, object]] = {name.replace("__", "."): dict(table) for name, table in changes.items()}
            public = None
            if tcp:
                public = socket.create_server(("127.0.0.1", 0))
                tables.setdefault("server", {})["listen"] = f"127.0.0.1:{public.getsockname()[1]}"
            config = await asyncio.to_thread(prepare, tables)
            application = await stack.enter_async_context(Application(config))
            house = House(config, slurm, directory, application, log)
            listen, admin = config.server.listen, config.server.admin_listen
            house.door = listen.path or str(listen)
            assert admin is not None
            for door, handler in ((public or _unix(str(listen.path)), application.front.handle), (_unix(str(admin.path)), application.admin.handle)):
                stack.push_async_callback((await worker._open(door, handler, config)).cleanup)
            return house

        yield made


def _unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    return listener


@pytest.fixture
async def house(build: Build) -> House:
    return await build()

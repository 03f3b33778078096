"""What the tests of the upper rooms put in place of a real site: a directory, a slurmrestd that can misbehave, a bare HTTP client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import Secret
from gateway.errors import DirectoryUnavailable
from gateway.sessions.tokens import ENTROPY_BYTES, make_token, token_digest
from gateway.signin.account import REQUIRED, Account, Candidate, Denied
from gateway.store.sessions import SessionRow

PASSWORD = "correct horse battery staple"
JWT_KEY = b"a key of slurm's that is long enough for HS256\n"
AUDIT_KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
LIMIT = 15.0  # what waits for nothing takes no longer for it; a machine with much else to do needs it


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Return as soon as ``condition`` holds; fail when it does not within ``limit`` seconds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - what it waits for is in another process or library, which sets no Event
            await asyncio.sleep(0.002)


def wait_for(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Do as ``until`` does, where there is no loop."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


# A site's files.


def private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner may read."""
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def site(folder: Path, upstream: str, changes: Mapping[str, Mapping[str, object]] | None = None) -> Path:
    """Write a configuration with its keys into ``folder`` and return its path; ``changes`` are laid over it, None takes a key out."""
    private(folder / "jwt.key", JWT_KEY)
    private(folder / "ring", b"k1:" + base64.b64encode(b"r" * 32) + b"\n")
    private(folder / "audit.key", AUDIT_KEY)
    tables: dict[str, dict[str, object]] = {
        "server": {"listen": f"unix:{folder}/gateway.sock", "body_timeout": "5s", "stop_timeout": "5s"},
        "store": {"url": f"sqlite:///{folder}/gateway.db", "key_ring_file": f"{folder}/ring"},
        "directory": {"urls": ["ldap://127.0.0.1:1"], "allow_plaintext": True, "user_base": "dc=example,dc=org", "timeout": "1s"},
        "slurm": {"default_cluster": "main", "versions": False},
        "clusters.main": {
            "url": upstream,
            "jwt_key_file": f"{folder}/jwt.key",
            "pool": 2,
            "pool_wait": "2s",
            "answer_timeout": "5s",
            "read_timeout": "5s",
        },
        "throttle": {"refusal_time": "1ms"},
        "reads": {"enabled": False},
        "audit": {"file": f"{folder}/audit.log"},
    }
    for name, table in (changes or {}).items():
        tables.setdefault(name, {}).update(table)
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items() if value is not None)]
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def toml(value: object) -> str:
    """Write a value as TOML, a mapping as an inline table."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


# The directory.


@dataclass(kw_only=True)
class FakeDirectory:
    """A Directory with people in a dictionary; ``down`` makes it fail, ``asked`` has the names that it was asked for."""

    people: dict[str, Account] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    async def find(self, typed: str) -> Candidate:
        account = self._look(typed.casefold())
        return Candidate(key=(account.username if isinstance(account, Account) else typed).casefold(), account=account, entry=typed)

    async def prove(self, candidate: Candidate, password: Secret) -> str | None:
        self.asked.append(str(candidate.entry))
        return None if isinstance(candidate.account, Account) and password.reveal() == PASSWORD.encode() else "password_refused"

    async def account(self, username: str) -> Account | Denied:
        return self._look(username)

    async def by_uid(self, uid: int) -> Account | Denied:
        return self._look(next((person.username for person in self.people.values() if person.uid == uid), ""))

    def _look(self, name: str) -> Account | Denied:
        if self.down:
            raise DirectoryUnavailable("the fake directory is down")
        return self.people.get(name) or Denied("user_unknown")

    async def ping(self) -> None:
        if self.down:
            raise DirectoryUnavailable("the fake directory is down")

    def close(self) -> None:
        """Do nothing: there is nothing open."""


def demo_directory() -> FakeDirectory:
    """Return the directory of the demo: who may come in, who may not, and the names that Slurm takes for more."""
    people = [("alice", 2001, True), ("bob", 2002, True), ("carol", 2003, True), ("dave", 2004, False)]
    traps = [("root", 2011, True), ("slurm", 2012, True), ("33", 2013, True), ("daemon", 2, True)]
    groups = {True: frozenset({REQUIRED}), False: frozenset[str]()}
    return FakeDirectory(people={name: Account(username=name, uid=uid, groups=groups[member]) for name, uid, member in (*people, *traps)})


# slurmrestd.


@dataclass(kw_only=True)
class Request:
    """What slurmrestd saw of one request, to the byte, and the connection to answer on."""

    head: bytes
    connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.partition(b"\r\n")[0].decode()

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The header fields, names in lower case, in their order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def field(self, name: str) -> str | None:
        """Return the one value of a header, or None; fail when it stands twice."""
        values = [value for key, value in self.fields if key == name.lower()]
        assert len(values) < 2, f"{name} stands twice"
        return values[0] if values else None

    async def read_body(self) -> None:
        """Read the body that the head declares."""
        self.body = await self.reader.readexactly(int(self.field("content-length") or 0))

    async def say(self, *pieces: bytes) -> None:
        """Send pieces, each on its way before the next."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()


Behaviour = Callable[[Request], Awaitable[bool]]


def http(status: int, body: bytes = b"", *fields: str, content_type: str = "application/json") -> bytes:
    """Return a reply with a length, as slurmrestd writes it."""
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def replies(*pieces: bytes, close: bool = False, body: bool = True) -> Behaviour:
    """Answer with ``pieces`` after having read the request (its body too if ``body``); then ``close``, or wait for the next one."""

    async def behaviour(request: Request) -> bool:
        if body:
            await request.read_body()
        await request.say(*pieces)
        return not close

    return behaviour


def hangs_up() -> Behaviour:
    """Close without a word."""
    return replies(close=True)


def hangs() -> Behaviour:
    """Take the request and never answer."""

    async def behaviour(request: Request) -> bool:
        await request.reader.read()
        return False

    return behaviour


OK = b'{"meta":{},"errors":[]}'
FINE = replies(http(200, OK))


class Gate:
    """A behaviour that answers once ``open`` is set."""

    def __init__(self, reply: Behaviour = FINE) -> None:
        self.open = asyncio.Event()
        self._reply = reply

    async def __call__(self, request: Request) -> bool:
        await self.open.wait()
        return await self._reply(request)


class FakeSlurmrestd:
    """Listens on a unix socket and does with each request what ``behaviour`` says; ``script`` comes first, one behaviour a request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.behaviour: Behaviour = FINE
        self.script: list[Behaviour] = []
        self.seen: list[Request] = []
        self.connections = 0
        self.open = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where a configuration finds it."""
        return f"unix:{self.path}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def stop(self) -> None:
        """Close the door and every connection, those too that come while it closes."""
        if self._server is not None:
            self._server.close()
        self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self._converse(reader, writer, self.connections)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        going = True
        while going:
            head = await reader.readuntil(b"\r\n\r\n")
            request = Request(head=head, connection=number, reader=reader, writer=writer)
            self.seen.append(request)
            behaviour = self.script.pop(0) if self.script else self.behaviour
            going = await behaviour(request)


@contextlib.asynccontextmanager
async def slurmrestd(folder: Path) -> AsyncIterator[FakeSlurmrestd]:
    """Run a fake slurmrestd in ``folder``."""
    fake = FakeSlurmrestd(folder / "slurmrestd.sock")
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


# The client.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: status, header fields in their order, the body with its framing taken off, and whether the framing was whole."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool = True
    interim: tuple[int, ...] = ()

    def field(self, name: str) -> str | None:
        """Return the one value of a header, or None; fail when it stands twice."""
        values = [value for key, value in self.fields if key == name.lower()]
        assert len(values) < 2, f"{name} stands twice"
        return values[0] if values else None

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object."""
        tree = json.loads(self.body)
        assert isinstance(tree, dict)
        return tree

    @property
    def reason(self) -> object:
        """The reason of a problem document."""
        assert self.field("content-type") == "application/problem+json", (self.status, self.body)
        return self.json["reason"]


Fields = Iterable[tuple[str, str]]


def encode(method: str, target: str, fields: Fields = (), body: bytes | None = None, *, close: bool = True) -> bytes:
    """Write a request as it is given, adding only Host, a length for a body, and ``Connection: close``."""
    names = {name.lower() for name, _ in fields}
    extra = [] if "host" in names else [("Host", "gateway.example.org")]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        extra.append(("Content-Length", str(len(body))))
    if close and "connection" not in names:
        extra.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in (*extra, *fields))
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(*pieces: bytes) -> bytes:
    """Frame pieces as chunks (RFC 9112 section 7.1)."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Read the head of an answer."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    fields = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
    return int(lines[0].split(" ")[1]), fields


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer, with the interim ones before it; what breaks off is given as far as it came."""
    interim: list[int] = []
    status, fields = await read_head(reader)
    while status < 200:
        interim.append(status)
        status, fields = await read_head(reader)
    body, whole = await _read_body(reader, dict(fields))
    return Answer(status=status, fields=fields, body=body, whole=whole, interim=tuple(interim))


async def _read_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> tuple[bytes, bool]:
    body = bytearray()
    try:
        if fields.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        elif "content-length" in fields:
            body += await reader.readexactly(int(fields["content-length"]))
        else:
            body += await reader.read()
    except asyncio.IncompleteReadError as error:
        return bytes(body + error.partial), False
    except ConnectionError:
        return bytes(body), False
    return bytes(body), True


def bearer(token: str) -> list[tuple[str, str]]:
    """Present a token the gateway's own way."""
    return [("Authorization", f"Bearer {token}")]


def basic(username: str, password: str = PASSWORD, otp: str | None = None) -> list[tuple[str, str]]:
    """Present credentials with one request."""
    value = base64.b64encode(f"{username}:{password}".encode()).decode()
    return [("Authorization", f"Basic {value}"), *([("X-OTP", otp)] if otp is not None else [])]


def fresh_id() -> str:
    """Return an id as nginx makes it."""
    return secrets.token_hex(16)


def json_lines(path: Path) -> list[dict[str, object]]:
    """Return the events of an audit trail, without what makes them a chain."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in {"seq", "prev"}} for line in lines if line["event"] != "chain_head"]


async def make_folder(path: Path) -> Path:
    """Make a folder off the loop."""
    await asyncio.to_thread(path.mkdir)
    return path


async def write_private(path: Path, content: bytes) -> Path:
    """Do as ``private`` does, off the loop."""
    return await asyncio.to_thread(private, path, content)


def execute(database: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    """Change a database, behind the back of whoever uses it."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(statement, values)
        connection.commit()


def insert(database: Path, table: str, row: Mapping[str, object]) -> None:
    """Put a row into a table."""
    marks = ", ".join("?" * len(row))
    execute(database, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - names of ours


# The whole gateway, as its own process.


class Gateway:
    """A process that serves ``config``; what it writes to standard error is its log."""

    def __init__(self, config: Path, *words: str) -> None:
        self.config = config
        self._log = config.with_suffix(".log")
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "gateway", "--config", str(config), "serve", *words]
            # What a killed one cannot tidy up goes with the test's own folder.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env={**os.environ, "TMPDIR": str(config.parent)})

    @property
    def public(self) -> str:
        """The public listener's unix socket."""
        return str(self.config.parent / "gateway.sock")

    @property
    def admin(self) -> str:
        """The administrators' listener's unix socket."""
        return str(self.config.parent / "admin.sock")

    @property
    def sockets(self) -> list[str]:
        """Which of them are there."""
        return [path for path in (self.public, self.admin) if Path(path).exists()]

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the events of its log that are called so."""
        return [line for line in json_lines(self._log) if line["event"] == name]

    @property
    def workers(self) -> list[int]:
        """The processes that serve under it."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def serving(self, workers: int = 1) -> Self:
        """Wait until so many workers serve."""
        wait_for(lambda: self.process.poll() is not None or len(self.events("serving")) >= workers, 20)
        assert self.process.poll() is None, self._log.read_text()
        return self

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait until it has ended and return its exit code."""
        return self.process.wait(15)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def ask_now(door: str, method: str, target: str, fields: Fields = ()) -> tuple[int, bytes]:
    """Send one request without a loop; return status and body."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(LIMIT)
        client.connect(door)
        client.sendall(encode(method, target, list(fields)))
        data = b""
        while piece := client.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


def refuses(door: str) -> bool:
    """Tell whether a unix socket is there, but takes no connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(LIMIT)
        try:
            client.connect(door)
        except ConnectionRefusedError:
            return True
    return False


async def ask_at(door: str, method: str, target: str, fields: Fields = (), body: bytes | None = None) -> Answer:
    """Send one request to a unix socket and read its answer."""
    reader, writer = await asyncio.open_unix_connection(door)
    try:
        writer.write(encode(method, target, list(fields), body))
        async with asyncio.timeout(10):
            return await read_answer(reader)
    finally:
        writer.close()


def session_of(
    database: Path, username: str, uid: int = 2001, *, lifetime: float = 3600.0, age: float = 0.0, groups: Iterable[str] = (REQUIRED,)
) -> str:
    """Put a session into a store, begun ``age`` seconds ago, with an account that was looked at just now, and return its token."""
    token, now = make_token(secrets.token_bytes(ENTROPY_BYTES)), time.time() - age
    row = SessionRow(
        id=secrets.token_hex(16),
        token_sha256=token_digest(token),
        kind="session",
        username=username,
        uid=uid,
        created_at=now,
        expires_at=now + lifetime,
        last_used_at=now,
        second_factor_at=now,
        address="192.0.2.1",
        client="test",
        factor="totp",
    )
    insert(database, "sessions", row.values())
    account = (username, uid, json.dumps(sorted(groups)), time.time())
    execute(database, "INSERT OR REPLACE INTO accounts (username, uid, groups, checked_at) VALUES (?, ?, ?, ?)", account)
    return token

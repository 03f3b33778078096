"""A real nginx with the files that the command writes, in front of stubs that write down, byte for byte, what reaches them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.cli.main import main
from tests.system.support import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\n{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request or an answer: its first line, its headers as they came, and its body."""

    first: str
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def read(cls, raw: bytes) -> Message:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
        return cls(first=first, headers=pairs, body=body)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.casefold() == name.casefold()]

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    @property
    def problem(self) -> dict[str, Any]:
        assert self.all("Content-Type") == ["application/problem+json"]
        tree: dict[str, Any] = json.loads(self.body)
        return tree


@dataclass(slots=True)
class Stub:
    """Stands where the gateway would; ``answer`` is called for each request and may write what it likes."""

    path: Path
    requests: list[Message] = field(default_factory=list)
    connections: int = 0
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        try:
            yield
        finally:
            self.die()

    def die(self) -> None:
        """End as a process does: with its connections."""
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while not writer.is_closing():
                self.requests.append(await read_message(reader))
                if self.answer is None:
                    writer.write(OK.removesuffix(b"{}") if self.requests[-1].first.startswith("HEAD ") else OK)
                else:
                    await self.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running nginx: its ports, its folder, and the stub behind it."""

    port: int
    plain_port: int
    folder: Path
    trust: ssl.SSLContext
    stub: Stub
    process: subprocess.Popen[bytes]

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust, server_hostname="slurm.test")

    async def send(self, raw: str | bytes) -> Message:
        """Send one request as it stands, and return what comes back."""
        return await exchange(*await self.open(), raw)

    async def send_plain(self, port: int, raw: str) -> Message:
        return await exchange(*await asyncio.open_connection("127.0.0.1", port), raw)

    async def stop(self) -> None:
        """Let nginx finish, so that its logs are complete."""
        self.process.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(self.process.wait, 10)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: str | bytes) -> Message:
    async with asyncio.timeout(10):
        sent = raw.encode("latin-1") if isinstance(raw, str) else raw
        writer.write(sent)
        try:
            return await read_message(reader, bodiless=sent.startswith(b"HEAD "))
        finally:
            writer.close()


async def read_message(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Message:
    """Read one request or answer; without a length, or as the answer to HEAD, it has no body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = [] if bodiless else Message.read(head).all("Content-Length")
    return Message.read(head + (await reader.readexactly(int(length[0])) if length else b""))


def request(target: str = "/slurm/v0.0.38/ping", *headers: str, method: str = "GET", host: str = "slurm.test", body: str = "") -> str:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, *length, "Connection: close", "", body])


def make_certificates(folder: Path) -> Path:
    """Make a throw-away CA, and a certificate of it for the names and the address that the tests use."""
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    names = "subjectAltName=DNS:slurm.test,DNS:other.test,IP:127.0.0.1"
    for words in (
        ["req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2"],
        ["req", "-x509", *new_key, "-keyout", "site.key", "-out", "site.pem", "-subj", "/CN=slurm.test", "-days", "2",
         "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"],
    ):  # fmt: skip
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return folder


def _write_files(
    folder: Path, certificates: Path, ports: list[int], options: dict[str, str], patches: dict[str, str], gateways: Sequence[str]
) -> None:
    """Have the command write both files; ``patches`` shortens time-outs that a test would otherwise wait for."""
    site, conf = folder / "site.conf", folder / "nginx.conf"
    given = {"--access-log": f"{folder}/access.log", "--login-rate": "1r/m", "--login-burst": "2"} | options
    words = ["--server-name=slurm.test", "--server-name=127.0.0.1", f"--listen=127.0.0.1:{ports[0]}", f"--redirect-listen=127.0.0.1:{ports[1]}"]
    words += [f"--gateway={gateway}" for gateway in gateways]
    words += [f"--certificate={certificates}/site.pem", f"--certificate-key={certificates}/site.key", f"--output={site}", "--check"]
    assert main(["nginx", "render", *words, *(f"{name}={value}" for name, value in given.items())]) == 0
    logs = [f"--pid={folder}/pid", f"--error-log={folder}/error.log", f"--access-log={folder}/other.log", f"--temp-dir={folder}/temp"]
    user = ["--user=root"] if os.geteuid() == 0 else []
    assert main(["nginx", "main", f"--include={site}", *logs, *user, f"--output={conf}"]) == 0
    for old, new in ({"worker_processes auto": "worker_processes 1"} | patches).items():
        file = conf if old in conf.read_text() else site
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))


@contextmanager
def _nginx(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-g", "daemon off;"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _answers(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(10):
        while True:
            assert process.poll() is None, "nginx did not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.005)
            else:
                writer.close()
                return


Start = Callable[..., Awaitable[Site]]


@asynccontextmanager
async def starting(folder: Path, certificates: Path) -> AsyncIterator[Start]:
    """Give what starts nginx with options of the command and patches of its files; it ends with the block."""
    (folder / "temp").mkdir()
    trust = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    async with AsyncExitStack() as stack:

        async def start_one(
            *,
            options: dict[str, str] | None = None,
            patches: dict[str, str] | None = None,
            stub: bool = True,
            nodes: str = "g",
            gateways: Sequence[str] = (),
        ) -> Site:
            ports = [free_port(), free_port()]
            given = gateways or [f"unix:{folder}/{node}" for node in nodes]
            _write_files(folder, certificates, ports, options or {}, patches or {}, given)
            behind = Stub(folder / "g")
            if stub:
                await stack.enter_async_context(behind.serving())
            process = stack.enter_context(_nginx(folder))
            await _answers(ports[0], process)
            return Site(port=ports[0], plain_port=ports[1], folder=folder, trust=trust, stub=behind, process=process)

        yield start_one

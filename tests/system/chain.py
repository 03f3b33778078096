"""A second way into the site: nginx and a gateway of the test's own, and in front of slurmrestd somebody who writes down what reaches it.

The gateway shares the site's store, directory and keys, so that the site's tokens are good here as well. What slurmrestd would see is kept byte
for byte; it is passed on to the real slurmrestd, or answered as the test likes.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.system.support import START, Site, free_port, wait_for

T = TypeVar("T")
V = TypeVar("V")
Answering = Callable[[socket.socket, "Seen"], None]

_addresses = itertools.count()


def new_address() -> str:
    """Return an address of loopback that no other test has, so that no throttle counts them together."""
    number = next(_addresses)
    return f"127.70.{number // 250}.{number % 250 + 1}"


def at_once(call: Callable[[V], T], cases: Mapping[str, V], threads: int = 16) -> dict[str, T]:
    """Make one call for each case, side by side, and return the results under the cases' names."""
    with ThreadPoolExecutor(threads) as pool:
        results = {name: pool.submit(call, case) for name, case in cases.items()}
        return {name: result.result() for name, result in results.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as slurmrestd gets it."""

    head: bytes
    body: bytes

    @property
    def request_line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        """Return the values of a header, however its name is written."""
        return [value for key, value in self.headers if key.replace("_", "-").casefold() == name.casefold()]

    @property
    def user(self) -> str:
        """Whom slurmrestd takes the request for; fails unless name and token are there once and say the same."""
        [name], [token] = self.all("X-SLURM-USER-NAME"), self.all("X-SLURM-USER-TOKEN")
        payload = token.split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sun"] == name
        return name


class Witness:
    """Stands where slurmrestd would, and keeps what comes; ``answer`` replies in its place, else the real one does."""

    def __init__(self, path: Path, real: str) -> None:
        self._real = real
        self._seen: list[Seen] = []
        self.answer: Answering | None = None
        self.answering = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> list[Seen]:
        """Return what has come since this was last asked."""
        seen, self._seen = self._seen, []
        return seen

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while (request := _read(stream)) is not None:
                self._seen.append(request)
                self.answering += 1
                try:
                    (self.answer or self._relay)(connection, request)
                finally:
                    self.answering -= 1

    def _relay(self, connection: socket.socket, request: Seen) -> None:
        """Ask the real slurmrestd, on a connection of its own that ends with the answer."""
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(self._real)
            real.sendall(request.head + request.body)
            answer = b""
            while not _is_whole(answer) and (piece := real.recv(65536)):
                answer += piece
            connection.sendall(answer)


def hangs_up(connection: socket.socket, _request: Seen) -> None:
    """Answer nothing, and close."""
    connection.shutdown(socket.SHUT_RDWR)


def _read(stream: Any) -> Seen | None:
    """Read one request as the plainest of servers would: a head, and as many bytes as its length says."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(65536)
        if not line:
            return None
        head += line
    length = re.findall(rb"(?im)^content-length:[ \t]*([0-9]+)[ \t]*\r$", head)
    return Seen(head=head, body=stream.read(int(length[0])) if length else b"")


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer has all of its body; one without a length ends with the connection, but a 304 has none."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 304"):
        return bool(end)
    length = re.findall(rb"(?im)^content-length:[ \t]*([0-9]+)", head)
    return bool(length) and int(length[0]) <= len(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """nginx, gateway, witness. ``site`` speaks to this nginx as the site's own ``Site`` does to the other."""

    site: Site
    witness: Witness
    gateway_pid: int
    nginx_pid: int
    folder: Path


@contextlib.contextmanager
def chain(site: Site, *, settings: Mapping[str, str] | None = None, workers: int = 1, nginx: Mapping[str, str] | None = None) -> Iterator[Chain]:
    """Start one; ``settings`` are more lines for tables of the gateway's file, by their names, and ``nginx`` replaces words of nginx's."""
    # Alice's session is opened at the site's own door, in whose trail other tests look for it.
    site.token("alice")
    owner = Path(site.told["config"]).parent.stat()
    folder = Path(tempfile.mkdtemp(prefix="sgw-chain-", dir="/var/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("gateway", "temp"):
            (folder / name).mkdir()
        witness = Witness(folder / "slurm.sock", urlsplit(site.told["slurmrestd"]).path)
        stack.callback(witness.close)
        config, port = folder / "gateway.toml", free_port()
        config.write_text(_config(Path(site.told["config"]).read_text(), folder, workers, settings or {}))
        _write_nginx(site, folder, port, nginx or {})
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        gateway = _start(stack, [*site.told["command"], "--config", str(config), "serve"], folder, "gateway.log", owner)
        log = folder / "gateway.log"
        wait_for(lambda: _serves(log, gateway, workers), START, "the gateway's start")
        server = _start(stack, ["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-g", "daemon off;"], folder, "nginx.log", owner)
        # The same people, at another door.
        told = {**site.told, "url": f"https://127.0.0.1:{port}", "config": str(config)}
        through = Site(folder, told, _tokens=site._tokens, _secrets=site._secrets)
        wait_for(lambda: _lives(through), 10, "nginx's start")
        yield Chain(site=through, witness=witness, gateway_pid=gateway, nginx_pid=server, folder=folder)


def _start(stack: contextlib.ExitStack, words: list[str], folder: Path, log: str, owner: os.stat_result) -> int:
    """Start a server as the gateway's own user; it ends with the stack."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    (folder / log).touch(0o600)
    with (folder / log).open("wb") as stream:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment,
            cwd="/",
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=[],
        )

    def end() -> None:
        process.terminate()
        process.wait(40)

    stack.callback(end)
    return process.pid


def _serves(log: Path, pid: int, workers: int) -> bool:
    """Tell whether all workers serve; fail with what a gateway that ended had to say."""
    said = log.read_bytes()
    assert b'"serving"' in said or Path(f"/proc/{pid}/exe").exists(), said.decode()
    return said.count(b'"serving"') == workers


def _lives(site: Site) -> bool:
    try:
        return site.ask("GET", "/health/live").status == 200
    except OSError:
        return False


def _config(text: str, folder: Path, workers: int, settings: Mapping[str, str]) -> str:
    """Return the site's configuration with a listener and a trail of its own, in front of the witness."""
    for old, new in (
        (r'^listen = ".*"$', f'listen = "unix:{folder}/gateway.sock"'),
        (r"^admin_listen = .*\n", ""),
        (r"^workers = .*$", f"workers = {workers}"),
        (r'^url = "unix:.*slurmrestd.*"$', f'url = "unix:{folder}/slurm.sock"'),
        (r'^file = ".*audit.jsonl"$', f'file = "{folder}/gateway/audit.jsonl"'),
    ):
        text, count = re.subn(f"(?m){old}", new, text)
        assert count == 1, old
    # Its looks would stand among what a test sees of its own requests.
    for table, lines in {"slurm": "versions = false\n", **settings}.items():
        head = f"[{table}]\n"
        text = text.replace(head, head + lines) if head in text else f"{text}\n{head}{lines}"
    return text


def _write_nginx(site: Site, folder: Path, port: int, patches: Mapping[str, str]) -> None:
    """Have the gateway's command write both of nginx's files, as the demo does."""
    tls = site.state / "tls"
    for name in ("nginx.pem", "nginx.key"):
        shutil.copyfile(tls / name, folder / name)
    (folder / "nginx.key").chmod(0o400)
    render = ["--server-name=localhost", "--server-name=127.0.0.1", f"--listen=127.0.0.1:{port}", f"--gateway=unix:{folder}/gateway.sock"]
    render += [f"--certificate={folder}/nginx.pem", f"--certificate-key={folder}/nginx.key", f"--access-log={folder}/access.log"]
    site.gateway("nginx", "render", *render, f"--output={folder}/site.conf")
    logs = [f"--pid={folder}/nginx.pid", f"--error-log={folder}/error.log", f"--access-log={folder}/other.log", f"--temp-dir={folder}/temp"]
    site.gateway("nginx", "main", f"--include={folder}/site.conf", *logs, f"--output={folder}/nginx.conf")
    text = {path: path.read_text() for path in (folder / "site.conf", folder / "nginx.conf")}
    for old, new in patches.items():
        [path] = [path for path, content in text.items() if old in content]
        text[path] = text[path].replace(old, new)
        path.write_text(text[path])


SENT_ON = {"reads": "enabled = false\n"}
"""Settings for tests that look at what slurmrestd gets of each request: none is answered from what is kept."""


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [pid, *children]


def forget_high_water(pids: list[int]) -> None:
    """Have the kernel count the most memory anew (proc(5): clear_refs)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def high_water(pids: list[int]) -> int:
    """Return the most memory that processes have had in all since it was forgotten, in bytes (proc(5): VmHWM)."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    assert len(lines) == len(pids)
    return sum(int(line.split()[1]) for line in lines) * 1024

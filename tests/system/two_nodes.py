"""Two gateway nodes on one PostgreSQL, behind one nginx: all that a site without a single point of failure has of ours."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.postgres import Cluster
from tests.system.second_gateway import UnixConnection
from tests.system.support import START, Answer, HeaderList, Site, free_port, one_time_code, runs, wait_for


@dataclass(slots=True)
class Node:
    """One gateway with a socket, a trail and a log of its own."""

    site: Site
    folder: Path
    name: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.name}.sock"

    def start(self) -> None:
        """Start it and wait until its two workers serve."""
        owner = Path(self.site.told["config"]).parent.stat()
        log = self.folder / f"{self.name}.log"
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*self.site.told["command"], "--config", str(self.config), "serve"],
                stdin=subprocess.DEVNULL,
                stderr=stream,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "TMPDIR": str(self.folder)},
                user=owner.st_uid,
                group=owner.st_gid,
                extra_groups=[],
                cwd="/",
            )
        wait_for(lambda: log.read_bytes().count(b'"serving"') == 2, START, f"node {self.name}")

    def kill(self) -> None:
        """End all of it as the loss of its machine would."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        # Its workers are nobody's children now; when they have ended, so have their connections.
        wait_for(lambda: not any(runs(int(pid)) for pid in children), 10, "the end of the workers")

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)

    def ask(self, method: str, path: str, *, headers: HeaderList = (), body: bytes | None = None) -> Answer:
        """Ask this node, not whichever nginx would choose."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body=body, headers={**dict(headers), "Connection": "close"})
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=response.read())
        finally:
            connection.close()


@dataclass(slots=True, kw_only=True)
class TwoNodes:
    """The nodes, their database, and the site through the nginx in front of both."""

    a: Node
    b: Node
    database: Cluster
    front: Site
    _secrets: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the gateway's command with a node's configuration."""
        return subprocess.run([*self.front.told["command"], "--config", str(self.a.config), *words], capture_output=True, text=True, check=True)

    def code(self, user: str = "bob", ahead: int = 0) -> str:
        """Enrol somebody anew, and return a code that nobody has used."""
        self.command("disenroll", user) if user in self._secrets else None
        self.command("users", "unlock", user)
        self._secrets[user] = json.loads(self.command("enroll", user, "--json").stdout)["secret"]
        return self.later_code(user, ahead)

    def later_code(self, user: str, ahead: int) -> str:
        """Return the code of a step that is so many ahead."""
        return one_time_code(self._secrets[user], int(time.time() // 30) + ahead)

    def credentials(self, otp: str, user: str = "bob") -> bytes:
        """Return the body of a sign-in."""
        return json.dumps({"username": user, "password": self.front.password(user), "otp": otp}).encode()

    def session(self, user: str = "bob") -> list[tuple[str, str]]:
        """Sign in through nginx, and return the header that says so."""
        answer = self.front.ask("POST", "/auth/login", body=self.credentials(self.code(user), user))
        assert answer.status == 200, answer.body
        return [("Authorization", f"Bearer {answer.json['token']}")]


@contextlib.contextmanager
def two_nodes(site: Site) -> Iterator[TwoNodes]:
    """Run them until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="sgw-nodes-", dir="/var/tmp"))
    owner = Path(site.told["config"]).parent.stat()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database = stack.enter_context(Cluster(durable=True))
        database.create("gateway")
        source = Path(site.told["config"]).parent
        for secret in ("keyring", "audit.key"):
            shutil.copyfile(source / secret, folder / secret)
            (folder / secret).chmod(0o600)
        nodes = [Node(site, folder, name) for name in "ab"]
        for node in nodes:
            node.config.write_text(_config(Path(site.told["config"]).read_text(), node, database.url("gateway")))
        folder.chmod(0o755)
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        port = stack.enter_context(_nginx(site, folder, nodes))
        told: dict[str, Any] = {**site.told, "url": f"https://127.0.0.1:{port}"}
        yield TwoNodes(a=nodes[0], b=nodes[1], database=database, front=Site(site.state, told))


def _config(text: str, node: Node, url: str) -> str:
    changes = {
        r"^listen = .*$": f'listen = "unix:{node.socket}"\nsocket_mode = "0660"',
        r"^admin_listen = .*\n": "",
        r"^workers = .*$": "workers = 2",
        r'^url = "sqlite:.*$': f'url = "{url}"',
        r"^key_ring_file = .*$": f'key_ring_file = "{node.folder}/keyring"',
        r"^file = .*$": f'file = "{node.folder}/{node.name}.jsonl"',
    }
    for pattern, line in changes.items():
        text, count = re.subn(f"(?m){pattern}", line, text)
        assert count == 1, pattern
    return text


@contextlib.contextmanager
def _nginx(site: Site, folder: Path, nodes: list[Node]) -> Iterator[int]:
    port, tls = free_port(), site.state / "tls"
    certificate = ["--certificate", str(tls / "nginx.pem"), "--certificate-key", str(tls / "nginx.key")]
    gateways = [word for node in nodes for word in ("--gateway", f"unix:{node.socket}")]
    listen = ["--server-name", "127.0.0.1", "--listen", f"127.0.0.1:{port}", "--login-rate", "100r/s", "--login-burst", "1000"]
    site.gateway("nginx", "render", *listen, *certificate, *gateways, "--output", str(folder / "site.conf"))
    logs = ["--error-log", str(folder / "error.log"), "--access-log", str(folder / "access.log"), "--pid", str(folder / "nginx.pid")]
    user = ["--user", "root", "--temp-dir", str(folder / "temp"), "--output", str(folder / "nginx.conf")]
    (folder / "temp").mkdir()
    site.gateway("nginx", "main", "--include", str(folder / "site.conf"), *logs, *user)
    process = subprocess.Popen(["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"])
    try:
        wait_for((folder / "nginx.pid").exists, 10, "nginx")
        yield port
    finally:
        process.terminate()
        process.wait(10)

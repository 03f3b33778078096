"""What the system tests share: the real site that deploy/demo starts, and ways to speak to it as its users do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import random
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deploy.site import ports

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
HeaderList = Iterable[tuple[str, str]]
LISTED_ENVIRONMENT, SCRIPT_INSIDE = 39, 41
"""The versions from which the environment is a list, and from which the script stands in the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        """The stable reason of a refusal."""
        return self.json.get("reason") if self.headers.get_content_type() == "application/problem+json" else None


def one_time_code(secret: str, step: int) -> str:
    """RFC 6238 by hand: the tests do not trust the library that they test."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def runs(pid: int) -> bool:
    """Tell whether a process, or any of its threads, runs: the last one closes what they share, and the first may be a zombie long before."""
    try:
        return any(map(_thread_runs, Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return False


def _thread_runs(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


START = 60.0
"""Seconds a server may take to start on a machine that does much else; how quick it is is no test's affair."""


def wait_for(condition: Callable[[], T], limit: float, what: str) -> T:
    """Return the first true value of ``condition``; fail after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {limit} s")
        time.sleep(0.05)


@dataclass(slots=True)
class Site:
    """A running site: what demo.json says of it, and its command."""

    state: Path
    told: dict[str, Any]
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, state: Path) -> Site:
        return cls(state, json.loads((state / "demo.json").read_text()))

    def read_again(self) -> None:
        """Take in what `up` has written down anew; it may have given its own first person another second factor, which ends her sessions."""
        self.told = Site.at(self.state).told
        self._tokens.clear()
        self._secrets.clear()

    # Commands.

    def demo(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_demo(*arguments, "--state", str(self.state), check=check)

    def gateway(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the gateway's own command on the site's configuration, as root does."""
        command = [*self.told["command"], "--config", self.told["config"], *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60)

    # HTTP through nginx.

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.told["ca_file"])

    def ask(
        self, method: str, path: str, *, headers: HeaderList = (), body: bytes | None = None, timeout: float = 60, source: str = "127.0.0.1"
    ) -> Answer:
        """Send one request exactly as given: headers in their order, doubled ones doubled, the path's bytes untouched; ``source`` is our address."""
        url = urlsplit(self.told["url"])
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=self.tls(), timeout=timeout, source_address=(source, 0))
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=response.read())
        finally:
            connection.close()

    def raw(self, request: bytes, timeout: float = 20) -> bytes:
        """Send bytes that no client library would send, and return all that comes back."""
        url = urlsplit(self.told["url"])
        with (
            socket.create_connection((url.hostname, url.port), timeout=timeout) as plain,
            self.tls().wrap_socket(plain, server_hostname=url.hostname) as wrapped,
        ):
            wrapped.sendall(request)
            pieces = []
            while piece := wrapped.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)

    # Signing in.

    def password(self, user: str) -> str:
        return str(self.told["users"][user]["password"])

    def secret(self, user: str) -> str:
        return self._secrets.get(user) or str(self.told["users"][user]["totp_secret"])

    def fresh_code(self, user: str) -> str:
        """Enrol ``user`` anew, which ends their sessions, and return a code that nobody has used."""
        self.gateway("disenroll", user, check=False)
        self._secrets[user] = json.loads(self.gateway("enroll", user, "--json").stdout)["secret"]
        self._tokens.pop(user, None)
        return one_time_code(self._secrets[user], int(time.time() // 30))

    def login(self, user: str, otp: str, *, password: str | None = None, headers: HeaderList = (), source: str = "127.0.0.1") -> Answer:
        body = json.dumps({"username": user, "password": self.password(user) if password is None else password, "otp": otp}).encode()
        return self.ask("POST", "/auth/login", headers=[("Content-Type", "application/json"), *headers], body=body, source=source)

    def token(self, user: str, *, younger_than: float = 3600) -> str:
        """Return a session's token, signing in anew when the last one is older than so many seconds."""
        token, since = self._tokens.get(user, ("", -1e9))
        if time.monotonic() - since > younger_than:
            answer = self.login(user, self.fresh_code(user))
            assert answer.status == 200, answer.body
            token = str(answer.json["token"])
            self._tokens[user] = (token, time.monotonic())
        return token

    def call(self, user: str, method: str, path: str, tree: object = None, **more: Any) -> Answer:
        """Call Slurm as ``user``, with JSON if there is any; what changes accounting is called with a second factor that is young enough."""
        asks_for_more = method != "GET" and "/slurmdb/" in path
        headers = [("Authorization", f"Bearer {self.token(user, younger_than=200 if asks_for_more else 3600)}")]
        body = None
        if tree is not None:
            headers.append(("Content-Type", "application/json"))
            body = json.dumps(tree).encode()
        return self.ask(method, path, headers=headers, body=body, **more)

    @property
    def api(self) -> str:
        """The oldest version of the API that the site's Slurm serves."""
        return str(self.told["api_versions"][0])

    def submit(self, user: str, script: str, **job: Any) -> int:
        """Submit a batch job as ``user`` and return its id."""
        answer = self.call(user, "POST", f"/slurm/{self.api}/job/submit", self.submission(self.api, user, script, **job))
        assert answer.status == 200, answer.body
        return int(answer.json["job_id"])

    def submission(self, api: str, user: str, script: str, **job: Any) -> dict[str, Any]:
        """Return the body of a submission in the shape of an API version."""
        wanted = self.job(user, **job)
        if version_number(api) >= LISTED_ENVIRONMENT:
            wanted["environment"] = [f"{name}={value}" for name, value in wanted["environment"].items()]
        return {"job": {**wanted, "script": script}} if version_number(api) >= SCRIPT_INSIDE else {"job": wanted, "script": script}

    def job(self, user: str, **more: Any) -> dict[str, Any]:
        home = str(self.home(user))
        return {"name": "test", "partition": self.partition(), "current_working_directory": home, "environment": {"PATH": "/bin:/usr/bin"}, **more}

    def home(self, user: str) -> Path:
        return Path(self.told["homes"]) / user

    def uid(self, user: str) -> int:
        return self.home(user).stat().st_uid

    def partition(self) -> str:
        conf = Path(self.told["slurm_conf"]).read_text()
        return str(re.findall(r"^PartitionName=(\S+)", conf, re.MULTILINE)[0])

    def state_of(self, user: str, job_id: int) -> str:
        answer = self.call(user, "GET", f"/slurm/{self.api}/job/{job_id}")
        assert answer.status == 200, answer.body
        return job_state(answer.json["jobs"][0])

    # What the site wrote down.

    def audit_lines(self, **wanted: object) -> list[dict[str, Any]]:
        """Return the lines of the audit trail, rotated or not, that have these fields."""
        files = sorted(path for path in (self.state / "gateway").glob("audit.jsonl*") if path.suffix != ".head")
        lines = sorted((json.loads(line) for file in files for line in file.read_text().splitlines()), key=lambda line: int(line["seq"]))
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


def version_number(api: str) -> int:
    """Return 36 for v0.0.36."""
    return int(api.rpartition(".")[2])


def job_state(job: dict[str, Any]) -> str:
    """Return the state of a job as Slurm tells it: a word, from v0.0.40 on a list of the state and its flags."""
    state = job["job_state"]
    return str(state[0] if isinstance(state, list) else state)


def run_demo(*arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run deploy/demo as its user would."""
    return subprocess.run([str(ROOT / "deploy" / "demo"), *arguments], capture_output=True, text=True, check=check, timeout=timeout)


# Below those that the demo takes, which are below those that Linux gives to clients: a site is not up for half a minute after its port was chosen.
_PORTS = range(10_000, ports.RANGE.start)
_given: set[int] = set()


def free_port() -> int:
    """Return a port of loopback that nobody has just now, another one each time."""
    port = next(port for port in random.SystemRandom().sample(_PORTS, len(_PORTS)) if port not in _given and ports.is_free(port))
    _given.add(port)
    return port

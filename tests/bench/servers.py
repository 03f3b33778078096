"""What the benchmarks run for themselves beside a site: people, a slurmrestd, a gateway, an nginx. All of it ends with its block."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from gateway.config import Store
from gateway.sessions.tokens import ENTROPY_BYTES, make_token, token_digest
from gateway.store.accounts import AccountRow, AccountStore
from gateway.store.engine import open_database
from gateway.store.migrate import migrate
from gateway.store.sessions import SessionRow, SessionStore
from tests.bench.processes import family
from tests.system.support import Site, free_port, run_demo, wait_for

_PEOPLE = 16
_FIRST_NUMBER = 71_000
# The demo's own gateway has it, too: everybody waits for the door.
_NICE = ("nice", "-n", "-5")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the benchmark: a Unix account of the site, known to Slurm, with a session of the gateway's and a token of Slurm's."""

    name: str
    number: int
    token: str = field(repr=False)
    slurm_token: str = field(repr=False)

    def ours(self) -> dict[str, str]:
        """Return what they present to the gateway."""
        return {"Authorization": f"Bearer {self.token}"}

    def direct(self) -> dict[str, str]:
        """Return what they present to slurmrestd."""
        return {"X-SLURM-USER-NAME": self.name, "X-SLURM-USER-TOKEN": self.slurm_token}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What each benchmark is given."""

    site: Site
    people: Sequence[Person]
    folder: Path
    rounds: int
    seconds: float

    def inside(self, *words: str) -> str:
        """Run a command of Slurm's within the site, as root."""
        holder = json.loads((self.site.state / "site.json").read_text())["holder"]["pid"]
        return _inside(holder, [f"SLURM_CONF={self.site.told['slurm_conf']}", *words])


def _inside(holder: int, words: Sequence[str]) -> str:
    command = ["nsenter", f"--target={holder}", "--mount", "--uts", "--pid", "--wdns=/", "--", "env", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@contextlib.contextmanager
def running_site(state: Path | None) -> Iterator[Site]:
    """Give the site that runs at ``state``, or start one of our own."""
    if state is not None:
        yield Site.at(state)
        return
    folder = Path(tempfile.mkdtemp(prefix="sgw-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    own = folder / "site"
    try:
        run_demo("up", "--state", str(own), "--port", str(free_port()), "--python", sys.executable)
        yield Site.at(own)
    finally:
        run_demo("down", "--state", str(own), check=False)
        shutil.rmtree(folder)


@contextlib.contextmanager
def benching(site: Site, rounds: int, seconds: float) -> Iterator[Bench]:
    """Bring the people to the site, have Slurm take more jobs and forget ended ones sooner, and take all of it back at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sgw-bench-", dir="/var/tmp"))
    folder.chmod(0o711)
    etc, conf = site.state / "etc", Path(site.told["slurm_conf"])
    before = {path: path.read_text() for path in (etc / "passwd", etc / "group", conf)}
    key = Path(site.told["jwt_key"]).read_bytes()
    people = [_person(f"bench{number:02}", _FIRST_NUMBER + number, key) for number in range(_PEOPLE)]
    names = ",".join(person.name for person in people)
    bench = Bench(site=site, people=people, folder=folder, rounds=rounds, seconds=seconds)
    try:
        (etc / "passwd").write_text(before[etc / "passwd"] + "".join(f"{p.name}:x:{p.number}:{p.number}::/tmp:/bin/sh\n" for p in people))
        (etc / "group").write_text(before[etc / "group"] + "".join(f"{p.name}:x:{p.number}:\n" for p in people))
        conf.write_text(before[conf] + "MaxJobCount=20000\nMinJobAge=2\n")
        bench.inside("scontrol", "reconfigure")
        # Whom a run that was killed left there is there already; whether Slurm knows everybody is found out below.
        bench.inside("sh", "-c", f"sacctmgr --immediate add user {names} account=demo cluster={site.told['cluster']} || true")
        _wait_for_slurm(bench)
        yield bench
    finally:
        bench.inside("sh", "-c", f"for name in {' '.join(person.name for person in people)}; do scancel --user=$name; done; true")
        bench.inside("sh", "-c", f"sacctmgr --immediate delete user {names} || true")
        for path, text in before.items():
            path.write_text(text)
        bench.inside("sh", "-c", "scontrol reconfigure || true")
        shutil.rmtree(folder)


def _person(name: str, number: int, key: bytes) -> Person:
    slurm_token = jwt.encode({"sun": name, "exp": int(time.time()) + 7200}, key, algorithm="HS256")
    return Person(name, number, make_token(secrets.token_bytes(ENTROPY_BYTES)), slurm_token)


def _wait_for_slurm(bench: Bench) -> None:
    """Wait until slurmctld takes a job of everybody's: it hears of new associations from slurmdbd."""

    def taken() -> bool:
        words = ["setpriv", f"--reuid={bench.people[-1].number}", "--clear-groups", "sbatch", "--hold", "--output=/dev/null", "--wrap=true"]
        try:
            bench.inside(*words)
        except subprocess.CalledProcessError:
            return False
        return True

    wait_for(taken, 20, "slurmctld's knowing of the people")
    bench.inside("scancel", f"--user={bench.people[-1].name}")


# slurmrestd.


@dataclass(frozen=True, slots=True)
class Server:
    """A server of ours: its process, and where it listens."""

    pid: int
    address: str

    @property
    def pids(self) -> list[int]:
        """Its process and all that came of it."""
        return family(self.pid)


@contextlib.contextmanager
def slurmrestd(bench: Bench) -> Iterator[Server]:
    """Run another slurmrestd of the site, which nobody else asks, so that its memory is that of the benchmark's work."""
    record = json.loads((bench.site.state / "site.json").read_text())
    with tempfile.TemporaryDirectory(prefix="slurmrestd-", dir=bench.folder) as folder:
        os.chown(folder, record["ids"]["slurmrestd"], -1)
        Path(folder).chmod(0o711)
        path = f"{folder}/sock"
        command = ["nsenter", f"--target={record['holder']['pid']}", "--mount", "--uts", "--pid", "--wdns=/", "--"]
        command += ["setpriv", "--reuid=slurmrestd", "--regid=slurmrestd", "--init-groups", "--inh-caps=-all", "--no-new-privs"]
        environment = {"SLURM_CONF": bench.site.told["slurm_conf"], "SLURM_JWT": "daemon", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        with subprocess.Popen(
            [*command, "/usr/sbin/slurmrestd", "-a", "rest_auth/jwt", f"unix:{path}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            umask=0,
        ) as process:
            wait_for(lambda: Path(path).exists() or process.poll() is not None, 20, "slurmrestd")
            # nsenter stays in front of what it starts in another PID namespace.
            inner = family(process.pid)[-1]
            try:
                yield Server(inner, f"unix:{path}")
            finally:
                os.kill(inner, 9)  # it would first finish what it is computing, which may be minutes of it
                process.wait(20)


# The gateway.


@contextlib.contextmanager
def gateway(bench: Bench, *, upstream: str, tcp: bool = False, settings: Mapping[str, str] | None = None, workers: int = 1) -> Iterator[Server]:
    """Serve the people with the site's configuration but for a listener, store and trail of our own, in front of ``upstream``.

    ``settings`` are more lines of the configuration, by their tables.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=bench.folder) as name:
        folder = Path(name)
        folder.chmod(0o711)
        listen = f"127.0.0.1:{free_port()}" if tcp else f"unix:{folder}/sock"
        config = folder / "gateway.toml"
        config.write_text(_configuration(bench, folder, listen, upstream, settings or {}, workers))
        asyncio.run(_let_in(Store.model_validate({"url": f"sqlite:///{folder}/gateway.db", "key_ring_file": "/nowhere"}), bench.people))
        log = folder / "log"
        with log.open("wb") as stream:
            words = [*_NICE, sys.executable, "-m", "gateway", "--config", str(config), "serve"]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=stream)
        try:
            wait_for(lambda: log.read_bytes().count(b'"serving"') == workers or process.poll() is not None, 20, "the gateway")
            if process.poll() is not None:
                raise SystemExit(f"the gateway ended:\n{log.read_text()}")
            yield Server(process.pid, listen)
        finally:
            process.terminate()
            process.wait(40)
            if os.environ.get("SLURM_GATEWAY_BENCH_LOG"):
                sys.stderr.write(log.read_text())


def _configuration(bench: Bench, folder: Path, listen: str, upstream: str, settings: Mapping[str, str], workers: int) -> str:
    text = Path(bench.site.told["config"]).read_text()
    lines = {"server": 'verify = true\nsocket_mode = "0660"\n', "directory": 'recheck = "1d"\n'}
    for pattern, line in {
        r"^listen = .*$": f'listen = "{listen}"',
        r"^admin_listen = .*\n": "",
        r"^workers = .*$": f"workers = {workers}",
        r'^url = "sqlite:.*$': f'url = "sqlite:///{folder}/gateway.db"',
        r'^url = "unix:.*$': f'url = "{upstream}"',
        r"^file = .*audit.*$": f'file = "{folder}/audit.jsonl"',
    }.items():
        text, count = re.subn(f"(?m){pattern}", line, text)
        if count != 1:
            raise SystemExit(f"the demo's configuration has changed: {pattern}")
    for table in {**lines, **settings}:
        head, more = f"[{table}]\n", lines.get(table, "") + settings.get(table, "")
        text = text.replace(head, head + more) if head in text else f"{text}\n{head}{more}"
    return text


async def _let_in(settings: Store, people: Sequence[Person]) -> None:
    """Give everybody a session, as if they had just signed in."""
    await asyncio.to_thread(migrate, settings)
    database, now = open_database(settings), time.time()
    for person in people:
        row = SessionRow(
            id=secrets.token_hex(16),
            token_sha256=token_digest(person.token),
            kind="session",
            username=person.name,
            uid=person.number,
            created_at=now,
            expires_at=now + 43_200,
            last_used_at=now,
            second_factor_at=now,
            address="127.0.0.1",
            client="bench",
            factor="totp",
        )
        await SessionStore(database).add(row)
        await AccountStore(database).keep(AccountRow(username=person.name, uid=person.number, groups=frozenset({"required"}), checked_at=now))
    await database.close()


# nginx.

_DIRECT = """
upstream bench_{port} {{ server {address}; keepalive 16; }}
server {{
    listen 127.0.0.1:{port} ssl http2;
    server_name bench.invalid;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    access_log {folder}/access.log slurm_gateway;
    location / {{
        proxy_pass http://bench_{port};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 600s;
        proxy_buffers 16 16k;
        proxy_max_temp_file_size 0;
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """nginx: its process, the address of the way through the gateway, and that of the way without it."""

    pid: int
    ours: str
    direct: str
    certificate: Path


@contextlib.contextmanager
def front(
    bench: Bench, *, to_gateway: str, direct: str, render: Sequence[str] = (), edit: Callable[[str], str] = lambda text: text
) -> Iterator[Front]:
    """Run an nginx with the file that the gateway's command writes, and beside it a server that leads elsewhere directly, with the same TLS."""
    with tempfile.TemporaryDirectory(prefix="nginx-", dir=bench.folder) as name:
        folder = Path(name)
        through, beside = free_port(), free_port()
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(["openssl", *new, *names], check=True, capture_output=True)
        (folder / "direct.conf").write_text(_DIRECT.format(address=direct, port=beside, folder=folder))
        words = ["--server-name=127.0.0.1", f"--listen=127.0.0.1:{through}", f"--certificate={certificate}", f"--certificate-key={key}"]
        words += [f"--gateway={to_gateway}", f"--access-log={folder}/access.log", f"--output={folder}/site.conf", *render]
        bench.site.gateway("nginx", "render", *words)
        (folder / "site.conf").write_text(edit((folder / "site.conf").read_text()))
        words = [f"--include={folder}/site.conf", f"--include={folder}/direct.conf", f"--error-log={folder}/error.log"]
        words += [f"--access-log={folder}/other.log", f"--pid={folder}/pid", f"--temp-dir={folder}", "--user=root"]
        bench.site.gateway("nginx", "main", *words, f"--output={folder}/nginx.conf")
        process = subprocess.Popen(["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-g", "daemon off;"])
        try:
            wait_for(lambda: (folder / "pid").exists() or process.poll() is not None, 10, "nginx")
            yield Front(pid=process.pid, ours=f"https://127.0.0.1:{through}", direct=f"https://127.0.0.1:{beside}", certificate=certificate)
        finally:
            process.terminate()
            process.wait(10)


_STUB = """
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen unix:{folder}/sock;
        default_type application/json;
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


@contextlib.contextmanager
def stub(bench: Bench, body: str) -> Iterator[Server]:
    """Run something that answers everything at once with ``body``, faster than anything in front of it can ask."""
    with tempfile.TemporaryDirectory(prefix="stub-", dir=bench.folder) as name:
        folder = Path(name)
        (folder / "nginx.conf").write_text(_STUB.format(folder=folder, body=body))
        process = subprocess.Popen(["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-g", "daemon off; user root;"])
        try:
            wait_for(lambda: (folder / "sock").exists() or process.poll() is not None, 10, "the stub")
            yield Server(process.pid, f"unix:{folder}/sock")
        finally:
            process.terminate()
            process.wait(10)

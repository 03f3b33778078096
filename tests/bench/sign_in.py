"""What signing in costs: sign-ins a second against raw binds at the same OpenLDAP, reads while people sign in, and whether time tells them apart.

A gateway of its own, with the site's directory, slurmrestd and keys, limits that do not stand in the way, and a thousand more people in the
directory; everything is interleaved in one run, and taken away afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ldap

from gateway.config import load
from gateway.signin.totp import new_secret
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import open_database
from gateway.store.migrate import migrate
from gateway.store.sealing import load_key_ring
from tests.bench.servers import running_site
from tests.system.support import Site, free_port, one_time_code, wait_for

PEOPLE = 1000
PASSWORD = "bench: correct horse battery staple"
READ = "/slurm/v0.0.36/ping"
CONNECTIONS = 16
TWINS = ("unknown user", "wrong password", "wrong code")


@dataclass(slots=True)
class Person:
    """Somebody of the bench; each step of theirs is good once."""

    name: str
    secret: str
    last_step: int = 0

    def fresh_code(self) -> str | None:
        """Return a code that nobody has used, or None while there is none."""
        here = int(time.time() // 30)
        step = max(self.last_step + 1, here - 1)
        if step > here + 1:
            return None
        self.last_step = step
        return one_time_code(self.secret, step)


@dataclass(slots=True, kw_only=True)
class Crowd:
    """A thousand people, asked for a code in turn."""

    people: list[Person]
    turn: int = 0

    def credentials(self) -> dict[str, str]:
        """Return credentials that are good; raise RuntimeError when everybody has used up what they had."""
        for _ in self.people:
            person = self.people[self.turn % len(self.people)]
            self.turn += 1
            code = person.fresh_code()
            if code is not None:
                return {"username": person.name, "password": PASSWORD, "otp": code}
        raise RuntimeError("every code is used up: fewer seconds, or more people")


@dataclass(slots=True)
class Client:
    """One kept connection to the gateway, without a library: the load must cost little where two cores do everything."""

    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = field(default=None, repr=False)

    async def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> int:
        """Send a request and return its status."""
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is not None:
            await self.reader.readexactly(int(length[1]))
        return int(head[9:12])

    async def sign_in(self, credentials: dict[str, str]) -> int:
        """Sign in and return the status."""
        return await self.ask("POST", "/auth/login", "Content-Type: application/json\r\n", json.dumps(credentials).encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--store", help="store.url of the gateway that is measured; SQLite without it")
    arguments = parser.parse_args()
    with running_site(arguments.state) as site, _directory_with_a_crowd(site) as names, _gateway(site, names, arguments.store) as (port, crowd):
        print(f"\n{os.cpu_count()} cores, {arguments.rounds} rounds of {arguments.seconds:.0f} s, medians\n", flush=True)
        asyncio.run(_measure(site, port, crowd, arguments))
    return 0


@contextlib.contextmanager
def _directory_with_a_crowd(site: Site) -> Iterator[list[str]]:
    told = site.told["ldap"]
    group = re.search(r'required_group = "(.*)"', Path(site.told["config"]).read_text())
    assert group is not None
    names = [f"bench{number:04}" for number in range(PEOPLE)]
    base = f"ou=people,{told['base_dn']}"
    classes = [b"inetOrgPerson", b"posixAccount"]
    link = _service(site)
    for number, name in enumerate(names):
        entry = {"uid": name, "cn": name, "sn": name, "uidNumber": str(200_000 + number), "gidNumber": "200000", "homeDirectory": "/nowhere"}
        link.add_s(
            f"uid={name},{base}",
            [("objectClass", classes), ("userPassword", [PASSWORD.encode()]), *((key, [value.encode()]) for key, value in entry.items())],
        )
    members = [f"uid={name},{base}".encode() for name in names]
    link.modify_s(group[1], [(ldap.MOD_ADD, "member", members)])
    try:
        yield names
    finally:
        link = _service(site)
        link.modify_s(group[1], [(ldap.MOD_DELETE, "member", members)])
        for name in names:
            link.delete_s(f"uid={name},{base}")


def _service(site: Site) -> Any:
    told = site.told["ldap"]
    link = ldap.initialize(_ldaps(site))
    _trust(site, link)
    link.simple_bind_s(told["admin_dn"], told["admin_password"])
    return link


def _ldaps(site: Site) -> str:
    found = re.search(r'urls = \["(.*?)"', Path(site.told["config"]).read_text())
    assert found is not None
    return found[1]


def _trust(site: Site, link: Any) -> None:
    link.set_option(ldap.OPT_X_TLS_CACERTFILE, site.told["ca_file"])
    link.set_option(ldap.OPT_X_TLS_NEWCTX, 0)


@contextlib.contextmanager
def _gateway(site: Site, names: list[str], store: str | None) -> Iterator[tuple[int, Crowd]]:
    """Serve with the site's configuration, but for the listener, the store, the trail, and limits that would stand in the way."""
    folder = Path(tempfile.mkdtemp(prefix="sgw-bench-gateway-", dir="/var/tmp"))
    port = free_port()
    text = Path(site.told["config"]).read_text()
    text = re.sub(r"(?m)^listen = .*$", f'listen = "127.0.0.1:{port}"', text)
    text = re.sub(r"(?m)^admin_listen = .*\n", "", text)
    text = re.sub(r'(?m)^url = "sqlite:.*$', f'url = "{store or f"sqlite:///{folder}/gateway.db"}"', text)
    text = re.sub(r"(?m)^file = .*audit.*$", f'file = "{folder}/audit.jsonl"', text)
    text += "\n[throttle]\n" + "".join(
        f"{name} = {value}\n"
        for name, value in {"account_address": 10_000, "account": 10_000, "address": 100_000, "site": 1_000_000, "codes": 1000}.items()
    )
    text += "codes_hour = 10000\ncodes_day = 100000\n"
    config = folder / "gateway.toml"
    config.write_text(text)
    crowd = _enrol(config, names)
    log = (folder / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "gateway", "--config", str(config), "serve"], stdin=subprocess.DEVNULL, stderr=log)
    try:
        wait_for(lambda: b'"serving"' in (folder / "log").read_bytes() or process.poll() is not None, 20, "the gateway")
        assert process.poll() is None, (folder / "log").read_text()
        yield port, crowd
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder)


def _enrol(config: Path, names: list[str]) -> Crowd:
    settings = load(config).store
    migrate(settings)
    ring = load_key_ring(settings.key_ring_file)

    async def add() -> Crowd:
        database = open_database(settings)
        authenticators = AuthenticatorStore(database)
        people = []
        for name in names:
            secret, identifier = new_secret(), secrets.token_hex(16)
            row = AuthenticatorRow(
                id=identifier,
                username=name,
                name="bench",
                sealed_secret=ring.seal(secret.encode(), seal_row(identifier, name)),
                last_step=0,
                created_at=time.time(),
                confirmed_at=time.time(),
                origin="administrator",
            )
            await authenticators.add(row, most=1)
            people.append(Person(name, secret))
        await database.close()
        return Crowd(people=people)

    return asyncio.run(add())


async def _measure(site: Site, port: int, crowd: Crowd, arguments: argparse.Namespace) -> None:
    token = await _some_token(port, crowd)
    await _sign_ins(port, crowd, 1.0)  # nobody measures a cold start
    await _rates(site, port, crowd, arguments)
    await _reads(port, crowd, token, arguments)
    await _twins(port, crowd, arguments.samples)


async def _some_token(port: int, crowd: Crowd) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(crowd.credentials()).encode()
    writer.write(b"POST /auth/login HTTP/1.0\r\nAccept: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")), answer
    return answer.split()[-1].decode()


# Sign-ins against binds.


async def _sign_ins(port: int, crowd: Crowd, seconds: float) -> float:
    """Return how many sign-ins a second succeed on 16 connections."""
    deadline, done = time.monotonic() + seconds, 0

    async def one() -> int:
        client, count = Client(port), 0
        while time.monotonic() < deadline:
            status = await client.sign_in(crowd.credentials())
            assert status == 200, status
            count += 1
        return count

    began = time.monotonic()
    done = sum(await asyncio.gather(*(one() for _ in range(CONNECTIONS))))
    return done / (time.monotonic() - began)


def _binds(site: Site, names: list[str], seconds: float, *, kept: bool) -> float:
    """Return how many binds a second the directory does for 8 threads, on kept connections or on a new one each, with TLS."""
    url, base = _ldaps(site), f"ou=people,{site.told['ldap']['base_dn']}"
    deadline = time.monotonic() + seconds

    def new() -> Any:
        link = ldap.initialize(url)
        _trust(site, link)
        return link

    def one(number: int) -> int:
        count, link = 0, new()
        while time.monotonic() < deadline:
            if not kept and count:
                link.unbind_s()
                link = new()
            link.simple_bind_s(f"uid={names[(number * 131 + count) % len(names)]},{base}", PASSWORD)
            count += 1
        link.unbind_s()
        return count

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(one, range(8)))
    return done / (time.monotonic() - began)


async def _rates(site: Site, port: int, crowd: Crowd, arguments: argparse.Namespace) -> None:
    names = [person.name for person in crowd.people]
    rates: dict[str, list[float]] = {"sign-ins": [], "binds, a connection each": [], "binds, kept connections": []}
    for _ in range(arguments.rounds):
        rates["sign-ins"].append(await _sign_ins(port, crowd, arguments.seconds))
        rates["binds, a connection each"].append(await asyncio.to_thread(_binds, site, names, arguments.seconds, kept=False))
        rates["binds, kept connections"].append(await asyncio.to_thread(_binds, site, names, arguments.seconds, kept=True))
    print("| what | a second | sign-ins to it |\n|---|---|---|")
    for name, taken in rates.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["sign-ins"], taken, strict=True))
        print(f"| {name} | {statistics.median(taken):.0f} | {ratio:.2f} |")
    print(flush=True)


# Reads meanwhile.


async def _median_read(port: int, token: str, seconds: float) -> float:
    client, taken = Client(port), []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.perf_counter()
        assert await client.ask("GET", READ, f"Authorization: Bearer {token}\r\n") == 200
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


@contextlib.asynccontextmanager
async def _fifty_sign_ins(port: int, crowd: Crowd) -> AsyncIterator[None]:
    """Keep fifty sign-ins under way."""

    async def one() -> None:
        client = Client(port)
        while True:
            assert await client.sign_in(crowd.credentials()) == 200

    tasks = [asyncio.create_task(one()) for _ in range(50)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        failed = [outcome for outcome in await asyncio.gather(*tasks, return_exceptions=True) if not isinstance(outcome, asyncio.CancelledError)]
        assert not failed, failed


async def _reads(port: int, crowd: Crowd, token: str, arguments: argparse.Namespace) -> None:
    quiet, busy = [], []
    for _ in range(arguments.rounds):
        quiet.append(await _median_read(port, token, arguments.seconds))
        await asyncio.to_thread(_let_codes_grow, crowd)
        async with _fifty_sign_ins(port, crowd):
            busy.append(await _median_read(port, token, 1.0))
    ratio = statistics.median(during / before for during, before in zip(busy, quiet, strict=True))
    print(
        f"median GET {READ}: {statistics.median(quiet):.2f} ms quiet, {statistics.median(busy):.2f} ms while 50 sign-ins run: {ratio:.2f} times\n",
        flush=True,
    )


def _let_codes_grow(crowd: Crowd) -> None:
    """Wait until most people have a code again."""
    wait_for(lambda: sum(person.last_step <= int(time.time() // 30) - 1 for person in crowd.people) > PEOPLE * 0.8, 100, "new codes")


# Whether time tells.


async def _twins(port: int, crowd: Crowd, samples: int) -> None:
    """Measure refusals of the three kinds, interleaved in random order, and compare their times by rank."""
    taken: dict[str, list[float]] = {kind: [] for kind in TWINS}
    kinds = [kind for kind in TWINS for _ in range(samples)]
    secrets.SystemRandom().shuffle(kinds)
    clients = [Client(port) for _ in range(4)]

    async def one(client: Client, mine: list[str]) -> None:
        for kind in mine:
            person = secrets.choice(crowd.people)
            wrong = (
                {"username": "nobody" + secrets.token_hex(2)} if kind == "unknown user" else {"password": "wrong"} if kind == "wrong password" else {}
            )
            credentials = {"username": person.name, "password": PASSWORD, "otp": f"{secrets.randbelow(10**6):06}"} | wrong
            began = time.perf_counter()
            status = await client.sign_in(credentials)
            taken[kind].append((time.perf_counter() - began) * 1000)
            assert status == 401, status

    await asyncio.gather(*(one(client, kinds[number::4]) for number, client in enumerate(clients)))
    print("| refusal | samples | median ms | quartiles ms |\n|---|---|---|---|")
    for kind, times in taken.items():
        low, middle, high = statistics.quantiles(times, n=4)
        print(f"| {kind} | {len(times)} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    print("\n| pair | p of the rank test |\n|---|---|")
    for one_kind, other in (TWINS[:2], TWINS[1:], (TWINS[0], TWINS[2])):
        print(f"| {one_kind}, {other} | {rank_test(taken[one_kind], taken[other]):.3f} |")


def rank_test(first: list[float], second: list[float]) -> float:
    """Return the two-sided p of the Mann-Whitney U test by the normal approximation (times are never tied), good from some twenty samples on."""
    ranks = {index: rank for rank, index in enumerate(sorted(range(len(first) + len(second)), key=[*first, *second].__getitem__), start=1)}
    one, other = len(first), len(second)
    u = sum(ranks[index] for index in range(one)) - one * (one + 1) / 2
    z = (u - one * other / 2) / math.sqrt(one * other * (one + other + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


if __name__ == "__main__":
    sys.exit(main())

"""Signing in against a real Active Directory domain controller: one account in every spelling, nested groups, and each cause told apart."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.config import Directory as Settings
from gateway.config import Secret
from gateway.signin.account import REQUIRED, Account, Denied
from gateway.signin.directory import LdapDirectory
from tests.system import samba as domain
from tests.system.samba import LOCKOUT, PASSWORD, USERS, Samba
from tests.system.support import ROOT, one_time_code, wait_for
from tests.web import fakes

RIGHT, WRONG = Secret(PASSWORD.encode()), Secret(b"Falsch-Pferd-7")
SPELLINGS = ["alice", "ALICE", "alice@demo.example", "Alice@Demo.Example", "DEMO\\alice", "demo\\ALICE", "a.liddell@demo.example", "alice@DEMO"]


@pytest.fixture(scope="session")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    with domain.running(tmp_path_factory.mktemp("samba")) as running:
        yield running


@pytest.fixture
async def directory(samba: Samba) -> AsyncIterator[LdapDirectory]:
    groups = {"inner": f"CN=inner,{USERS}", "admins": f"CN=Domain Admins,{USERS}"}
    directory = LdapDirectory(Settings.model_validate(samba.settings(groups=groups)))
    yield directory
    directory.close()


async def cause(directory: LdapDirectory, typed: str, password: Secret = RIGHT) -> str | None:
    return await directory.prove(await directory.find(typed), password)


# Whom a name stands for.


@pytest.mark.parametrize("typed", SPELLINGS)
async def test_every_spelling_is_one_account_and_one_counter(directory: LdapDirectory, typed: str) -> None:
    candidate = await directory.find(typed)
    assert candidate.account == Account(username="alice", uid=10_001, groups=frozenset({REQUIRED, "inner"}))
    assert candidate.key == "alice"
    assert await directory.prove(candidate, RIGHT) is None


@pytest.mark.parametrize("typed", ["bob", "BOB@demo.example", "demo\\bob"])
async def test_the_slurm_user_is_in_the_directorys_own_spelling(directory: LdapDirectory, typed: str) -> None:
    account = (await directory.find(typed)).account
    assert isinstance(account, Account)
    assert account.username == "Bob"


@pytest.mark.parametrize("typed", ["alice@other.example", "OTHER\\alice", "alice@demo.example.org", "demo.example.org\\alice"])
async def test_another_domain_is_nobody_of_ours(directory: LdapDirectory, typed: str) -> None:
    candidate = await directory.find(typed)
    assert (candidate.account, candidate.key) == (Denied("domain_foreign"), typed.casefold())
    assert await directory.prove(candidate, RIGHT) is not None


@pytest.mark.parametrize("typed", ["nobody-here", "nobody-here@demo.example", "hpc-users", "DC1", "alice)(cn=*"])
async def test_who_is_no_person_is_unknown(directory: LdapDirectory, typed: str) -> None:
    candidate = await directory.find(typed)
    assert candidate.account == Denied("user_unknown")
    assert await directory.prove(candidate, RIGHT) is not None


async def test_somebody_is_found_by_uid_and_by_their_exact_name(directory: LdapDirectory) -> None:
    assert await directory.by_uid(10_001) == await directory.account("alice")
    assert await directory.account("Alice") == Denied("name_spelled_otherwise")


# Groups.


@pytest.mark.parametrize(("name", "groups"), [("alice", {REQUIRED, "inner"}), ("Bob", {REQUIRED}), ("mallory", set()), ("Administrator", {"admins"})])
async def test_groups_within_groups_count(samba: Samba, directory: LdapDirectory, name: str, groups: set[str]) -> None:
    if name == "Administrator":
        samba.change(name, uidNumber=b"10900")
    account = await directory.account(name)
    assert isinstance(account, Account)
    assert account.groups == groups


# What is held against a password, or an account.


@pytest.mark.parametrize(
    ("typed", "password", "expected"),
    [
        ("Bob", RIGHT, None),
        ("Bob", WRONG, "password_refused"),
        ("disabled", RIGHT, "account_disabled"),
        ("expired", RIGHT, "account_expired"),
        ("renewing", RIGHT, "password_must_change"),
        ("aged", RIGHT, "password_expired"),
    ],
)
async def test_each_cause_is_told_apart(directory: LdapDirectory, typed: str, password: Secret, expected: str | None) -> None:
    assert await cause(directory, typed, password) == expected


async def test_too_many_wrong_passwords_lock_the_account_but_do_not_bar_it(directory: LdapDirectory) -> None:
    candidate = await directory.find("locked")
    for _ in range(LOCKOUT):
        assert await directory.prove(candidate, WRONG) == "password_refused"
    assert await directory.prove(candidate, RIGHT) == "account_locked"
    account = await directory.account("locked")
    assert isinstance(account, Account)
    assert account.barred is None


@pytest.mark.parametrize(("name", "expected"), [("Bob", None), ("disabled", "account_disabled"), ("expired", "account_expired")])
async def test_an_account_is_barred_without_a_password(directory: LdapDirectory, name: str, expected: str | None) -> None:
    account = await directory.account(name)
    assert isinstance(account, Account)
    assert account.barred == expected


async def test_who_is_disabled_after_signing_in_is_seen_to_be(samba: Samba, directory: LdapDirectory) -> None:
    assert await cause(directory, "leaver") is None
    samba.change("leaver", userAccountControl=b"514")
    try:
        account = await directory.account("leaver")
        assert isinstance(account, Account)
        assert account.barred == "account_disabled"
    finally:
        samba.change("leaver", userAccountControl=b"512")


async def test_start_tls_is_spoken_as_well(samba: Samba) -> None:
    directory = LdapDirectory(Settings.model_validate(samba.settings(urls=[f"ldap://{samba.address}"], start_tls=True)))
    assert await cause(directory, "DEMO\\Bob") is None
    directory.close()


# The whole gateway in front of it.


@pytest.fixture(scope="module")
def config(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gateway")
    changes: dict[str, dict[str, object]] = {
        "directory": {"allow_plaintext": None, "timeout": None, **samba.settings()},
        "throttle": {"account_address": 3},
    }
    return fakes.site(folder, f"unix:{folder}/no-slurmrestd.sock", changes)


def command(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gateway", "--config", str(config), *words], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def door(config: Path) -> Iterator[Path]:
    door = config.parent / "gateway.sock"
    with (config.parent / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "--config", str(config), "serve"], stderr=log, cwd=ROOT)
    try:
        wait_for(lambda: process.poll() is not None or _answers(door), 20, "the gateway's start")
        yield door
    finally:
        process.terminate()
        process.wait(20)


class Connection(http.client.HTTPConnection):
    def __init__(self, door: Path) -> None:
        super().__init__("localhost")
        self._door = door

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.fspath(self._door))


def _answers(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(door)) == 0


def login(door: Path, typed: str, otp: str, password: str = PASSWORD) -> tuple[int, dict[str, object]]:
    connection = Connection(door)
    connection.request("POST", "/auth/login", json.dumps({"username": typed, "password": password, "otp": otp}))
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_all_spellings_have_one_second_factor_and_one_counter(config: Path, door: Path) -> None:
    secret = json.loads(command(config, "enroll", "alice", "--json").stdout)["secret"]
    code = one_time_code(secret, int(time.time() // 30))
    status, answer = login(door, "DEMO\\alice", code)
    assert (status, answer["username"]) == (200, "alice")
    # The same code under another spelling is the used code of the same record.
    assert login(door, "a.liddell@demo.example", code)[0] == 401
    lines = [json.loads(line) for line in (config.parent / "audit.log").read_text().splitlines()]
    assert lines[-1]["cause"] == "code_used"
    for typed in ("alice", "alice@demo.example", "DEMO\\ALICE"):
        assert login(door, typed, "000000", "wrong")[0] == 401
    assert {login(door, typed, "000000", "wrong")[0] for typed in SPELLINGS} == {429}


def test_what_signing_in_would_find_is_told_step_by_step(config: Path) -> None:
    ran = command(config, "directory", "check", "a.liddell@demo.example", "--json")
    steps = {step["step"]: (step["outcome"], step["found"]) for step in json.loads(ran.stdout)}
    assert ran.returncode == 0
    assert steps["user"] == ("ok", "Slurm user alice, uid 10001")
    assert steps["member required"] == ("ok", "yes")


@pytest.mark.parametrize(
    ("typed", "step"), [("disabled", "account"), ("mallory", "member required"), ("nobody-here", "user"), ("a@other.example", "user")]
)
def test_who_could_not_sign_in_is_told_why(config: Path, typed: str, step: str) -> None:
    ran = command(config, "directory", "check", typed)
    failed = [line for line in ran.stdout.splitlines() if line.startswith("FAILED")]
    assert (ran.returncode, len(failed)) == (1, 1)
    assert failed[0].startswith(f"FAILED  {step}: ")
    assert PASSWORD not in ran.stdout + ran.stderr

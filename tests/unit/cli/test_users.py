from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, failure
from tests.unit.cli.kept import keep, trail
from tests.web import fakes


def fail(config: Path, number: int, *scopes: str, user: str = "alice") -> None:
    """Put a failed attempt into the store, as the gate counts it."""
    for scope in scopes:
        key = f"{user}|192.0.2.{number}" if scope == "account_address" else user
        row = {"attempt": f"{number:032x}", "scope": scope, "key": key, "at": time.time()}
        fakes.insert(config.parent / "gateway.db", "attempts", row)


def test_everybody_is_listed_with_what_they_have(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "carol")
    keep(config, "alice", 1)
    keep(config, "alice", 2, "token")
    keep(config, "bob", 3, age=3601.0, lifetime=7200.0)
    fakes.insert(config.parent / "gateway.db", "accounts", {"username": "dave", "uid": 2004, "groups": "[]", "checked_at": 0.0})
    users = json.loads(run("--config", config, "users", "list", "--json").out)["users"]
    assert [
        (user["user"], user["authenticators"], user["recovery_codes"], user["sessions"], user["tokens"], user["locked_until"]) for user in users
    ] == [
        ("alice", 0, 0, 1, 1, None),
        ("carol", 1, 10, 0, 0, None),
        ("dave", 0, 0, 0, 0, None),
    ]


def test_the_list_for_people_is_a_table(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    lines = run("--config", config, "users", "list").out.splitlines()
    assert lines[0].split() == ["USER", "AUTHENTICATORS", "RECOVERY", "CODES", "SESSIONS", "TOKENS", "LOCKED", "UNTIL"]
    assert lines[1].split() == ["alice", "0", "0", "1", "0", "-"]


@pytest.mark.parametrize(("scope", "failures"), [("account", 10), ("code", 5)])
def test_somebody_who_is_locked_is_listed_so(run: Run, config: Path, scope: str, failures: int) -> None:
    keep(config, "Alice", 1)
    for number in range(failures):
        fail(config, number, scope)
    (user,) = json.loads(run("--config", config, "users", "list", "--json").out)["users"]
    assert str(user["locked_until"]).endswith("Z")


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::/64"])
def test_somebody_who_has_to_wait_at_one_address_is_listed_so(run: Run, config: Path, address: str) -> None:
    keep(config, "alice", 1)
    for number in range(10):
        row = {"attempt": f"{number:032x}", "scope": "account_address", "key": f"alice|{address}", "at": time.time()}
        fakes.insert(config.parent / "gateway.db", "attempts", row)
    (user,) = json.loads(run("--config", config, "users", "list", "--json").out)["users"]
    assert str(user["locked_until"]).endswith("Z")


def test_somebody_is_shown(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    session, token = keep(config, "alice", 1), keep(config, "alice", 2, "token")
    keep(config, "bob", 3)
    fail(config, 1, "account", "account_address")
    told = json.loads(run("--config", config, "users", "show", "alice", "--json").out)
    assert ([row["id"] for row in told["sessions"]], [row["id"] for row in told["tokens"]]) == ([session], [token])
    assert (told["recovery_codes"], told["failures"], told["locked_until"], told["uid"]) == (10, 1, None, None)
    assert [(row["origin"], row["last_used_at"]) for row in told["authenticators"]] == [("administrator", None)]
    people = run("--config", config, "users", "show", "alice").out
    assert ("authenticators:\n" in people, "sessions:\n" in people, "tokens:\n" in people, "nightly" in people) == (True, True, True, True)


def test_no_secret_is_shown(run: Run, config: Path) -> None:
    enrolled = json.loads(run("--config", config, "enroll", "alice", "--json").out)
    told = run("--config", config, "users", "show", "alice", "--json").out
    assert [secret for secret in (enrolled["secret"], *enrolled["recovery_codes"]) if secret in told] == []


def test_somebody_whom_nobody_knows_is_told_so(run: Run, config: Path) -> None:
    ran = run("--config", config, "users", "show", "zoe")
    assert (ran.code, ran.err) == (1, failure("the gateway knows no zoe", "Check the spelling: it is Slurm's, with its capitals."))


def test_unlocking_forgets_the_failures_of_one_and_says_how_many(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    for number in range(10):
        fail(config, number, "account", "account_address")
    fail(config, 10, "code")
    fail(config, 11, "account", "account_address", user="bob")
    ran = run("--config", config, "users", "unlock", "Alice")
    assert (ran.code, ran.out) == (0, "Alice: 11 failed attempt(s) forgotten\n")
    assert run("--config", config, "users", "unlock", "alice").out == "alice: 0 failed attempt(s) forgotten\n"
    assert run("--config", config, "users", "unlock", "bob").out == "bob: 1 failed attempt(s) forgotten\n"
    assert trail(config)[0] == ("unlock", "Alice", None)


def test_a_name_that_is_the_beginning_of_another_unlocks_only_itself(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    fail(config, 1, "account", "account_address", user="alicette")
    assert run("--config", config, "users", "unlock", "alice").out == "alice: 0 failed attempt(s) forgotten\n"


def test_everything_that_somebody_has_is_ended(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    keep(config, "alice", 2, "token")
    keep(config, "bob", 3)
    assert run("--config", config, "users", "end", "alice").out == "alice: 2 session(s) and token(s) ended\n"
    assert trail(config) == [("sessions_ended", "alice", None)]
    assert json.loads(run("--config", config, "sessions", "list", "--json").out)["sessions"][0]["user"] == "bob"


def test_programs_are_told_how_many_were_forgotten_and_ended(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    fail(config, 1, "account", "account_address")
    assert json.loads(run("--config", config, "users", "unlock", "alice", "--json").out) == {"user": "alice", "forgotten": 1}
    assert json.loads(run("--config", config, "users", "end", "alice", "--json").out) == {"user": "alice", "ended": 1}


@pytest.mark.parametrize("words", [["show"], ["unlock", "a b"], ["end"], []])
def test_what_names_nobody_is_usage(run: Run, config: Path, words: list[str]) -> None:
    assert run("--config", config, "users", *words).code == 2

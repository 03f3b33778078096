from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.store.sessions import SessionRow
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


def session(user: str, number: int) -> SessionRow:
    return SessionRow(
        id=f"{user}{number}",
        token_sha256=f"{user}{number}".encode(),
        kind="session",
        username=user,
        uid=2001,
        created_at=0.0,
        expires_at=9e9,
        last_used_at=0.0,
        second_factor_at=0.0,
        address="local",
        client="",
        factor="totp",
    )


def test_factors_and_sessions_are_taken_away_and_counted(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    for row in (session("alice", 1), session("alice", 2), session("bob", 1)):
        fakes.insert(config.parent / "gateway.db", "sessions", row.values())
    ran = run("--config", config, "disenroll", "alice")
    assert (ran.code, ran.out, ran.err) == (0, "alice: 1 second factor(s) and 2 session(s) ended\n", "")


def test_other_people_keep_theirs(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    run("--config", config, "enroll", "bob")
    run("--config", config, "disenroll", "alice")
    assert run("--config", config, "enroll", "bob").code == 1


def test_afterwards_one_can_be_enrolled_again(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    run("--config", config, "disenroll", "alice")
    assert run("--config", config, "enroll", "alice").code == 0


@pytest.mark.parametrize("name", ["zoe", "ALICE"])
def test_somebody_who_has_none_is_told_apart(run: Run, config: Path, name: str) -> None:
    run("--config", config, "enroll", "alice")
    ran = run("--config", config, "disenroll", name)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == failure(f"{name} has no second factor", "Check the spelling: it is Slurm's, with its capitals.")


def test_disenrolling_is_in_the_trail(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    run("--config", config, "disenroll", "alice")
    assert [(line["event"], line["user"]) for line in fakes.json_lines(config.parent / "audit.log")] == [("enrol", "alice"), ("disenrol", "alice")]


def test_what_is_no_user_name_is_usage(run: Run, config: Path) -> None:
    assert run("--config", config, "disenroll", "a b").code == 2


def test_one_of_several_goes_by_its_name(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    run("--config", config, "enroll", "alice", "--name", "tablet")
    ran = run("--config", config, "disenroll", "alice", "--name", "tablet", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"authenticators": 1, "tickets": 0, "sessions": 0})
    assert run("--config", config, "enroll", "alice").code == 1


def test_a_name_that_nobody_has_is_told(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    ran = run("--config", config, "disenroll", "alice", "--name", "tablet")
    what, hint = ran.err.splitlines()
    assert (ran.code, what) == (1, "slurm-gateway: alice has no second factor called tablet")
    assert hint == "hint: 'slurm-gateway users show alice' names them."


def test_tickets_are_void_and_counted(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "--ticket", "carol")
    ran = run("--config", config, "disenroll", "carol")
    assert (ran.code, ran.out) == (0, "carol: 0 second factor(s) and 0 session(s) ended, 1 ticket(s) void\n")

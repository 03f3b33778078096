from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gateway.observe.audit.event import Event
from tests.unit.cli.conftest import Run, failure
from tests.unit.cli.test_audit import write

SUBMIT = "/slurm/v0.0.38/job/submit"
SIGN_IN = Event(event="sign_in", at=1_700_000_000.0, user="alice", address="192.0.2.9", client="curl/8", session="5" * 32, factor="totp")
JOB = Event(
    event="request", at=1_700_000_010.0, user="alice", address="192.0.2.9", method="POST", path=SUBMIT, status=200, job_id=4711, session="5" * 32
)
KILL = Event(
    event="request", at=1_700_000_020.0, user="bob", method="DELETE", path="/slurm/v0.0.38/job/4711", status=200, job_id=4711, cluster="main"
)


@pytest.fixture
def trail(config: Path) -> Path:
    return write(config, SIGN_IN, JOB, KILL, Event(event="disenrol", at=time.time(), user="carol", by="root"))


def test_who_is_behind_a_job_is_told(run: Run, config: Path, trail: Path) -> None:
    assert trail.exists()
    ran = run("--config", config, "audit", "job", 4711)
    assert ran.code == 0
    for told in (
        "job 4711: submitted by alice at 2023-11-14T22:13:30.000Z from 192.0.2.9",
        "signed in at 2023-11-14T22:13:20.000Z from 192.0.2.9 (curl/8) with password and totp",
        "job 4711 on main: asked for by bob",
        "how its sender had signed in is not in the trail any more",
    ):
        assert told in ran.out


def test_programs_get_the_lines(run: Run, config: Path, trail: Path) -> None:
    assert trail.exists()
    told = json.loads(run("--config", config, "audit", "job", 4711, "--json").out)
    (submitted,), (touched,) = told["submitted"], told["touched"]
    assert (submitted["request"]["user"], submitted["origin"][0]["factor"], touched["request"]["user"]) == ("alice", "totp", "bob")


def test_a_job_is_found_after_its_file_was_put_away(run: Run, config: Path, trail: Path) -> None:
    assert trail.exists()
    run("--config", config, "audit", "rotate")
    assert "submitted by alice" in run("--config", config, "audit", "job", 4711).out


@pytest.mark.parametrize("words", [(4712,), (4711, "--cluster", "nowhere")])
def test_a_job_that_nobody_knows_is_said(run: Run, config: Path, words: tuple[object, ...]) -> None:
    write(config, KILL)
    ran = run("--config", config, "audit", "job", *words)
    where = "job 4712" if words == (4712,) else "job 4711 on nowhere"
    hint = "It was not submitted through this gateway, or its lines are in files that are not beside the trail any more."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"the trail has nothing of {where}", hint))


def test_a_job_that_was_not_made_here_is_said(run: Run, config: Path) -> None:
    write(config, KILL)
    assert "was not submitted through this gateway" in run("--config", config, "audit", "job", 4711).out


CHOICES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "all": ((), ["chain_head", "sign_in", "request", "request", "disenrol", "chain_head"]),
    "user": (("--user", "alice"), ["sign_in", "request"]),
    "operator": (("--user", "root"), ["disenrol"]),
    "event": (("--event", "sign_in"), ["sign_in"]),
    "lately": (("--since", "1h", "--event", "disenrol"), ["disenrol"]),
    "long ago": (("--since", "2023-11-14T22:13:15Z", "--user", "bob"), ["request"]),
    "later": (("--since", "2023-11-14T22:13:25", "--user", "alice"), ["request"]),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_some_of_the_trail_is_shown(run: Run, config: Path, trail: Path, choice: str) -> None:
    assert trail.exists()
    words, events = CHOICES[choice]
    ran = run("--config", config, "audit", "show", *words, "--json")
    assert [json.loads(line)["event"] for line in ran.out.splitlines()] == events
    assert [line.split(" ")[1] for line in run("--config", config, "audit", "show", *words).out.splitlines()] == events


def test_a_time_that_is_none_is_usage(run: Run, config: Path) -> None:
    ran = run("--config", config, "audit", "show", "--since", "yesterday")
    hint = 'Write "30m", "1h" or "7d" for so long ago, or 2026-01-31T08:00:00Z.'
    assert (ran.code, ran.err) == (2, failure("--since 'yesterday' is no time", hint))


def test_what_a_client_sent_moves_no_cursor(run: Run, config: Path) -> None:
    write(config, Event(event="refusal", at=0.0, user="\x1b[2Jalice\r\n\u202e", path="/\x9b", job_id=7))
    for words in (("show",), ("job", 7)):
        out = run("--config", config, "audit", *words).out
        assert all(character.isprintable() or character == "\n" for character in out)
        assert r"\x1b[2Jalice\r\n\u202e" in out


def test_garbage_in_the_trail_is_passed_over(run: Run, config: Path) -> None:
    with write(config, SIGN_IN).open("ab") as file:
        file.write(b"\xff\x00garbage\n[1]\n" + b"x" * 2_000_000)
    assert run("--config", config, "audit", "show", "--event", "sign_in").out.count("\n") == 1

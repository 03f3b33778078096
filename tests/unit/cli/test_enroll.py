from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pyotp
import pytest

from gateway.sessions.tokens import TICKET, is_well_formed
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


def test_a_program_gets_secret_address_and_recovery_codes(run: Run, config: Path) -> None:
    ran = run("--config", config, "enroll", "alice", "--json")
    shown = json.loads(ran.out)
    assert (ran.code, ran.err, set(shown)) == (0, "", {"id", "name", "secret", "otpauth_uri", "recovery_codes"})
    assert pyotp.parse_uri(shown["otpauth_uri"]).secret == shown["secret"]
    assert len(set(shown["recovery_codes"])) == 10


def test_a_person_gets_the_same_in_words(run: Run, config: Path) -> None:
    ran = run("--config", config, "enroll", "alice")
    assert ran.code == 0
    assert re.search(r"^secret:  [A-Z2-7]{32}$", ran.out, re.MULTILINE)
    assert len(re.findall(r"^  [a-z2-7]{4}(?:-[a-z2-7]{4}){3}$", ran.out, re.MULTILINE)) == 10


def test_a_person_at_a_terminal_gets_a_qr_code_too(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "█" in run("--config", config, "enroll", "alice").out


def test_enrolling_is_in_the_trail_and_the_secret_is_not(run: Run, config: Path) -> None:
    shown = json.loads(run("--config", config, "enroll", "alice", "--json").out)
    (line,) = fakes.json_lines(config.parent / "audit.log")
    assert (line["event"], line["user"], bool(line["by"])) == ("enrol", "alice", True)
    assert not any(secret in (config.parent / "audit.log").read_text() for secret in (shown["secret"], *shown["recovery_codes"]))


def test_the_store_holds_neither_the_secret_nor_a_recovery_code(run: Run, config: Path) -> None:
    shown = json.loads(run("--config", config, "enroll", "alice", "--json").out)
    with sqlite3.connect(config.parent / "gateway.db") as connection:
        everything = "\n".join(connection.iterdump())
    assert not any(secret in everything for secret in (shown["secret"], *shown["recovery_codes"]))


def test_a_second_factor_is_not_replaced_by_enrolling_again(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    ran = run("--config", config, "enroll", "alice")
    assert (ran.code, ran.out) == (1, "")
    hint = "To replace it: slurm-gateway disenroll alice, then enroll again. For one more: enroll alice --another."
    assert ran.err == f"slurm-gateway: alice has a second factor already\nhint: {hint}\n"
    assert [line["event"] for line in fakes.json_lines(config.parent / "audit.log")] == ["enrol", "enrol", "refusal"]


@pytest.mark.parametrize("name", ["", " alice", "alice ", "al ice", "a/b", "ü", "-alice", "a" * 65, "a\nb", "$(id)"])
def test_what_is_no_user_name_is_usage(run: Run, config: Path, name: str) -> None:
    ran = run("--config", config, "enroll", "--", name)
    hint = "Give the name as Slurm spells it, in letters, digits, '.', '_' and '-'."
    assert (ran.code, ran.out, ran.err) == (2, "", failure(f"{name!r} is no user name", hint))


def test_without_a_key_ring_nobody_is_enrolled(run: Run, config: Path) -> None:
    (config.parent / "ring").unlink()
    ran = run("--config", config, "enroll", "alice")
    assert (ran.code, ran.out, (config.parent / "audit.log").exists()) == (3, "", False)


def test_what_cannot_be_written_down_is_not_done(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": "/dev/full"}})
    ran = run("--config", config, "enroll", "alice")
    hint = "What cannot be written down is not done: make the audit file writable."
    assert (ran.code, ran.out, ran.err) == (1, "", failure("audit.file: audit: No space left on device", hint))


def test_a_store_that_cannot_be_used_is_said(run: Run, config: Path) -> None:
    (config.parent / "gateway.db").write_bytes(b"this is no database at all, but long enough to look at" * 20)
    ran = run("--config", config, "enroll", "alice")
    hint = "Run this as the gateway's user or as root; 'slurm-gateway check' says what is wrong."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"store.url: {config.parent}/gateway.db: file is not a database", hint))


@pytest.mark.parametrize("more", [("--another",), ("--name", "tablet")])
def test_one_more_is_given_when_it_is_asked_for(run: Run, config: Path, more: tuple[str, ...]) -> None:
    first = json.loads(run("--config", config, "enroll", "alice", "--json").out)
    second = json.loads(run("--config", config, "enroll", "alice", "--json", *more).out)
    assert (first["name"], second["name"]) == ("authenticator", "tablet" if "tablet" in more else "authenticator 2")
    assert first["secret"] != second["secret"]


def test_a_name_that_is_taken_is_said(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice", "--name", "tablet")
    ran = run("--config", config, "enroll", "alice", "--name", "tablet")
    what = "alice has a second factor called tablet already, or no room for one more"
    assert (ran.code, ran.err) == (1, failure(what, "Choose another name, or remove one."))


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a\nb", "x" * 65])
def test_a_name_that_could_lead_astray_is_usage(run: Run, config: Path, name: str) -> None:
    ran = run("--config", config, "enroll", "alice", f"--name={name}")
    assert (ran.code, ran.err) == (2, failure(f"{name!r} is no name", "Give 1 to 64 letters, digits, blanks, '.', '_' and '-'."))


def test_no_more_are_given_than_there_is_room_for(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"enrolment": {"max_authenticators": 2}})
    assert [run("--config", config, "enroll", "alice", "--another").code for _ in range(3)] == [0, 0, 1]


def test_a_ticket_is_shown_once_and_kept_as_its_digest(run: Run, config: Path) -> None:
    shown = json.loads(run("--config", config, "enroll", "--ticket", "carol", "--json").out)
    assert (set(shown), is_well_formed(shown["ticket"], TICKET)) == ({"ticket", "expires_at"}, True)
    with sqlite3.connect(config.parent / "gateway.db") as connection:
        everything = "\n".join(connection.iterdump())
    assert (shown["ticket"] in everything, connection.execute("SELECT username FROM tickets").fetchall()) == (False, [("carol",)])


def test_a_ticket_is_told_to_people_in_words(run: Run, config: Path) -> None:
    ran = run("--config", config, "enroll", "--ticket", "carol")
    assert (ran.code, len(re.findall(r"^  sgt_[0-9A-Za-z]{49}$", ran.out, re.MULTILINE))) == (0, 1)


def test_another_ticket_voids_the_first(run: Run, config: Path) -> None:
    for _ in range(2):
        run("--config", config, "enroll", "--ticket", "carol")
    with sqlite3.connect(config.parent / "gateway.db") as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (1,)


def test_somebody_who_has_a_second_factor_gets_a_ticket_only_for_another(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    assert [run("--config", config, "enroll", "--ticket", "alice", *more).code for more in ((), ("--another",))] == [1, 0]


def test_a_ticket_is_in_the_trail_and_its_text_is_not(run: Run, config: Path) -> None:
    shown = json.loads(run("--config", config, "enroll", "--ticket", "carol", "--json").out)
    (line,) = fakes.json_lines(config.parent / "audit.log")
    assert (line["event"], line["user"], shown["ticket"] in str(line)) == ("ticket_issued", "carol", False)


@pytest.mark.parametrize(("ways", "words"), [(["ticket"], ()), (["administrator"], ("--ticket",))])
def test_a_way_that_is_closed_is_said(run: Run, tmp_path: Path, ways: list[str], words: tuple[str, ...]) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"enrolment": {"ways": ways}})
    ran = run("--config", config, "enroll", "alice", *words)
    assert (ran.code, "enrolment.ways" in ran.err, "Here, second factors are enrolled" in ran.err) == (1, True, True)

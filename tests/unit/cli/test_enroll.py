from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pyotp
import pytest

from tests.unit.cli.conftest import Run
from tests.web import fakes


def test_a_program_gets_secret_address_and_recovery_codes(run: Run, config: Path) -> None:
    ran = run("--config", config, "enroll", "alice", "--json")
    shown = json.loads(ran.out)
    assert (ran.code, ran.err, set(shown)) == (0, "", {"secret", "otpauth_uri", "recovery_codes"})
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
    assert ran.err == "slurm-gateway: alice has a second factor already\nhint: To replace it: slurm-gateway disenroll alice, then enroll again.\n"
    assert [line["event"] for line in fakes.json_lines(config.parent / "audit.log")] == ["enrol", "enrol", "refusal"]


@pytest.mark.parametrize("name", ["", " alice", "alice ", "al ice", "a/b", "ü", "-alice", "a" * 65, "a\nb", "$(id)"])
def test_what_is_no_user_name_is_usage(run: Run, config: Path, name: str) -> None:
    ran = run("--config", config, "enroll", "--", name)
    assert (ran.code, ran.out, "no user name" in ran.err, ran.err.count("\n")) == (2, "", True, 2)


def test_without_a_key_ring_nobody_is_enrolled(run: Run, config: Path) -> None:
    (config.parent / "ring").unlink()
    ran = run("--config", config, "enroll", "alice")
    assert (ran.code, ran.out, (config.parent / "audit.log").exists()) == (3, "", False)


def test_what_cannot_be_written_down_is_not_done(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": "/dev/full"}})
    ran = run("--config", config, "enroll", "alice")
    assert (ran.code, ran.out, ran.err.startswith("slurm-gateway: audit.file: ")) == (1, "", True)


def test_a_store_that_cannot_be_used_is_said(run: Run, config: Path) -> None:
    (config.parent / "gateway.db").write_bytes(b"this is no database at all, but long enough to look at" * 20)
    ran = run("--config", config, "enroll", "alice")
    assert (ran.code, ran.out, ran.err.startswith("slurm-gateway: store.url: ")) == (1, "", True)

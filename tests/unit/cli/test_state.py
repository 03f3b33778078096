from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.main import main
from tests.postgres import Cluster
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


@pytest.fixture
def enrolled(run: Run, config: Path) -> Path:
    for user in ("alice", "bob"):
        assert run("--config", config, "enroll", user).code == 0
    (config.parent / "audit.log").unlink()
    return config


@pytest.fixture
def backup(run: Run, enrolled: Path) -> Path:
    path = enrolled.parent / "backup"
    assert run("--config", enrolled, "state", "backup", path).code == 0
    return path


def empty(config: Path) -> None:
    for table in ("authenticators", "recovery_codes", "sessions"):
        fakes.execute(config.parent / "gateway.db", f"DELETE FROM {table}")  # noqa: S608 - names of ours


def dump(config: Path) -> str:
    with sqlite3.connect(config.parent / "gateway.db") as connection:
        return "\n".join(connection.iterdump())


def test_a_backup_is_its_owners_alone_and_says_what_is_not_in_it(run: Run, enrolled: Path) -> None:
    path = enrolled.parent / "backup"
    ran = run("--config", enrolled, "state", "backup", path)
    assert (ran.code, stat.S_IMODE(path.stat().st_mode), ran.err) == (0, 0o600, "")
    assert ran.out.startswith(
        f"{path}: 22 row(s), 2 authenticators, 20 recovery_codes\nNot in it, and needed with it: the key ring {enrolled.parent}/ring"
    )
    assert not [file.name for file in enrolled.parent.iterdir() if file.name.startswith(".backup")]


def test_a_backup_replaces_an_older_one_and_leaves_the_other_file_that_a_link_leads_to(run: Run, enrolled: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (enrolled.parent / "backup").symlink_to(tmp_path / "precious")
    assert run("--config", enrolled, "state", "backup", enrolled.parent / "backup").code == 0
    assert ((tmp_path / "precious").read_text(), (enrolled.parent / "backup").is_symlink()) == ("precious", False)


def test_a_program_gets_the_counts(run: Run, enrolled: Path) -> None:
    path = enrolled.parent / "backup"
    shown = json.loads(run("--config", enrolled, "state", "backup", path, "--json").out)
    assert (shown["file"], shown["rows"]["authenticators"], shown["rows"]["sessions"]) == (str(path), 2, 0)


@pytest.mark.parametrize(("file", "reason"), [("/nowhere/backup", "No such file or directory"), ("/dev/full/backup", "Not a directory")])
def test_a_place_that_cannot_be_written_to_is_said(run: Run, enrolled: Path, file: str, reason: str) -> None:
    ran = run("--config", enrolled, "state", "backup", file)
    hint = "Name a file in a folder that the gateway's user may write to."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"{file} cannot be written: {reason}", hint))


def test_a_backup_that_fails_leaves_the_older_one(run: Run, enrolled: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = backup.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    ran = run("--config", enrolled, "state", "backup", backup)
    assert (ran.code, "No space" in ran.err, backup.read_bytes() == before) == (1, True, True)
    assert not [file.name for file in backup.parent.iterdir() if file.name.startswith(".backup")]


def test_a_restore_brings_the_second_factors_back(run: Run, enrolled: Path, backup: Path) -> None:
    empty(enrolled)
    ran = run("--config", enrolled, "state", "restore", backup)
    assert (ran.code, ran.err, "2 authenticators restored; left out: 20 recovery_codes" in ran.out) == (0, "", True)
    with sqlite3.connect(enrolled.parent / "gateway.db") as connection:
        assert connection.execute("SELECT count(*), min(last_step) > 1 FROM authenticators").fetchone() == (2, 1)


def test_recovery_codes_are_restored_when_they_are_asked_for(run: Run, enrolled: Path, backup: Path) -> None:
    empty(enrolled)
    shown = json.loads(run("--config", enrolled, "state", "restore", backup, "--with-recovery-codes", "--json").out)
    assert (shown["dry_run"], shown["restored"]["recovery_codes"], shown["left_out"]["recovery_codes"]) == (False, 20, 0)


def test_what_is_there_is_replaced_only_when_told_to(run: Run, enrolled: Path, backup: Path) -> None:
    before = dump(enrolled)
    refused = run("--config", enrolled, "state", "restore", backup)
    hint = "Nothing was changed. With --replace, what it holds is taken out first: back that up before."
    assert (refused.code, refused.err, dump(enrolled) == before) == (1, failure("the store is not empty", hint), True)
    assert run("--config", enrolled, "state", "restore", backup, "--replace").code == 0


@pytest.mark.parametrize(("words", "code"), [((), 1), (("--replace",), 0)])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(run: Run, enrolled: Path, backup: Path, words: tuple[str, ...], code: int) -> None:
    before, trail = dump(enrolled), (enrolled.parent / "audit.log").read_bytes()
    ran = run("--config", enrolled, "state", "restore", backup, "--dry-run", *words)
    assert (ran.code, dump(enrolled) == before, (enrolled.parent / "audit.log").read_bytes() == trail) == (code, True, True)
    assert ("2 authenticators would be restored" in ran.out) is (code == 0)


def test_a_backup_whose_keys_are_missing_is_refused(run: Run, enrolled: Path, backup: Path) -> None:
    fakes.private(enrolled.parent / "ring", b"k7:" + base64.b64encode(b"x" * 32))
    before = dump(enrolled)
    ran = run("--config", enrolled, "state", "restore", backup, "--replace")
    what = f"secrets of the backup are sealed under keys that {enrolled.parent}/ring does not have: k1"
    hint = "Nothing was changed. Bring the key ring that belongs to the backup first."
    assert (ran.code, ran.err, dump(enrolled) == before) == (1, failure(what, hint), True)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_backup_that_others_may_write_to_is_refused(run: Run, enrolled: Path, backup: Path, mode: int) -> None:
    backup.chmod(mode)
    ran = run("--config", enrolled, "state", "restore", backup, "--replace")
    hint = "Whoever can change a backup can sign in after it is restored: chmod 0600 it."
    assert (ran.code, ran.err) == (1, failure(f"{backup} may be written to by others (mode {mode:04o})", hint))


def test_what_is_no_file_is_refused(run: Run, config: Path) -> None:
    os.mkfifo(config.parent / "pipe", 0o600)
    hint = "Name the file that 'slurm-gateway state backup' wrote."
    for path, why in (
        (config.parent / "pipe", "is no plain file"),
        (config.parent, "is no plain file"),
        (config.parent / "absent", "cannot be read: No such file or directory"),
    ):
        ran = run("--config", config, "state", "restore", path)
        assert (ran.code, ran.out, ran.err) == (1, "", failure(f"{path} {why}", hint))


def test_what_is_no_backup_is_refused(run: Run, enrolled: Path) -> None:
    before, path = dump(enrolled), enrolled.parent / "notes"
    fakes.private(path, b"nonsense")
    ran = run("--config", enrolled, "state", "restore", path, "--replace")
    what = f"{path} cannot be restored: a line is too long, or its end is missing: it was cut"
    assert (ran.code, ran.err, dump(enrolled) == before) == (1, failure(what, "Nothing was changed. Name another backup."), True)


def test_both_are_in_the_trail(run: Run, enrolled: Path, backup: Path) -> None:
    run("--config", enrolled, "state", "restore", backup, "--replace")
    lines = fakes.json_lines(enrolled.parent / "audit.log")
    assert [(line["event"], bool(line["by"])) for line in lines] == [("state_backup", True), ("state_restore", True)]


def test_what_cannot_be_written_down_is_not_done(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": "/dev/full"}})
    assert run("--config", config, "state", "backup", tmp_path / "backup").code == 1
    assert not (tmp_path / "backup").exists()


def test_a_store_moves_from_sqlite_to_postgresql_and_back(run: Run, enrolled: Path, backup: Path, cluster: Cluster) -> None:
    cluster.create("moved")
    there = fakes.site(enrolled.parent, "http://127.0.0.1:1", {"store": {"url": cluster.url("moved")}}).rename(enrolled.parent / "there.toml")
    back = fakes.site(enrolled.parent, "http://127.0.0.1:1")
    assert run("--config", there, "state", "restore", backup, "--with-recovery-codes").code == 0
    assert run("--config", there, "state", "backup", backup).code == 0
    ran = run("--config", back, "state", "restore", backup, "--with-recovery-codes", "--replace", "--json")
    assert (ran.code, json.loads(ran.out)["restored"]["authenticators"], json.loads(ran.out)["restored"]["recovery_codes"]) == (0, 2, 20)
    cluster.drop("moved")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), keep=st.integers(0, 5000))
def test_any_bytes_end_in_one_line_and_leave_the_store_as_it_was(
    enrolled: Path, backup: Path, capsys: pytest.CaptureFixture[str], content: bytes, keep: int
) -> None:
    """Random bytes, alone and in the place of the rest of a good backup."""
    before = dump(enrolled)
    bad = enrolled.parent / "bad"
    bad.write_bytes(backup.read_bytes()[:keep] + content)
    bad.chmod(0o600)
    code = main(["--config", str(enrolled), "state", "restore", str(bad), "--replace"])
    assert (code, capsys.readouterr().err.count("\n"), dump(enrolled) == before) == (1, 2, True)

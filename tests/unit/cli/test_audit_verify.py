from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import load
from gateway.observe.audit import AuditTrail, load_audit_key
from gateway.observe.audit.event import Event
from gateway.store.audit_heads import AuditHeadStore
from gateway.store.engine import open_database
from gateway.store.migrate import migrate
from tests.unit.cli.conftest import Run, failure

Write = Callable[..., Path]


@pytest.fixture
def write(config: Path) -> Write:
    """Writes lines to the trail of the site as its gateway does, the heads in the store included."""
    store = load(config).store
    migrate(store)

    async def written(count: int) -> None:
        database = open_database(store)
        trail = AuditTrail(config.parent / "audit.log", load_audit_key(config.parent / "audit.key"))
        for number in range(count):
            await trail.write(Event(event="request", at=float(number), user="alice"))
        head = await trail.sign()
        assert head is not None
        await AuditHeadStore(database).put(trail=head.trail, seq=head.seq, line_sha256=bytes.fromhex(head.line), at=0.0)
        trail.close()
        await database.close()

    def write(count: int = 3) -> Path:
        asyncio.run(written(count))
        return config.parent / "audit.log"

    return write


def test_a_sound_trail_is_told_with_what_is_in_it(run: Run, config: Path, write: Write) -> None:
    write()
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, ran.out.splitlines()[-1], "2 signed head(s), the last is line 5" in ran.out) == (0, "sound", True)
    assert "note" not in ran.out


def test_programs_get_json(run: Run, config: Path, write: Write) -> None:
    path = write()
    told = json.loads(run("--config", config, "audit", "verify", "--json").out)
    assert (told["sound"], told["lines"], told["heads"], told["faults"], [file["file"] for file in told["files"]]) == (True, 5, 2, [], [str(path)])


def test_a_changed_line_is_told_with_its_place(run: Run, config: Path, write: Write) -> None:
    path = write()
    path.write_bytes(path.read_bytes().replace(b"alice", b"mallo", 1))
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, f"{path}:2: changed_line: " in ran.out, ran.out.splitlines()[-1]) == (1, True, "NOT SOUND: 1 fault(s)")


def test_older_copies_of_everything_are_shown_by_the_store(run: Run, config: Path, write: Write, tmp_path: Path) -> None:
    path = write()
    files = [path, path.with_name("audit.log.head")]
    for file in files:
        shutil.copy2(file, tmp_path / f"{file.name}.old")
    write()
    for file in files:
        shutil.copyfile(tmp_path / f"{file.name}.old", file)
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, "cut_at_end: lines 6 to 9 are missing: the store knows them" in ran.out) == (1, True)


def test_a_trail_that_was_taken_away_altogether_is_missed(run: Run, config: Path, write: Write) -> None:
    path = write()
    path.unlink()
    path.with_name("audit.log.head").unlink()
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, "the store: missing_trail" in ran.out) == (1, True)


def test_where_there_never_was_a_trail_there_is_none_to_verify(run: Run, config: Path) -> None:
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, ran.err) == (1, failure(f"{config.parent}/audit.log: there is no trail", "Start the gateway; or name the files."))


def test_a_store_that_cannot_be_asked_is_said(run: Run, config: Path, write: Write) -> None:
    write()
    (config.parent / "gateway.db").unlink()
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, "note: the head that the store keeps was not looked at" in ran.out, (config.parent / "gateway.db").exists()) == (0, True, False)


def test_whoever_has_the_public_key_verifies_elsewhere(run: Run, config: Path, write: Write, tmp_path: Path) -> None:
    path = write()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "key.pem").write_text(run("--config", config, "audit", "key").out)
    (elsewhere / "old.gz").write_bytes(gzip.compress(path.read_bytes()))
    words = ("audit", "verify", "--public-key", elsewhere / "key.pem", elsewhere / "old.gz")
    assert run(*words).code == 0
    (elsewhere / "old.gz").write_bytes(gzip.compress(path.read_bytes().replace(b"alice", b"mallo", 1)))
    assert run(*words).code == 1
    (elsewhere / "old.gz").write_bytes(gzip.compress(path.read_bytes())[:-100])
    ran = run(*words)
    assert (ran.code, "cannot be read to its end" in ran.out) == (1, True)


@pytest.mark.parametrize("configured", [True, False])
def test_a_pattern_that_names_the_head_too_names_the_trail(run: Run, config: Path, write: Write, tmp_path: Path, configured: bool) -> None:
    path = write()
    key = tmp_path / "key.pem"
    key.write_text(run("--config", config, "audit", "key").out)
    words = ("--config", config, "audit", "verify") if configured else ("audit", "verify", "--public-key", key)
    files = sorted(path.parent.glob("audit.log*"))
    ran = run(*words, *files)
    assert (len(files), ran.code, ran.out.splitlines()[-1]) == (2, 0, "sound")


def test_several_keys_may_have_signed(run: Run, config: Path, write: Write, tmp_path: Path) -> None:
    write()
    (tmp_path / "old.pem").write_text(run("--config", config, "audit", "key").out)
    (config.parent / "audit.key").unlink()
    run("--config", config, "keys", "init")
    write()
    assert run("--config", config, "audit", "verify").code == 1
    assert run("--config", config, "audit", "verify", "--public-key", tmp_path / "old.pem").code == 0


def test_files_that_are_named_are_verified_with_the_gateways_key(run: Run, config: Path, write: Write) -> None:
    path = write()
    assert run("--config", config, "audit", "verify", path).code == 0
    copy = path.with_name("copy")
    copy.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    ran = run("--config", config, "audit", "verify", copy)
    assert (ran.code, "cut_at_beginning" in ran.out) == (1, True)


@pytest.mark.parametrize(("content", "why"), [(None, "No such file or directory"), (b"nonsense", "no public key in PEM")])
def test_a_public_key_that_is_none_is_said(run: Run, tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    ran = run("audit", "verify", "--public-key", path, tmp_path / "x")
    assert (ran.code, ran.err) == (1, failure(f"{path}: {why}", "Name the file that 'slurm-gateway audit key' printed."))


def test_a_file_that_is_not_there_is_said(run: Run, config: Path) -> None:
    path = config.parent / "nowhere"
    ran = run("--config", config, "audit", "verify", path)
    hint = "Run this as the gateway's user or as root, and name files of a trail."
    assert (ran.code, ran.err) == (1, failure(f"{path}: No such file or directory", hint))


def test_neither_configuration_nor_key_is_said(run: Run, tmp_path: Path) -> None:
    assert run("audit", "verify", tmp_path / "x").code == 3


def test_what_a_line_holds_moves_no_cursor(run: Run, config: Path, write: Write) -> None:
    path = write()
    path.with_name("audit.log.head").unlink()
    path.write_bytes(path.read_bytes() + b'{"seq":6,"prev":"' + b"0" * 64 + b'","time":"\\u001b[31m"}\n')
    assert "\x1b" not in run("--config", config, "audit", "verify").out


def test_on_a_terminal_it_tells_how_far_it_is(run: Run, config: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(2000)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("gateway.cli.audit_verify._PROGRESS_EVERY", -1.0)
    assert " %, 1000 lines" in run("--config", config, "audit", "verify").err

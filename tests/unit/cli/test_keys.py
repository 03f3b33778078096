from __future__ import annotations

import base64
import json
import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.cli import keys
from gateway.store.sealing import RingEditor, load_key_ring
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


@pytest.fixture
def without_ring(config: Path) -> Path:
    (config.parent / "ring").unlink()
    return config


def test_init_writes_a_ring_that_only_its_owner_may_read(run: Run, without_ring: Path) -> None:
    ran = run("--config", without_ring, "keys", "init")
    ring = without_ring.parent / "ring"
    assert (ran.code, stat.S_IMODE(ring.stat().st_mode), ran.err) == (0, 0o600, "")
    assert ran.out.startswith(f"{ring}: written")


def test_init_makes_a_configuration_complete(run: Run, without_ring: Path) -> None:
    before = run("--config", without_ring, "check").code
    run("--config", without_ring, "keys", "init")
    assert (before, run("--config", without_ring, "check").code) == (3, 0)


def test_init_shows_no_key(run: Run, without_ring: Path) -> None:
    ran = run("--config", without_ring, "keys", "init")
    assert (without_ring.parent / "ring").read_text().split(":")[1].strip() not in ran.out


def test_init_keeps_what_is_there(run: Run, config: Path) -> None:
    before = (config.parent / "ring").read_bytes()
    ran = run("--config", config, "keys", "init")
    assert (ran.code, (config.parent / "ring").read_bytes() == before, "is kept" in ran.out) == (0, True, True)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_init_does_not_call_a_ring_good_that_is_not(run: Run, config: Path, content: bytes) -> None:
    fakes.private(config.parent / "ring", content)
    assert run("--config", config, "keys", "init").code == 3


def test_a_folder_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    path = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"key_file": f"{tmp_path}/nowhere/audit.key"}})
    ran = run("--config", path, "keys", "init")
    what = f"{tmp_path}/nowhere/audit.key cannot be written: No such file or directory"
    assert (ran.code, ran.out, ran.err) == (1, "", failure(what, "Make its folder, and let the gateway's user write to it."))


@pytest.mark.parametrize(
    ("action", "verb", "hint"),
    [
        ("init", "written", "Make its folder, and let the gateway's user write to it."),
        ("stage", "replaced", "Its folder must be there, and writable for the gateway's user."),
    ],
)
def test_a_folder_that_is_none_is_said(run: Run, tmp_path: Path, action: str, verb: str, hint: str) -> None:
    (tmp_path / "file").touch()
    path = fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"key_ring_file": f"{tmp_path}/file/ring"}})
    ran = run("--config", path, "keys", action)
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"{tmp_path}/file/ring cannot be {verb}: Not a directory", hint))


def test_init_writes_the_key_of_the_audit_trail_too(run: Run, config: Path) -> None:
    key = config.parent / "audit.key"
    key.unlink()
    ran = run("--config", config, "keys", "init")
    assert (ran.code, stat.S_IMODE(key.stat().st_mode), f"{key}: written" in ran.out) == (0, 0o600, True)
    assert run("--config", config, "check").code == 0


def test_init_keeps_the_key_of_the_audit_trail(run: Run, config: Path) -> None:
    assert (run("--config", config, "keys", "init").code, (config.parent / "audit.key").read_bytes()) == (0, fakes.AUDIT_KEY)


def test_init_does_not_call_a_key_of_the_audit_trail_good_that_is_not(run: Run, config: Path) -> None:
    key = config.parent / "audit.key"
    fakes.private(key, b"nonsense")
    ran = run("--config", config, "keys", "init")
    what, hint = f"audit.key_file: {key} is no private key in PEM without a password", "Restore it from a backup, or take it away for a new one."
    assert (ran.code, ran.err) == (3, failure(what, hint))


@pytest.fixture(autouse=True)
def _no_stragglers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_STRAGGLERS", 0.0)


@pytest.fixture
def enrolled(run: Run, config: Path) -> Path:
    """A configuration with three people in its store."""
    for user in ("alice", "bob", "adele"):
        assert run("--config", config, "enroll", user).code == 0
    (config.parent / "audit.log").unlink()
    return config


def in_json(run: Run, config: Path, *words: str) -> object:
    ran = run("--config", config, "keys", *words, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def sealed(config: Path) -> set[bytes]:
    with sqlite3.connect(config.parent / "gateway.db") as connection:
        return {bytes(secret)[:5] for (secret,) in connection.execute("SELECT sealed_secret FROM authenticators")}


def test_init_tells_a_program(run: Run, without_ring: Path) -> None:
    told = in_json(run, without_ring, "init")
    assert isinstance(told, dict)
    assert len(told.pop("fingerprint")) == 32
    folder = without_ring.parent
    assert told == {"file": f"{folder}/ring", "written": True, "audit_key_file": f"{folder}/audit.key", "audit_key_written": False}


def test_the_keys_are_listed_with_what_they_seal(run: Run, enrolled: Path) -> None:
    in_json(run, enrolled, "stage")
    assert in_json(run, enrolled, "list") == [
        {"id": "k1", "first": True, "in_ring": True, "secrets": 3},
        {"id": "k2", "first": False, "in_ring": True, "secrets": 0},
    ]
    assert run("--config", enrolled, "keys", "list").out == "k1: seals; 3 secret(s) sealed under it\nk2: opens; 0 secret(s) sealed under it\n"


def test_a_key_that_is_missing_is_listed(run: Run, enrolled: Path) -> None:
    fakes.private(enrolled.parent / "ring", b"k7:" + base64.b64encode(b"x" * 32))
    assert "k1: is missing from the ring; 3 secret(s)" in run("--config", enrolled, "keys", "list").out


def test_a_rotation_seals_everything_under_a_new_key(run: Run, enrolled: Path) -> None:
    assert in_json(run, enrolled, "rotate") == {"key": "k2", "resealed": 3, "broken": []}
    assert (sealed(enrolled), list(load_key_ring(enrolled.parent / "ring").keys)) == ({b"1:k2:"}, ["k2", "k1"])


def test_a_rotation_takes_the_key_that_was_staged(run: Run, enrolled: Path) -> None:
    staged = in_json(run, enrolled, "stage")
    ring = (enrolled.parent / "ring").read_bytes()
    assert (staged, sealed(enrolled)) == ({"key": "k2"}, {b"1:k1:"})
    in_json(run, enrolled, "rotate")
    assert sorted((enrolled.parent / "ring").read_bytes().split()) == sorted(ring.split())
    assert sealed(enrolled) == {b"1:k2:"}


def test_a_rotation_that_leaves_something_says_so(run: Run, enrolled: Path) -> None:
    fakes.execute(enrolled.parent / "gateway.db", "UPDATE authenticators SET sealed_secret = ? WHERE username = 'bob'", (b"1:k9:nonsense",))
    ran = run("--config", enrolled, "keys", "rotate")
    assert (ran.code, sealed(enrolled)) == (1, {b"1:k2:", b"1:k9:"})
    with sqlite3.connect(enrolled.parent / "gateway.db") as connection:
        (bobs,) = connection.execute("SELECT id FROM authenticators WHERE username = 'bob'").fetchone()
    hint = "Put the key that is missing back into the ring and rotate again, or enrol their owners anew."
    assert ran.err == failure(f"1 secret(s) cannot be opened by any key and were left: {bobs}", hint)


def test_what_seals_nothing_is_taken_out_and_what_is_first_or_staged_stays(run: Run, enrolled: Path) -> None:
    in_json(run, enrolled, "rotate")
    in_json(run, enrolled, "stage")
    would = in_json(run, enrolled, "prune", "--dry-run")
    before = list(load_key_ring(enrolled.parent / "ring").keys)
    did = in_json(run, enrolled, "prune")
    assert (would, did) == tuple({"dropped": ["k1"], "kept": ["k2", "k3"], "dry_run": dry} for dry in (True, False))
    assert (before, list(load_key_ring(enrolled.parent / "ring").keys)) == (["k2", "k1", "k3"], ["k2", "k3"])


def test_what_seals_something_stays(run: Run, enrolled: Path) -> None:
    in_json(run, enrolled, "rotate")
    fakes.execute(enrolled.parent / "gateway.db", "UPDATE authenticators SET sealed_secret = ? WHERE username = 'bob'", (b"1:k1:late",))
    assert in_json(run, enrolled, "prune") == {"dropped": [], "kept": ["k2", "k1"], "dry_run": False}


def test_a_key_that_seals_something_in_the_last_moment_is_put_back(run: Run, enrolled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_json(run, enrolled, "rotate")
    late = (enrolled.parent / "gateway.db", "UPDATE authenticators SET sealed_secret = ? WHERE username = 'bob'", (b"1:k1:late",))
    monkeypatch.setattr("gateway.cli.keys.time.sleep", lambda _: fakes.execute(*late))
    ran = run("--config", enrolled, "keys", "prune")
    assert (ran.code, list(load_key_ring(enrolled.parent / "ring").keys)) == (1, ["k2", "k1"])
    assert ran.err == failure("something was sealed under k1 meanwhile; the ring is as it was", "Rotate again, then prune.")


@pytest.mark.parametrize("action", ["stage", "rotate", "prune", "list"])
def test_no_key_is_shown(run: Run, enrolled: Path, action: str) -> None:
    in_json(run, enrolled, "rotate")
    before = (enrolled.parent / "ring").read_text()
    ran = run("--config", enrolled, "keys", action)
    both = before + (enrolled.parent / "ring").read_text()
    assert ran.code == 0
    assert not any(line.partition(":")[2] in ran.out + ran.err for line in both.split())


def test_changes_are_in_the_trail(run: Run, enrolled: Path) -> None:
    for action in ("stage", "rotate", "list", "prune"):
        run("--config", enrolled, "keys", action)
    lines = fakes.json_lines(enrolled.parent / "audit.log")
    assert [(line["event"], "user" in line) for line in lines] == [("keys_stage", False), ("keys_rotate", False), ("keys_prune", False)]


@pytest.mark.parametrize("action", ["stage", "rotate", "prune"])
def test_what_cannot_be_written_down_is_not_done(run: Run, tmp_path: Path, action: str) -> None:
    path = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": "/dev/full"}})
    fakes.private(tmp_path / "ring", b"\n".join(b"k%d:" % number + base64.b64encode(bytes([number]) * 32) for number in (2, 1)))
    before = (tmp_path / "ring").read_bytes()
    assert run("--config", path, "keys", action).code == 1
    assert (tmp_path / "ring").read_bytes() == before


@pytest.mark.parametrize(("action", "code"), [("stage", 3), ("rotate", 3), ("prune", 3), ("list", 3)])
def test_without_a_ring_there_is_nothing_to_change(run: Run, without_ring: Path, action: str, code: int) -> None:
    assert run("--config", without_ring, "keys", action).code == code


def test_a_ring_that_somebody_else_is_changing_is_left(run: Run, config: Path) -> None:
    with RingEditor(config.parent / "ring"):
        ran = run("--config", config, "keys", "stage")
    assert (ran.code, ran.err) == (1, failure(f"{config.parent}/ring: another command is changing it", "Wait until that is done."))

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.observe.audit import AuditTrail, load_audit_key
from gateway.observe.audit.event import Event
from gateway.observe.audit.keys import public_key
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


def write(config: Path, *events: Event) -> Path:
    """Write events to the trail of a site, as its gateway does."""
    trail = AuditTrail(config.parent / "audit.log", load_audit_key(config.parent / "audit.key"))
    for event in events:
        trail.write_now(event)
    trail.close()
    return config.parent / "audit.log"


def test_rotating_puts_the_file_away_and_the_chain_goes_on(run: Run, config: Path) -> None:
    path = write(config, Event(event="request", at=0.0))
    ran = run("--config", config, "audit", "rotate")
    assert (ran.code, Path(ran.out.strip()).parent, Path(ran.out.strip()).exists(), path.exists()) == (0, path.parent, True, True)
    write(config, Event(event="request", at=1.0))
    assert [line.get("name") for line in fakes.json_lines(path)] == [Path(ran.out.strip()).name, None]
    assert run("--config", config, "audit", "verify").code == 0


def test_rotating_nothing_is_said(run: Run, config: Path) -> None:
    ran = run("--config", config, "audit", "rotate")
    assert (ran.code, "nothing is in it" in ran.out) == (0, True)
    assert json.loads(run("--config", config, "audit", "rotate", "--json").out) == {"file": None}


def test_programs_are_told_where_the_file_was_put(run: Run, config: Path) -> None:
    write(config, Event(event="request", at=0.0))
    assert Path(json.loads(run("--config", config, "audit", "rotate", "--json").out)["file"]).exists()


def test_the_public_key_is_shown_and_the_private_one_is_not(run: Run, config: Path) -> None:
    ran = run("--config", config, "audit", "key")
    pem, _, fingerprint = ran.out.partition("fingerprint: ")
    assert (ran.code, public_key(pem.encode()).fingerprint, "PRIVATE" in ran.out) == (0, fingerprint.strip(), False)
    shown = json.loads(run("--config", config, "audit", "key", "--json").out)
    assert shown == {"fingerprint": fingerprint.strip(), "public_key": pem}


@pytest.mark.parametrize("action", ["key", "rotate"])
def test_without_its_key_nothing_is_signed(run: Run, config: Path, action: str) -> None:
    write(config, Event(event="request", at=0.0))
    key = config.parent / "audit.key"
    key.unlink()
    ran = run("--config", config, "audit", action)
    what = f"audit.key_file: {key} cannot be read: No such file or directory"
    assert (ran.code, ran.out, ran.err) == (3, "", failure(what, "Make one with 'slurm-gateway keys init'."))


def test_without_its_key_nothing_is_verified(run: Run, config: Path) -> None:
    write(config, Event(event="request", at=0.0))
    (config.parent / "audit.key").unlink()
    ran = run("--config", config, "audit", "verify")
    assert (ran.code, "audit.key" in ran.err) == (1, True)


@pytest.mark.parametrize(("place", "why"), [("nowhere/audit.log", "No such file or directory"), ("file/audit.log", "Not a directory")])
def test_a_trail_that_cannot_be_written_to_is_not_rotated(run: Run, tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").touch()
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": f"{tmp_path}/{place}"}})
    ran = run("--config", config, "audit", "rotate")
    hint = "Run this as the gateway's user or as root, and see that the folder is writable."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"audit.file: {tmp_path}/{place}: {why}", hint))


def test_only_a_plain_file_is_rotated(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": "/dev/null"}})
    ran = run("--config", config, "audit", "rotate")
    what = "audit.file: /dev/null is no plain file, and nothing else is chained and rotated"
    assert (ran.code, ran.out, ran.err) == (3, "", failure(what, "Name a plain file in audit.file."))


@pytest.mark.parametrize("words", [("verify",), ("rotate",), ("show",), ("job", "1")])
def test_a_trail_on_standard_error_cannot_be_asked(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    path = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": None}})
    ran = run("--config", path, "audit", *words)
    assert (ran.code, ran.err) == (3, failure("audit.file is not set: the trail goes to standard error, unchained", "Set audit.file."))


def test_an_action_has_to_be_named(run: Run) -> None:
    assert run("audit").code == 2

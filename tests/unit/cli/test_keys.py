from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
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
    path = fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"key_ring_file": f"{tmp_path}/nowhere/ring"}})
    ran = run("--config", path, "keys", "init")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"slurm-gateway: {tmp_path}/nowhere")
    assert "No such file or directory\nhint: " in ran.err


def test_init_writes_the_key_of_the_audit_trail_too(run: Run, config: Path) -> None:
    key = config.parent / "audit.key"
    key.unlink()
    ran = run("--config", config, "keys", "init")
    assert (ran.code, stat.S_IMODE(key.stat().st_mode), f"{key}: written" in ran.out) == (0, 0o600, True)
    assert run("--config", config, "check").code == 0


def test_init_keeps_the_key_of_the_audit_trail(run: Run, config: Path) -> None:
    assert (run("--config", config, "keys", "init").code, (config.parent / "audit.key").read_bytes()) == (0, fakes.AUDIT_KEY)


def test_init_does_not_call_a_key_of_the_audit_trail_good_that_is_not(run: Run, config: Path) -> None:
    fakes.private(config.parent / "audit.key", b"nonsense")
    assert run("--config", config, "keys", "init").code == 3

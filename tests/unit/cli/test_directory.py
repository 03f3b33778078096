from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, failure
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.slapd import Slapd
from tests.web import fakes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    process, server = slapd.start(tmp_path_factory.mktemp("slapd"))
    yield server
    process.terminate()
    process.wait(10)


@pytest.fixture
def served(server: Slapd, tmp_path: Path) -> Path:
    """A configuration whose directory is there."""
    settings: dict[str, object] = {
        "urls": [server.secure_url],
        "ca_file": str(server.ca_file),
        "bind_dn": slapd.SERVICE,
        "bind_password_file": str(server.password_file),
        "user_base": slapd.PEOPLE,
        "required_group": slapd.USERS,
    }
    return fakes.site(tmp_path, f"unix:{tmp_path}/slurmrestd.sock", {"directory": settings})


def test_all_well_is_told_a_line_a_step(run: Run, served: Path) -> None:
    ran = run("--config", served, "directory", "check", "alice")
    assert (ran.code, ran.err) == (0, "")
    assert {line[:8] for line in ran.out.splitlines()} == {"ok      "}
    assert "ok      user: Slurm user alice, uid 1001\n" in ran.out


def test_nobody_needs_to_be_named(run: Run, served: Path) -> None:
    ran = run("--config", served, "directory", "check")
    assert (ran.code, "user:" in ran.out, "group required" in ran.out) == (0, False, True)


def test_what_failed_is_told_with_what_to_do(run: Run, served: Path) -> None:
    ran = run("--config", served, "directory", "check", "dave")
    assert ran.code == 1
    assert "FAILED  member required: no\n        hint: Add the person to directory.required_group" in ran.out
    assert ran.err == "slurm-gateway: 1 step(s) failed\nhint: See the hints above; nobody's password was asked for or used.\n"


@pytest.mark.parametrize(("user", "code"), [("alice", 0), ("mallory", 1)])
def test_a_program_gets_a_list(run: Run, served: Path, user: str, code: int) -> None:
    ran = run("--config", served, "directory", "check", user, "--json")
    found = json.loads(ran.out)
    assert ran.code == code
    assert all(set(step) == {"outcome", "step", "found", "hint"} for step in found)
    assert any(step["outcome"] == "failed" for step in found) is (code == 1)


def test_a_directory_that_is_down_is_told(run: Run, config: Path) -> None:
    ran = run("--config", config, "directory", "check")
    assert ran.code == 1
    assert ran.out.startswith("FAILED  connect ldap://127.0.0.1:1: ConnectionRefusedError")


@pytest.mark.parametrize("user", ["*", "al ice", "a@b@c", "älice", ""])
def test_what_nobody_could_type_is_not_looked_for(run: Run, served: Path, user: str) -> None:
    ran = run("--config", served, "directory", "check", user)
    hint = "Give user, user@domain or DOMAIN\\user."
    assert (ran.code, ran.err) == (2, failure(f"{user!r} is no name that somebody could sign in with", hint))


def test_no_secret_is_in_what_is_said(run: Run, served: Path) -> None:
    ran = run("--config", served, "directory", "check", "alice", "--json")
    assert slapd.SERVICE_PASSWORD not in ran.out + ran.err


def test_an_action_must_be_named(run: Run, served: Path) -> None:
    assert run("--config", served, "directory").code == 2

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.web import fakes


def test_nothing_wrong_is_said_in_one_line(run: Run, config: Path) -> None:
    ran = run("--config", config, "check")
    assert (ran.code, ran.out, ran.err) == (0, f"{config}: nothing is wrong\n", "")


def test_nothing_wrong_is_an_empty_list_to_a_program(run: Run, config: Path) -> None:
    ran = run("--config", config, "check", "--json")
    assert (ran.code, json.loads(ran.out), ran.err) == (0, [], "")


def test_problems_of_form_are_told_all_at_once_with_their_lines(run: Run, tmp_path: Path) -> None:
    path = fakes.site(tmp_path, "nonsense", {"server": {"workers": 0, "colour": "red"}})
    ran = run("--config", path, "check")
    keys = [line.split(": ")[1] for line in ran.err.splitlines()[:3]]
    assert (ran.code, ran.out, keys) == (3, "", ["server.workers", "server.colour", "clusters.main.url"])
    assert ran.err.splitlines()[3:] == [f"slurm-gateway: {path}: 3 problem(s)", "hint: Correct them, then check again."]


def test_problems_beyond_the_form_are_told_all_at_once(run: Run, config: Path) -> None:
    (config.parent / "jwt.key").unlink()
    (config.parent / "ring").chmod(0o644)
    ran = run("--config", config, "check")
    keys = [line.split(": ")[0] for line in ran.err.splitlines()[:2]]
    assert (ran.code, sorted(keys)) == (3, ["clusters.main.jwt_key_file", "store.key_ring_file"])


@pytest.mark.parametrize("kind", ["form", "beyond", "missing"])
def test_a_program_gets_every_problem_as_a_list(run: Run, config: Path, kind: str) -> None:
    if kind == "form":
        config.write_text("[server]\nlisten = 5\n")
    if kind == "beyond":
        (config.parent / "ring").unlink()
    ran = run("--config", "/nowhere" if kind == "missing" else config, "check", "--json")
    found = json.loads(ran.out)
    assert (ran.code, isinstance(found, list), len(found) > 0) == (3, True, True)
    assert all(isinstance(problem, str) for problem in found)


def test_checking_leaves_no_file_behind(run: Run, config: Path) -> None:
    before = sorted(config.parent.iterdir())
    run("--config", config, "check")
    assert sorted(config.parent.iterdir()) == before


@pytest.mark.parametrize("source", ["", "= broken", "[server]\n\x00", "\ufeff[server]"])
def test_a_file_that_is_no_configuration_is_no_traceback(run: Run, tmp_path: Path, source: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(source)
    assert run("--config", path, "check").code == 3


def test_no_secret_is_in_what_is_said(run: Run, config: Path) -> None:
    fakes.private(config.parent / "ring", b"k1:a-secret-that-is-malformed\n")
    ran = run("--config", config, "check")
    assert (ran.code, "a-secret" in ran.out + ran.err) == (3, False)

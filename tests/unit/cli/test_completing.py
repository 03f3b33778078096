from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import completing
from gateway.client.cluster import Job
from gateway.client.gateway import Gateway


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("slurm-gateway jo", ["jo"]),
        ("slurm-gateway ", []),
        ("", []),
        ("slurm-gateway check 'my job", ["check"]),
        ("slurm-gateway check 'my job' x", ["check", "my job", "x"]),
        ("slurm-gateway check a#b", ["check", "a#b"]),
    ],
)
def test_the_words_before_the_cursor_are_found(line: str, words: list[str]) -> None:
    assert completing.words_before(line, len(line)) == words


def test_what_stands_behind_the_cursor_does_not_count() -> None:
    assert completing.words_before("slurm-gateway jobs --all", 16) == ["jo"]


@given(st.text(), st.integers(0, 50))
def test_whatever_a_line_is_nothing_is_raised(line: str, point: int) -> None:
    completing.words_before(line, point)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("job.json", "job.png", ".hidden.json", "odd\x1b.json"):
        (tmp_path / name).touch()
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_job_files_and_folders_are_offered(folder: Path) -> None:
    assert completing.job_files(prefix="jo") == ["job.json", "jobs/"]
    assert completing.job_files(prefix=f"{folder}/jo") == [f"{folder}/job.json", f"{folder}/jobs/"]
    assert completing.job_files(prefix=".h") == [".hidden.json"]


def test_files_and_folders_are_offered(folder: Path) -> None:
    assert (completing.files(prefix="job."), completing.folders(prefix="jo")) == (["job.json", "job.png"], ["jobs/"])
    assert completing.files(prefix="nowhere/x") == []
    assert folder.is_dir()


def test_what_a_terminal_might_act_upon_is_not_offered(folder: Path) -> None:
    assert completing.files(prefix="odd") == []
    assert folder.is_dir()


ARGUMENTS = argparse.Namespace(jobs=[])


@pytest.fixture
def given_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_x")
    monkeypatch.setenv("SLURM_GATEWAY_URL", "https://gateway.example.org")
    monkeypatch.delenv("SLURM_GATEWAY_SITE", raising=False)


def test_numbers_of_jobs_are_offered_newest_first_with_what_they_are(given_token: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"job_id": number, "name": "a:b\x1b", "job_state": ["RUNNING"]} for number in (7, 71, 8)]
    monkeypatch.setattr(Gateway, "jobs", lambda _: [Job.of(item) for item in told])
    assert list(completing.jobs(ARGUMENTS, prefix="7").items()) == [("71", "a b? RUNNING"), ("7", "a b? RUNNING")]
    assert given_token is None


def test_a_gateway_that_is_slow_is_not_waited_for(given_token: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "jobs", lambda _: time.sleep(30))
    monkeypatch.setattr(completing, "LIMIT", 0.05)
    began = time.monotonic()
    assert completing.jobs(ARGUMENTS) == {}
    assert time.monotonic() - began < 10
    assert given_token is None


def test_standard_input_is_not_read(given_token: None) -> None:
    assert completing.jobs(argparse.Namespace(token_file=Path("-"))) == {}
    assert given_token is None


def test_nobody_signed_in_is_nothing_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SLURM_GATEWAY_TOKEN", raising=False)
    monkeypatch.delenv("SLURM_GATEWAY_URL", raising=False)
    assert (completing.jobs(ARGUMENTS), completing.sites()) == ({}, [])


def test_a_file_of_sites_that_is_broken_is_nothing_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "slurm-gateway").mkdir()
    (tmp_path / "slurm-gateway" / "sites.json").write_text("{")
    assert completing.sites() == []


def asked(line: str, **more: Any) -> tuple[int, str, str]:
    """Return the exit code of the command as a shell asks it, what it offers, and what it says."""
    told = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": " ", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    program = "import sys; sys.argv[0] = 'slurm-gateway'; from gateway.cli.main import main; main()"
    command = ["sh", "-c", 'exec "$0" -c "$1" 8>&1 1>/dev/null 9>/dev/null', sys.executable, program]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere"} | told | more
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("slurm-gateway compl", "completion"),
        ("slurm-gateway completion z", "zsh"),
        ("slurm-gateway jobs --tok", "--token-file"),
        ("slurm-gateway --ver", "--version"),
        ("slurm-gateway enroll --tick", "--ticket"),
        ("slurm-gateway xyzzy", ""),
    ],
)
def test_a_shell_is_answered(line: str, offered: str) -> None:
    assert asked(line) == (0, offered, "")


@pytest.mark.parametrize("more", [{"COMP_POINT": "x"}, {"_ARGCOMPLETE": "x"}])
def test_a_shell_that_asks_nonsense_is_told_nothing(more: dict[str, str]) -> None:
    code, offered, said = asked("slurm-gateway jo", **more)
    assert (code, offered, said) == (1, "", "")

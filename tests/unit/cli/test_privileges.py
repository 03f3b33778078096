from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.privileges import act_as_owner_of, operator
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes

NOBODY = 65534


def in_a_child(code: str) -> str:
    """Run ``code`` in a process of its own: what it gives up, it gives up for good."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_root_becomes_the_folders_owner_for_good(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    code = f"import os; from pathlib import Path; from gateway.cli.privileges import *; act_as_owner_of(Path({str(tmp_path)!r}))"
    assert in_a_child(code + "; print(os.getresuid(), os.getresgid(), os.getgroups())") == f"{(NOBODY,) * 3} {(NOBODY,) * 3} []\n"


def test_in_a_folder_of_ones_own_nothing_changes(tmp_path: Path) -> None:
    before = os.getresuid()
    act_as_owner_of(tmp_path)
    assert os.getresuid() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks at the folder")
def test_a_folder_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"url": f"sqlite:///{tmp_path}/absent/gateway.db"}})
    ran = run("--config", config, "users", "list")
    assert (ran.code, ran.err) == (1, failure(f"{tmp_path}/absent: No such file or directory", "Make the folder, and give it to the gateway's user."))


def test_the_operator_is_the_one_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert operator() == "nobody"


def test_an_operator_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4242424)
    assert operator() == "4242424"

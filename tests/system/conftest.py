"""One real site of each Slurm for the whole run, started as the README says; two variables of the environment name ones that run already."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.support import ROOT, Site, free_port, run_demo


def ours() -> list[str]:
    """Have the demo use this environment, if its users can reach it; else it makes its own, as it would for anyone."""
    reachable = all(folder.stat().st_mode & 0o001 for place in (Path(sys.executable).parent, ROOT) for folder in (place, *place.parents))
    return ["--python", sys.executable] if reachable else []


@contextmanager
def raised(variable: str, *words: str) -> Iterator[Site]:
    """Raise a site until the end of the block, or take the one that the variable names."""
    if running := os.environ.get(variable):
        yield Site.at(Path(running))
        return
    folder = Path(tempfile.mkdtemp(prefix="sgw-", dir="/var/tmp"))
    folder.chmod(0o755)
    state = folder / "site"
    try:
        started = run_demo("up", "--state", str(state), "--port", str(free_port()), *words, *ours(), check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        yield Site.at(state)
    finally:
        run_demo("down", "--state", str(state), check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Slurm 22.05, which is this Debian's own."""
    with raised("SLURM_GATEWAY_TEST_STATE") as found:
        yield found


@pytest.fixture(scope="session")
def trixie() -> Iterator[Site]:
    """Slurm 24.11, Debian 13's; only for tests that ask for it."""
    with raised("SLURM_GATEWAY_TEST_STATE_TRIXIE", "--release", "trixie") as found:
        yield found


@pytest.fixture(params=["site", "trixie"], scope="module")
def either(request: pytest.FixtureRequest) -> Site:
    """Both of them, one after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Site)
    return found

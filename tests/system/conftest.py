"""One real site for the whole run, started as the README says; SLURM_GATEWAY_TEST_STATE names one that runs already."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.support import ROOT, Site, free_port, run_demo


def ours() -> list[str]:
    """Have the demo use this environment, if its users can reach it; else it makes its own, as it would for anyone."""
    reachable = all(folder.stat().st_mode & 0o001 for place in (Path(sys.executable).parent, ROOT) for folder in (place, *place.parents))
    return ["--python", sys.executable] if reachable else []


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if running := os.environ.get("SLURM_GATEWAY_TEST_STATE"):
        yield Site.at(Path(running))
        return
    folder = Path(tempfile.mkdtemp(prefix="sgw-", dir="/var/tmp"))
    folder.chmod(0o755)
    state = folder / "site"
    try:
        started = run_demo("up", "--state", str(state), "--port", str(free_port()), *ours(), check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        yield Site.at(state)
    finally:
        run_demo("down", "--state", str(state), check=False)
        shutil.rmtree(folder, ignore_errors=True)

"""One real site for the whole run, started as the README says; SLURM_GATEWAY_TEST_STATE names one that runs already."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.support import Site, free_port, run_demo


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if running := os.environ.get("SLURM_GATEWAY_TEST_STATE"):
        yield Site.at(Path(running))
        return
    folder = Path(tempfile.mkdtemp(prefix="sgw-", dir="/var/tmp"))
    folder.chmod(0o755)
    state = folder / "site"
    try:
        started = run_demo("up", "--state", str(state), "--port", str(free_port()), "--python", sys.executable, check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        yield Site.at(state)
    finally:
        run_demo("down", "--state", str(state), check=False)
        shutil.rmtree(folder, ignore_errors=True)

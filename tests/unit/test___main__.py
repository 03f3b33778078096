from __future__ import annotations

import subprocess
import sys

from gateway import __version__


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"slurm-gateway {__version__}\n"


def test_its_exit_code_is_the_commands() -> None:
    assert subprocess.run([sys.executable, "-m", "gateway", "fly"], capture_output=True, check=False).returncode == 2

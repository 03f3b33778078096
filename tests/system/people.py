"""People at their own machines: the commands with a folder of their own for what ``login`` keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.client.sites import Site as Known
from gateway.client.sites import Sites
from gateway.secret import Secret
from tests.system.support import Site

COMMAND = (sys.executable, "-m", "gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has signed in at ``site``; ``folder`` is their XDG_CONFIG_HOME."""

    site: Site
    user: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CONFIG_HOME": str(self.folder),
        }

    def run(self, *words: object, typed: str = "", timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [*COMMAND, *map(str, words)],
            input=typed,
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def start(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        """Start a command and leave it running; both of its streams are pipes."""
        return subprocess.Popen(
            [*COMMAND, *map(str, words)],
            env=self.environment | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def signed_in(site: Site, user: str, folder: Path, *, younger_than: float = 3600) -> Person:
    """Return ``user`` as ``login`` leaves them behind."""
    known = Known(url=site.told["url"], ca=site.told["ca_file"], username=user)
    Sites(folder / "slurm-gateway").keep("default", known, Secret(site.token(user, younger_than=younger_than).encode()))
    return Person(site=site, user=user, folder=folder)

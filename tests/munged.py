"""A real munged, as Debian has it, with a key of its own in a folder that every user may reach."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Somebody who is not root, in whose name root may act.
UID = os.getuid() or 4711


@dataclass(frozen=True, slots=True)
class Munged:
    """One that runs."""

    socket: Path

    def credential(self, payload: bytes, *options: str, uid: int = UID) -> str:
        """Return a credential that this Unix user has made; only root can act for another."""
        command = ["munge", f"--socket={self.socket}", *options]
        user = uid if os.getuid() == 0 else None
        done = subprocess.run(command, input=payload, capture_output=True, check=True, timeout=10, user=user, group=user, cwd="/")
        return done.stdout.decode().strip()


@contextlib.contextmanager
def munged() -> Iterator[Munged]:
    """Run one until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="munged-"))
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    files = {"socket": "socket", "key-file": "key", "seed-file": "seed", "log-file": "log", "pid-file": "pid"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    try:
        server = subprocess.Popen(["/usr/sbin/munged", "--foreground", *options], stderr=subprocess.DEVNULL)
        try:
            running = Munged(folder / "socket")
            deadline = time.monotonic() + 10
            while not _answers(running):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
            yield running
        finally:
            server.terminate()
            server.wait(10)
    finally:
        shutil.rmtree(folder)


def _answers(running: Munged) -> bool:
    return running.socket.exists() and not subprocess.run(["munge", "-n", f"--socket={running.socket}"], capture_output=True, check=False).returncode

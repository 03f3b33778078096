"""Files and directories that belong to one user, whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path


def owned_directory(path: Path, owner: int, *, group: int | None = None, mode: int = 0o700) -> Path:
    """Make a directory, or mend owner and mode of the one that is there."""
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, owner, owner if group is None else group)
    path.chmod(mode)
    return path


def owned_file(path: Path, content: bytes, owner: int, mode: int = 0o400) -> Path:
    """Replace a file in one go: a reader sees the old or the new one, a crash leaves one of them, and nobody else ever sees either."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), owner, owner)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path

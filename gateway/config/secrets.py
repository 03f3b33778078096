"""Files that hold secrets: only ones that nobody else may read, and into a type that never shows them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gateway.secret import Secret

_MAX_SECRET = 64 * 1024


class SecretFileError(Exception):
    """A secret file is missing, unreadable, empty, too large, or open to others; the text says which and what to do."""


def read_secret(path: Path) -> Secret:
    """Return the raw bytes of ``path``, a trailing newline included; raise SecretFileError unless it is ours or root's alone.

    The mode is asked of the open descriptor, so the file that was judged is the file that is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _read(descriptor, path)
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> Secret:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SecretFileError(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        if status.st_mode & 0o077:
            raise SecretFileError(f"{path} may be used by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 0400 it")
        # Root's own commands work on the files of the gateway's user.
        if os.geteuid() != 0 and status.st_uid not in {0, os.geteuid()}:
            raise SecretFileError(f"{path} belongs to uid {status.st_uid}, who could change it: chown it to uid {os.geteuid()} or root")
        value = file.read(_MAX_SECRET + 1)
    if not value:
        raise SecretFileError(f"{path} is empty")
    if len(value) > _MAX_SECRET:
        raise SecretFileError(f"{path} is larger than {_MAX_SECRET} bytes")
    return Secret(value)


def write_new_secret(path: Path, content: bytes) -> bool:
    """Write ``content`` to ``path`` (mode 0600) unless something is there; tell whether it was written.

    The file appears whole or not at all: it is written beside and linked into place. Raises OSError.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True

"""Files that are their owner's alone: written so that nobody else can read them at any moment, and read only if nobody else can have."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.client.errors import GatewayError

MOST = 1024 * 1024
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")
_LEFT_BEHIND = 60.0
"""Seconds after which a temporary file is nobody's any more."""


def read(file: Path) -> bytes:
    """Return what is in a file of ours that nobody else may read or can have put there; raise FileNotFoundError, GatewayError."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(file)) from None
    except OSError as error:
        raise _distrusted(file, "is a symbolic link" if file.is_symlink() else f"cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _distrusted(file, "is no file")
        if found.st_uid != os.geteuid():
            raise _distrusted(file, "belongs to somebody else")
        if found.st_nlink > 1:
            raise _distrusted(file, "has a second name (a hard link)")
        if stat.S_IMODE(found.st_mode) & 0o077:
            hint = f"chmod 600 {file}; then sign in again, for others may have it."
            raise GatewayError(f"{file} may be read by others", hint=hint, reason="bad_file")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(MOST)
    finally:
        os.close(handle)


def create(file: Path, content: bytes) -> None:
    """Make a file that is not there yet, and have it on the disk; raise OSError, and leave nothing behind."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o600)  # whatever the umask
            stream.write(content)
            stream.flush()
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            file.unlink()
        raise


def replace(files: Mapping[Path, bytes], *, without: Path | None = None) -> None:
    """Put files in the place of others, each at once, in this order, when all are on the disk; ``without`` is removed before. Raise GatewayError."""
    ready: list[tuple[Path, Path]] = []
    try:
        for file, content in files.items():
            temporary = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
            create(temporary, content)
            ready.append((temporary, file))
        if without is not None:
            without.unlink(missing_ok=True)
        for temporary, file in ready:
            temporary.replace(file)
    except OSError as error:
        raise unwritable(next(iter(files)), error) from error
    finally:
        for temporary, _ in ready:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def own(folder: Path) -> None:
    """Have a folder that is ours and that nobody else may look into; raise GatewayError."""
    try:
        _look_at_owner(folder)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(None, "it is no folder")
        if found.st_uid != os.geteuid():
            raise PermissionError(None, "it belongs to somebody else")
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise unwritable(folder, error) from error


def _look_at_owner(folder: Path) -> None:
    """Raise PermissionError where folders would have to be made in a folder of somebody else's: with sudo and their HOME it would be ours then."""
    there = next(part for part in folder.absolute().parents if part.exists())
    if not folder.exists() and there.stat().st_uid not in {os.geteuid(), 0}:
        raise PermissionError(None, f"{there} belongs to somebody else")


def sweep(folder: Path) -> None:
    """Remove what somebody who was killed as they wrote has left behind: there may be a token in it."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_BEHIND:
                Path(entry).unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, patience: float) -> Iterator[None]:
    """Keep others who do the same out until the end of the block; raise GatewayError if they do it for longer than ``patience`` seconds."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(file, error) from error
    try:
        _take(lock, file, time.monotonic() + patience)
        yield
    finally:
        os.close(lock)


def unwritable(file: Path, error: OSError) -> GatewayError:
    """Return the error for a file that cannot be written."""
    hint = "Set XDG_CONFIG_HOME to a folder of yours that you may write to, and that has room."
    return GatewayError(f"{file} cannot be written: {error.strerror}", hint=hint, reason="bad_file")


def _take(lock: int, file: Path, deadline: float) -> None:
    import fcntl  # noqa: PLC0415 - who reads needs no lock

    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                hint = "Another sign-in is keeping its token: run this again when it has ended."
                raise GatewayError(f"{file} is locked", hint=hint, reason="bad_file") from None
            time.sleep(0.02)
        except OSError:  # a file system without locks: each file is replaced at once all the same
            return
        else:
            return


def _distrusted(file: Path, what: str) -> GatewayError:
    return GatewayError(f"{file} {what}", hint="Look who put it there, remove it, and sign in again: slurm-gateway login", reason="bad_file")

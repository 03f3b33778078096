"""The job files in a queue's folder: which there are, which are whole, in which order, and where those go that cannot be submitted."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.client.errors import GatewayError, JobFileError

SUFFIXES = (".json", ".yaml", ".yml", ".sh", ".sbatch", ".slurm", ".job")
"""What a job file's name ends in; the output of jobs and much else may lie in the same folder."""
ASIDE = "set-aside"
REASON = ".reason.txt"
_DIGITS = re.compile(r"([0-9]+)")
# A name may have 255 bytes, and some are added to it.
_LONGEST = 235
# So much longer than a file has to be still do those behind it wait for one that is not.
_HOLDS_UP = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is called like a job file; ``ctime`` is in Unix seconds, ``regular`` is false for a folder, a pipe and the like."""

    file: str
    size: int
    mtime_ns: int
    ctime: float
    regular: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A look at the folder: the job files in their order, and the names of what is none."""

    files: tuple[Found, ...]
    others: tuple[str, ...] = ()


Key = Callable[[Found], tuple[object, ...]]


def by_name(found: Found) -> tuple[object, ...]:
    """Sort by name, numbers in it by their size: job2 before job10."""
    parts = _DIGITS.split(found.file)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], found.file


def by_time(found: Found) -> tuple[object, ...]:
    """Sort by when the file was last written."""
    return found.mtime_ns, *by_name(found)


ORDERS: dict[str, Key] = {"name": by_name, "time": by_time}


def is_job_file(name: str) -> bool:
    """Tell whether a file of this name is a job file, and not a hidden one or one that somebody writes or has edited."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def look(folder: Path, order: Key = by_name) -> Seen:
    """Return what is in the folder; raise GatewayError if it cannot be read."""
    files, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_job_file(entry.name):
                    found = _found(entry)
                    if found is not None:
                        files.append(found)
                elif not entry.name.startswith(".") and _is_file(entry):
                    others.append(entry.name)
    except OSError as error:
        raise GatewayError(
            f"{folder} cannot be read: {error.strerror}", hint="Name a folder with job files: slurm-gateway queue DIR", reason="folder_unreadable"
        ) from error
    return Seen(files=tuple(sorted(files, key=order)), others=tuple(sorted(others)))


def _found(entry: os.DirEntry[str]) -> Found | None:
    try:
        told = entry.stat()
    except OSError:
        # Wherever a link leads, that is not there, or not for us: for whoever reads it to say.
        try:
            told = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None  # it has gone meanwhile
    return Found(file=entry.name, size=told.st_size, mtime_ns=told.st_mtime_ns, ctime=told.st_ctime, regular=stat.S_ISREG(told.st_mode))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


class Stillness:
    """Tells which files nobody is writing any more: neither their size nor their times have changed for ``seconds``.

    The clock of the machine that has the folder may be another one, so what has been watched for long enough counts as well.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, tuple[tuple[int, int], float, float]] = {}

    def still(self, files: Iterable[Found], *, wall: float, now: float) -> tuple[list[Found], float | None]:
        """Return those that are still, in their order, and in how many seconds to look again, None for not.

        ``wall`` is the time in Unix seconds, ``now`` that of a clock that is never set. One that is written to holds up those behind it for a while.
        """
        before, self._since = self._since, {}
        still: list[Found] = []
        again: list[float] = []
        held_up = False
        for found in files:
            mark = (found.size, found.mtime_ns)
            seen, since, first = before.get(found.file, (mark, now, now))
            if seen != mark:
                since = now
            self._since[found.file] = (mark, since, first)
            left = self._seconds - (now - since if seen != mark else max(wall - found.ctime, now - since))
            if left > 0:
                again.append(left)
                held_up = held_up or now - first < _HOLDS_UP * self._seconds
            elif not held_up:
                still.append(found)
        return still, min(again, default=None)


def content(folder: Path, file: str, largest: int) -> bytes | None:
    """Return what is in a job file, None if it is gone; raise JobFileError if it is none that could be submitted."""
    try:
        handle = os.open(folder / file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer must not be waited for
    except FileNotFoundError:
        if not os.path.lexists(folder / file):
            return None
        raise JobFileError(f"{file} is a link to nothing", hint="Put the job file itself here.") from None
    except OSError as error:
        raise JobFileError(f"{file} cannot be read: {error.strerror}", hint="Make it readable, and put it back.") from error
    try:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode):
            raise JobFileError(f"{file} is no file", hint="Put job files here: JSON, YAML or batch scripts.")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            found = stream.read(largest + 1)
    except OSError as error:
        raise JobFileError(f"{file} cannot be read: {error.strerror}", hint="Put it back when it can.") from error
    finally:
        os.close(handle)
    if len(found) > largest:
        hint = "Put large data into files on the cluster and name them in the job."
        raise JobFileError(f"{file} has {told.st_size} bytes; {largest} are the most", hint=hint)
    if not found.strip():
        raise JobFileError(f"{file} is empty", hint="Write a job into it: 'slurm-gateway submit --help' says in which forms.")
    return found


def place_aside(folder: Path, file: str) -> str:
    """Return a name under which ``file`` can be set aside without anything being written over."""
    short = os.fsdecode(os.fsencode(file)[:_LONGEST])
    names = [short, *(f"{short}.{number}" for number in range(1, 10_000))]
    aside = folder / ASIDE
    return next((name for name in names if not any(map(os.path.lexists, (aside / name, aside / f"{name}{REASON}")))), names[-1])


def put_aside(folder: Path, file: str, to: str, text: str) -> None:
    """Move ``file`` away and put the reason beside it; done a second time, after a crash, it is done once. Raise GatewayError."""
    aside = folder / ASIDE
    try:
        aside.mkdir(exist_ok=True)
        with (aside / f"{to}{REASON}").open("w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.lexists(folder / file) and not os.path.lexists(aside / to):
            (folder / file).rename(aside / to)
        # What is written down as set aside must not be back after a power cut: it would be taken for a file that somebody has put back.
        sync(aside)
        sync(folder)
    except OSError as error:
        hint = f"{ASIDE} has to be a folder that the queue may write to, on the file system of the job files. Start it again then."
        raise GatewayError(f"{file} cannot be moved to {aside}: {error.strerror}", hint=hint, reason="folder_unwritable") from error


def sync(folder: Path) -> None:
    """Have what was made, moved or removed in a folder outlive a power cut, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EBADF}:  # some file systems know no fsync of a folder
            raise
    finally:
        os.close(handle)

"""Reading a trail back: its files in their order, each line by line in bounded memory, whatever stands in them."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from gateway.observe.audit import chain
from gateway.observe.audit.file import head_path, lock
from gateway.observe.audit.head import SIZE, Head, Seal, decode
from gateway.observe.audit.keys import AuditKey

# Longer lines are none of the gateway's; of such a one only the hash is kept.
LONGEST = 1024 * 1024
_PEEKED = 64
_PATIENCE = 5.0
_GZIP = b"\x1f\x8b"
_READ_ERRORS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLine:
    """One line of a file; ``data`` is None when it is longer than any line of the gateway's."""

    file: str
    number: int
    data: bytes | None
    digest: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.file}:{self.number}"


@dataclass(slots=True, kw_only=True)
class TrailFile:
    """An open file of the trail, as long as it was when it was opened. ``broken`` says why it could not be read to its end."""

    name: str
    size: int
    descriptor: int = field(repr=False)
    packed: bool = False
    trail: str | None = None
    seq: int | None = None
    time: str = ""
    broken: str | None = None

    def lines(self) -> Iterator[RawLine]:
        """Yield the lines; may be called again."""
        try:
            with self._opened() as file:
                yield from _lines_of(file, self.name, None if self.packed else self.size)
        except _READ_ERRORS as error:
            self.broken = f"cannot be read to its end: {error.strerror if isinstance(error, OSError) and error.strerror else 'it is damaged'}"

    def position(self) -> int:
        """Return how many bytes of the file were read."""
        return min(os.lseek(self.descriptor, 0, os.SEEK_CUR), self.size)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        with os.fdopen(self.descriptor, "rb", closefd=False) as file:
            if not self.packed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("IO[bytes]", unpacked)


@dataclass(slots=True, kw_only=True)
class Opened:
    """The files of a trail, oldest first, and what the head file of the newest said at the same moment (its ``seal`` None: none was looked for)."""

    files: list[TrailFile]
    head: Head | None = None
    seal: Seal | None = None
    head_name: str = ""

    def lines(self) -> Iterator[RawLine]:
        """Yield every line of every file."""
        for file in self.files:
            yield from file.lines()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what the lines say, those that are no JSON left out."""
        for line in self.lines():
            fields = chain.fields_of(line.data) if line.data is not None else None
            if fields is not None:
                yield fields

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            os.close(file.descriptor)


def siblings(path: Path) -> list[Path]:
    """Return the trail's file and those that it was before it was rotated, as logrotate and ``audit rotate`` name them."""
    pattern = re.compile(re.escape(path.name) + r"(?:[.-][0-9][0-9TZ._-]*)?(?:\.gz)?")
    return sorted(found for found in path.parent.iterdir() if pattern.fullmatch(found.name) and found.is_file()) if path.parent.is_dir() else []


def open_trail(paths: Iterable[Path], key: AuditKey | None, *, headed: Path | None) -> Opened:
    """Open files, and the head file of ``headed``, at one moment, for which the gateway waits; raise OSError.

    ``headed`` is the file that the gateway writes. Whatever is written later is not looked at.
    """
    opened = Opened(files=[])
    with contextlib.ExitStack() as undo:
        undo.callback(opened.close)
        with _locked(headed) as descriptor:
            opened.files += [_open(path) for path in paths]
            if headed is not None:
                opened.head_name = str(head_path(headed))
                opened.head, opened.seal = decode(os.pread(descriptor, SIZE, 0), key) if descriptor is not None else (None, Seal.MISSING)
        for file in opened.files:
            _peek(file)
        opened.files[:] = _ordered(opened.files)
        undo.pop_all()
    return opened


@contextlib.contextmanager
def _locked(headed: Path | None) -> Iterator[int | None]:
    """Keep writers away for a moment: yield the head file's descriptor, or None where there is none."""
    try:
        descriptor = os.open(head_path(headed), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK) if headed is not None else None
    except FileNotFoundError:
        descriptor = None
    try:
        if descriptor is not None:
            lock(descriptor, fcntl.LOCK_SH, _PATIENCE)
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> TrailFile:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "is no plain file", str(path))  # noqa: TRY301 - closed below, whatever went wrong
        return TrailFile(name=str(path), size=status.st_size, descriptor=descriptor, packed=os.pread(descriptor, 2, 0) == _GZIP)
    except BaseException:
        os.close(descriptor)
        raise


def _peek(file: TrailFile) -> None:
    """Find out where a file belongs: which chain, and the number and time of the first line of it."""
    for line, _ in zip(file.lines(), range(_PEEKED), strict=False):
        linked = chain.parse(line.data) if line.data is not None else None
        if linked is None:
            continue
        if file.seq is None:
            file.seq, file.time = linked.seq, linked.text("time")
        if linked.is_head:
            file.trail = linked.text("trail")
            return


def _ordered(files: list[TrailFile]) -> list[TrailFile]:
    """Return files without a chain first, then chain by chain, each by its numbers."""
    chained = [file for file in files if file.seq is not None]
    known = {file.trail for file in chained if file.trail is not None}
    only = next(iter(known)) if len(known) == 1 else None
    begun = {trail: min(file.time for file in chained if (file.trail or only) == trail) for trail in known}

    def rank(file: TrailFile) -> tuple[bool, str, str, int]:
        trail = file.trail or only or ""
        return (file.seq is not None, begun.get(trail, ""), trail, file.seq or 0)

    return sorted(files, key=rank)


def _lines_of(file: IO[bytes], name: str, size: int | None) -> Iterator[RawLine]:
    left, number = size if size is not None else 2**63, 0
    while left > 0 and (piece := file.readline(min(LONGEST, left))):
        number += 1
        left -= len(piece)
        hashed, data = hashlib.sha256(piece), piece
        long = False
        while not piece.endswith(b"\n") and left > 0 and (piece := file.readline(min(LONGEST, left))):
            left -= len(piece)
            hashed.update(piece)
            long = True
        yield RawLine(file=name, number=number, data=None if long else data, digest=hashed.hexdigest())

"""The one chain that several processes write: a file, the files it was before it was rotated, and FILE.head, which is also the lock.

Every line is written under the lock (flock(2)), so that numbers and hashes follow each other whoever writes. Under the lock it is also seen
whether the path still is the file that is open: after it was moved away (logrotate), or emptied (copytruncate), the chain goes on in a new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import AuditUnavailable
from gateway.observe.audit import chain
from gateway.observe.audit.head import SIZE, Head, Seal, Step, decode, encode, is_trail
from gateway.observe.audit.keys import AuditKey

# How long another process may hold the lock: one that was stopped must not stop everybody else for good.
_PATIENCE = 10.0
_BLOCK = 64 * 1024
# Longer lines than this are none of ours.
_LONGEST = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """The last line of a file, its newline added where it was missing: its hash, and what it is if it is of the chain."""

    line: str
    linked: chain.Linked | None
    trail: str | None


class ChainedFile:
    """Appends lines to the chain at ``path``; safe from every thread of every process. All methods raise AuditUnavailable."""

    def __init__(self, path: Path, key: AuditKey, *, clock: Callable[[], float] = time.time, patience: float = _PATIENCE) -> None:
        self._path = path
        self._key = key
        self._clock = clock
        self._patience = patience
        self._mutex = threading.Lock()
        self._noted: tuple[bytes, Head] | None = None
        with _mapped(path):
            self._file = open_own(path)
            self._head = open_own(head_path(path))

    def append(self, lines: Sequence[bytes]) -> None:
        """Append the lines of events, in one write. Either all of them are in the file afterwards, or none."""
        with self._held():
            self._put(self._settled(), lines)

    def sign(self, cause: str) -> Head | None:
        """Append a signed head if there are lines since the last one; return the end of the chain, None while nothing was ever written."""
        with self._held():
            head = self._settled()
            if head.seq and (head.seq != head.signed or head.due not in {None, chain.FILE}):
                head = self._put(replace(head, due=head.due or cause), ())
            return head if head.seq else None

    def rotate(self) -> Path | None:
        """Sign the head, give the file a name with the time, and begin the next; return that name, None when there is nothing in the file."""
        with self._held():
            head = self._settled()
            if os.fstat(self._file).st_size == 0:
                return None
            self._put(replace(head, due=head.due or chain.ROTATION), ())
            name = _unused(self._path, datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%dT%H%M%SZ"))
            self._path.rename(name)
            self._put(self._settled(), ())
            return name

    def reopen(self) -> None:
        """Open the file anew, if it was moved away; every write does so too."""
        with self._held():
            self._follow()

    def close(self) -> None:
        """Close."""
        os.close(self._file)
        os.close(self._head)

    # The lock.

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with self._mutex, _mapped(self._path):
            self._lock()
            try:
                yield
            finally:
                fcntl.flock(self._head, fcntl.LOCK_UN)

    def _lock(self) -> None:
        """Lock the head file that is at its path now: one that was replaced is no lock any more."""
        path = head_path(self._path)
        while True:
            lock(self._head, fcntl.LOCK_EX, self._patience)
            if _is_at(self._head, path):
                return
            fresh = open_own(path)
            os.close(self._head)
            self._head = fresh

    # Finding the end of the chain.

    def _settled(self) -> Head:
        """Return the end of the chain in the file that is at the path now; whatever is not as it was left makes a signed head due."""
        head, seal = self._read_head()
        if head is not None and head.next is not None and seal is Seal.GOOD:
            head = self._finished(head, head.next)
        self._follow()
        status = os.fstat(self._file)
        if head is None or seal is not Seal.GOOD:
            return self._recovered(head, seal, status.st_size)
        if status.st_size == head.size and status.st_size:
            return replace(head, inode=status.st_ino)
        if status.st_size == 0:
            return replace(head, size=0, inode=status.st_ino, due=head.due or (chain.FILE if head.seq else chain.FIRST))
        if status.st_size > head.size:
            last = self._last(self._file)
            return replace(head, line=last.line, size=os.fstat(self._file).st_size, inode=status.st_ino, due=chain.FOREIGN)
        self._last(self._file)
        return replace(head, size=os.fstat(self._file).st_size, inode=status.st_ino, due=chain.CUT)

    def _read_head(self) -> tuple[Head | None, Seal]:
        raw = os.pread(self._head, SIZE, 0)
        # Mostly nobody has written since we did, and what we wrote ourselves need not be read and checked anew.
        return (self._noted[1], Seal.GOOD) if self._noted is not None and raw == self._noted[0] else decode(raw, self._key)

    def _follow(self) -> None:
        """Open what is at the path now, unless it is open already."""
        if not _is_at(self._file, self._path):
            fresh = open_own(self._path)
            os.close(self._file)
            self._file = fresh

    def _finished(self, head: Head, step: Step) -> Head:
        """Return the end of the chain after a process died while it wrote what leads to ``step``: nothing, all, or a part of it is in the file."""
        descriptor = self._with_inode(head.inode)
        if descriptor is None:
            return replace(head, next=None, due=chain.LOST)
        try:
            size = os.fstat(descriptor).st_size
            if size <= head.size:
                return replace(head, next=None)
            if size > step.size + 1:
                return replace(head, next=None)  # with more in the file than that, somebody else's lines are in it
            remains = os.pread(descriptor, size - head.size, head.size)
            if not remains.endswith(b"\n"):
                _write_all(descriptor, b"\n")
                remains += b"\n"
            return _walked(head, remains)
        finally:
            if descriptor != self._file:
                os.close(descriptor)

    def _with_inode(self, inode: int) -> int | None:
        """Return a descriptor of the file that had this inode, wherever it was moved to within its folder."""
        if os.fstat(self._file).st_ino == inode:
            return self._file
        for path in self._path.parent.glob(f"{self._path.name}*"):
            with contextlib.suppress(OSError):
                if path.stat(follow_symlinks=False).st_ino == inode:
                    return open_own(path, create=False)
        return None

    def _recovered(self, head: Head | None, seal: Seal, size: int) -> Head:
        """Return the end of the chain where the head file does not tell, or not under our key; a signed head says so for good."""
        inode = os.fstat(self._file).st_ino
        last = self._last(self._file) if size else None
        size = os.fstat(self._file).st_size
        if head is not None and seal is Seal.OTHER_KEY and (reached := _reached(head, last)):
            return replace(reached, size=size, inode=inode, due=chain.NEW_KEY)
        if last is not None and last.linked is not None and last.trail is not None:
            return Head(trail=last.trail, seq=last.linked.seq, line=last.line, size=size, inode=inode, due=chain.LOST)
        # Nothing of a chain: it begins here, after whatever stands here already.
        line = last.line if last is not None else chain.ZEROS
        due = chain.FIRST if seal is Seal.MISSING else chain.LOST
        return Head(trail=new_trail(self._path), seq=0, line=line, size=size, inode=inode, due=due)

    def _last(self, descriptor: int) -> _Last:
        """Return the last line of a file that is not empty, closed by a newline where it was not."""
        size = os.fstat(descriptor).st_size
        if os.pread(descriptor, 1, size - 1) != b"\n":
            _write_all(descriptor, b"\n")
            size += 1
        start = _start_of_last(descriptor, size)
        if size - start > _LONGEST:
            return _Last(line=_hash_of(descriptor, start, size), linked=None, trail=None)
        raw = os.pread(descriptor, size - start, start)
        first = chain.parse(os.pread(descriptor, _LONGEST, 0).partition(b"\n")[0] + b"\n")
        trail = first.text("trail") if first is not None and first.is_head else ""
        return _Last(line=chain.digest(raw), linked=chain.parse(raw), trail=trail if is_trail(trail) else None)

    # Writing.

    def _put(self, before: Head, lines: Sequence[bytes]) -> Head:
        """Write ``lines`` behind ``before``, a signed head first where one is due; return the new end of the chain."""
        data, after = self._chained(before, lines)
        step = Step(seq=after.seq, line=after.line, size=after.size)
        self._note(replace(before, next=step))
        try:
            written = os.write(self._file, data)
        except OSError:
            self._note(before)
            raise
        if written != len(data):
            # What was cut is taken back, under the same lock. Where that is not allowed the next writer closes it, and says so.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before.size)
                self._note(before)
            raise OSError(errno.ENOSPC, "the line was cut, is the disk full?")
        self._note(after)
        return after

    def _chained(self, before: Head, lines: Sequence[bytes]) -> tuple[bytes, Head]:
        seq, line, signed, pieces = before.seq, before.line, before.signed, []
        if before.due is not None:
            seq += 1
            pieces.append(self._signed(seq, line, before.trail, before.due))
            line, signed = chain.digest(pieces[-1]), seq
        for plain in lines:
            seq += 1
            pieces.append(chain.link(plain, seq, line))
            line = chain.digest(pieces[-1])
        data = b"".join(pieces)
        return data, replace(before, seq=seq, line=line, size=before.size + len(data), signed=signed, due=None)

    def _signed(self, seq: int, prev: str, trail: str, cause: str) -> bytes:
        return chain.head_line(seq=seq, prev=prev, at=self._clock(), trail=trail, cause=cause, key=self._key.fingerprint, sign=self._key.sign)

    def _note(self, head: Head) -> None:
        raw = encode(head, self._key)
        os.pwrite(self._head, raw, 0)
        self._noted = raw, head


def head_path(path: Path) -> Path:
    """Return where the end of the chain is kept."""
    return path.with_name(path.name + ".head")


def lock(descriptor: int, kind: int, patience: float) -> None:
    """Take flock(2) of that kind within ``patience`` seconds; raise OSError."""
    deadline, pause = time.monotonic() + patience, 0.0002
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(errno.ETIMEDOUT, "another process keeps the trail locked") from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.005)


def new_trail(path: Path) -> str:
    """Return the name of a new chain: random, and an end that tells which host's and which file's it is."""
    return f"{secrets.token_hex(8)}.{place(path)}"


def place(path: Path) -> str:
    """Return what the names of all chains of this host's file end in."""
    return hashlib.sha256(f"{os.uname().nodename}\0{path.absolute()}".encode()).hexdigest()[:16]


def open_own(path: Path, *, create: bool = True) -> int:
    """Open a file of the trail to read and append, made if need be, with mode 0600 and the owner of its folder; raise OSError.

    As root a link to another file is refused: the folder's owner must not lead root anywhere.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    if path.name.endswith(".head"):
        flags &= ~os.O_APPEND  # Linux's pwrite(2) appends to a file that was opened so, wherever it is told to write
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if os.geteuid() == 0 and stat.S_ISREG(status.st_mode):
        if status.st_nlink > 1:
            os.close(descriptor)
            raise OSError(errno.EMLINK, "has more than one name")
        # A command run by root must leave the file to the gateway's own user.
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditUnavailable(f"{path}: {error.strerror}") from error


def _walked(head: Head, remains: bytes) -> Head:
    """Return the end of the chain after those of the lines in ``remains`` that belong to it; the last may be torn."""
    seq, line, signed, due = head.seq, head.line, head.signed, None
    lines = [piece + b"\n" for piece in remains.split(b"\n")[:-1]]
    for number, raw in enumerate(lines, start=1):
        linked = chain.parse(raw)
        whole = linked is not None and linked.seq == seq + 1 and linked.prev == line
        line = chain.digest(raw)
        if whole:
            seq += 1
            signed = seq if linked is not None and linked.is_head else signed
        elif due is None:
            due = chain.TORN if number == len(lines) else chain.FOREIGN
    # A head that was due was the first of the lines; if not even that is whole, its reason stands where it weighs more.
    if due is not None and seq == head.seq and head.due in {chain.LOST, chain.FOREIGN, chain.CUT}:
        due = head.due
    return replace(head, seq=seq, line=line, size=head.size + len(remains), signed=signed, due=due, next=None)


def _reached(head: Head, last: _Last | None) -> Head | None:
    """Return the end of the chain by a head file that we cannot check, if the file ends as it says."""
    if last is None or last.line == head.line:
        return replace(head, next=None)
    if head.next is not None and last.line == head.next.line:
        return replace(head, seq=head.next.seq, line=head.next.line, next=None)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether the path leads to the file that is open."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)


def _write_all(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _start_of_last(descriptor: int, size: int) -> int:
    """Return where the last line begins, in a file that ends with a newline."""
    end = size - 1
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _hash_of(descriptor: int, start: int, end: int) -> str:
    hashed = hashlib.sha256()
    while start < end:
        piece = os.pread(descriptor, min(_LONGEST, end - start), start)
        if not piece:
            break
        hashed.update(piece)
        start += len(piece)
    return hashed.hexdigest()


def _unused(path: Path, when: str) -> Path:
    """Return a name that nobody has for a file that is put away."""
    name, number = path.with_name(f"{path.name}-{when}"), 0
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}-{when}.{number}")
    return name

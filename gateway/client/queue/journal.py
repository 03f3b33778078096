"""The records on disk: each is there for good before what it announces is done, and one process writes them at a time.

``lock`` is held for as long as a queue runs (flock(2): it ends with its process, however that ends), ``journal.jsonl`` has the records, ``KEY.body``
the bytes that are sent under a key, for as long as they may have to be sent again.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gateway.client.errors import GatewayError
from gateway.client.queue.folder import sync
from gateway.client.queue.ledger import Ledger
from gateway.client.queue.records import BrokenRecordError, Record, line, record_in

FOLDER = ".slurm-gateway-queue"
_JOURNAL, _LOCK, _BODY = "journal.jsonl", "lock", ".body"
# Whoever only looks holds the lock for less than a moment.
_TRIES, _PAUSE = 10, 0.05
_REPAIR = (
    "Look at that line. If the file is beyond repair, move the folder {} away: the next queue then submits every job file that is still there anew."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that runs a queue; None is what is not known."""

    pid: int | None = None
    host: str | None = None
    since: float | None = None

    def __str__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        return f"process {self.pid}{where}" if self.pid else "another process"


class Journal:
    """The journal of the queue in ``folder``, open for writing; ``ledger`` is what it says up to now."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / FOLDER
        self._lock = -1
        self._file = -1
        self._written = 0
        self._size = 0
        self.ledger = Ledger()
        self.skew = 0.0
        """How many seconds the clock of the folder's machine is ahead of ours."""

    def __enter__(self) -> Self:
        try:
            self._home.mkdir(mode=0o700, exist_ok=True)
            sync(self._home.parent)
            self._lock = self._locked()
            self._open()
        except OSError as error:
            self.close()
            raise _unwritable(self._home, error) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock; what was written stays."""
        for handle in (self._file, self._lock):
            if handle >= 0:
                os.close(handle)
        self._file = self._lock = -1

    def write(self, record: Record) -> None:
        """Write a record down, so that it outlives whatever happens next, and take it into the ledger; raise GatewayError where that fails."""
        if self._file < 0:
            raise GatewayError("the queue's journal is closed", hint="Start the queue again.", reason="journal_closed")
        content = line(record, self._written + 1)
        try:
            _write(self._file, content)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # else the next queue cuts off what is there of it
                os.ftruncate(self._file, self._size)
            self.close()
            raise _unwritable(self._home / _JOURNAL, error) from error
        self._written += 1
        self._size += len(content)
        self.ledger.apply(record)

    def still_there(self) -> None:
        """Make sure that the folder is the one that is locked; raise GatewayError if it was moved away, or another one put into its place."""
        try:
            if os.path.samestat((self._home / _LOCK).stat(), os.fstat(self._lock)):
                return
        except OSError:
            pass
        raise GatewayError(
            f"{self._home.parent} is not the folder any more that it was when the queue began",
            hint=f"Start the queue again on the folder that you mean; where it was is written down in that one's {FOLDER}.",
            reason="folder_replaced",
        )

    def keep_body(self, key: str, body: bytes) -> None:
        """Keep what is sent under a key."""
        file = self._body(key)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                _write(handle, body)
                os.fsync(handle)
            finally:
                os.close(handle)
            sync(self._home)
        except OSError as error:
            raise _unwritable(file, error) from error

    def body(self, key: str) -> bytes | None:
        """Return what is sent under a key, None where it is lost."""
        try:
            return self._body(key).read_bytes()
        except OSError:
            return None

    def drop_body(self, key: str) -> None:
        """Forget what was sent under a key that is settled."""
        with suppress(OSError):
            self._body(key).unlink()

    def _body(self, key: str) -> Path:
        return self._home / f"{key}{_BODY}"

    def _locked(self) -> int:
        handle = os.open(self._home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for _ in range(_TRIES):
                if _try_lock(handle, shared=False):
                    _sign(handle)
                    self.skew = os.fstat(handle).st_mtime - time.time()
                    return handle
                time.sleep(_PAUSE)
            holder = _holder(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        raise GatewayError(
            f"a queue runs on {self._home.parent} already: {holder}",
            hint=f"It takes what you put into the folder. 'slurm-gateway queue {self._home.parent} --status' shows how far it is.",
            reason="queue_runs",
        )

    def _open(self) -> None:
        file = self._home / _JOURNAL
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync(self._home)
        content = file.read_bytes()
        self.ledger, self._written, self._size = _replayed(file, content)
        if self._size < len(content):
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        self._clean()

    def _clean(self) -> None:
        """Remove the bodies of what is settled: a queue that was killed may have left some."""
        wanted = {self._body(entry.key).name for entry in self.ledger.open}
        for file in self._home.glob(f"*{_BODY}"):
            if file.name not in wanted:
                file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A queue as whoever only looks sees it: ``holder`` is None where none runs."""

    ledger: Ledger
    holder: Holder | None


def glance(folder: Path) -> Glance:
    """Look at the queue in ``folder`` without touching anything; raise GatewayError if the journal is broken or cannot be read."""
    home = folder / FOLDER
    file = home / _JOURNAL
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise GatewayError(
            f"{file} cannot be read: {error.strerror}", hint="Look at it as the user who runs the queue.", reason="journal_unreadable"
        ) from error
    ledger, _, _ = _replayed(file, content)
    return Glance(ledger=ledger, holder=_running(home / _LOCK))


def _running(lock: Path) -> Holder | None:
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _try_lock(handle, shared=True) else _holder(handle)
    except GatewayError:
        return None  # no queue runs where there are no locks
    finally:
        os.close(handle)


def _replayed(file: Path, content: bytes) -> tuple[Ledger, int, int]:
    """Return what a journal says, how many lines it has, and how many bytes of it are whole; a last line without its end was never announced."""
    ledger, number, size = Ledger(), 0, 0
    for number, part in _lines(content):
        try:
            ledger.apply(record_in(part, number))
        except BrokenRecordError as error:
            raise GatewayError(
                f"{file}, line {number}, is broken: {error}. Nothing was submitted.", hint=_REPAIR.format(file.parent), reason="journal_broken"
            ) from error
        size += len(part) + 1
    return ledger, number, size


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    parts = content.split(b"\n")
    parts.pop()  # what stands behind the last end of a line: nothing, or what a power cut has left
    yield from enumerate(parts, start=1)


def _try_lock(handle: int, *, shared: bool) -> bool:
    import fcntl  # noqa: PLC0415 - not there on Windows, where everything else of this package is

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise GatewayError(
            f"the folder cannot be locked: {error.strerror}",
            hint="Two queues on one folder would submit all twice, so none runs where they cannot tell. Put the job files on another file system, "
            "or have this one mounted with locks (Lustre: -o flock; NFS: with lockd).",
            reason="journal_unlockable",
        ) from error
    return True


def _sign(handle: int) -> None:
    """Say in the lock who holds it."""
    os.ftruncate(handle, 0)
    _write(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}).encode())


def _holder(handle: int) -> Holder:
    try:
        tree: Any = json.loads(os.pread(handle, 4096, 0))
    except (OSError, ValueError):
        tree = None
    if not isinstance(tree, dict):
        return Holder()
    pid, host, since = tree.get("pid"), tree.get("host"), tree.get("since")
    return Holder(
        pid=pid if isinstance(pid, int) else None,
        host=host if isinstance(host, str) else None,
        since=float(since) if isinstance(since, (int, float)) else None,
    )


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _unwritable(path: Path, error: OSError) -> GatewayError:
    return GatewayError(
        f"{path} cannot be written: {error.strerror or error}",
        hint="The queue writes down what it does before it does it. Make room, or let it write there, and start it again: it goes on where it was.",
        reason="journal_unwritable",
    )

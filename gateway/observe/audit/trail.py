"""What the gateway writes to: each event is on the file before the answer goes out, whatever waits at once goes in one write."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from gateway.errors import AuditUnavailable
from gateway.observe.audit import chain
from gateway.observe.audit.event import Event
from gateway.observe.audit.file import ChainedFile, open_own
from gateway.observe.audit.head import Head
from gateway.observe.audit.keys import AuditKey

_BATCH = 256


class _Lines(Protocol):
    """Where lines go. Methods raise AuditUnavailable."""

    def append(self, lines: Sequence[bytes]) -> None:
        """Append all lines or none."""

    def sign(self, cause: str) -> Head | None:
        """Sign what is there."""
        ...

    def rotate(self) -> Path | None:
        """Put the file away and begin the next."""
        ...

    def reopen(self) -> None:
        """Open anew what was moved away."""

    def close(self) -> None:
        """Close."""


class AuditTrail:
    """Appends events to the chain in a file (mode 0600); unchained without a ``key`` and where it is no plain file, or to standard error."""

    def __init__(self, path: Path | None, key: AuditKey | None = None) -> None:
        self._lines: _Lines = _Plain(path) if key is None or path is None or _is_special(path) else ChainedFile(path, key)
        self.failing = False
        # One thread: lines keep their order, and a slow disk holds up no loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._waiting: deque[tuple[bytes, Future[None]]] = deque()

    async def write(self, event: Event) -> None:
        """Append ``event``; return when the kernel has it. Raises AuditUnavailable."""
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # whoever goes away meanwhile takes no line back
        self._waiting.append((event.line(), done))
        self._thread.submit(self._write_waiting)
        await asyncio.wrap_future(done)

    def write_now(self, event: Event) -> None:
        """Append ``event`` from this thread, where there is no loop or no time for one. Raises AuditUnavailable."""
        self._append([event.line()])

    async def require(self) -> None:
        """Raise AuditUnavailable while the trail cannot be written to: asked before something is done that has to be in it.

        After a failure only a line that is written shows that there is room again.
        """
        if self.failing:
            await self.write(Event(event="trail_resumed", at=time.time()))

    async def sign(self) -> Head | None:
        """Sign the head of the chain if there are lines since it was signed last; return the end of the chain, if any. Raises AuditUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._lines.sign, chain.INTERVAL)

    def rotate(self) -> Path | None:
        """Put the file away and begin the next; return its new name, None when there was nothing in it. Raises AuditUnavailable."""
        return self._lines.rotate()

    def reopen(self) -> None:
        """Open the file anew, after it was moved away."""
        self._lines.reopen()

    def close(self) -> None:
        """Write what waits, sign it, and close."""
        self._thread.shutdown(wait=True)
        with contextlib.suppress(AuditUnavailable):
            self._lines.sign(chain.END)
        self._lines.close()

    def _write_waiting(self) -> None:
        """Write everything that waits by now; the first of several calls finds the lines of all."""
        batch: list[tuple[bytes, Future[None]]] = []
        with contextlib.suppress(IndexError):
            while len(batch) < _BATCH:
                batch.append(self._waiting.popleft())
        if not batch:
            return
        try:
            self._append([line for line, _ in batch])
        except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait for it get it
            for _, done in batch:
                done.set_exception(error)
        else:
            for _, done in batch:
                done.set_result(None)

    def _append(self, lines: Sequence[bytes]) -> None:
        try:
            self._lines.append(lines)
        except AuditUnavailable:
            self.failing = True
            raise
        # Set once it is known: a write under way on the other thread is no failure.
        self.failing = False


class _Plain:
    """Lines as they are, each batch in one write, so that several processes may share the file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _open(path)
        self._cut = False
        self._mutex = threading.Lock()

    def append(self, lines: Sequence[bytes]) -> None:
        with self._mutex:
            # What was cut short before does not take this line along.
            data = (b"\n" if self._cut else b"") + b"".join(lines)
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                raise AuditUnavailable(f"audit: {error.strerror}") from error
            self._cut = written != len(data)
            if self._cut:
                raise AuditUnavailable("audit: the line was cut, is the disk full?")

    def sign(self, cause: str) -> None:
        """Do nothing: there is no chain."""

    def rotate(self) -> None:
        raise AuditUnavailable("audit: only a chained trail in a plain file is rotated")

    def reopen(self) -> None:
        fresh = _open(self._path)
        with self._mutex:
            old, self._descriptor = self._descriptor, fresh
        if self._path is not None:
            os.close(old)

    def close(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)


def _open(path: Path | None) -> int:
    if path is None:
        return sys.stderr.fileno()
    try:
        return open_own(path)
    except OSError as error:
        raise AuditUnavailable(f"{path}: {error.strerror}") from error


def _is_special(path: Path) -> bool:
    """Tell whether there is something at ``path`` that is no plain file; a link is refused when it is opened."""
    try:
        return not stat.S_ISREG(path.stat(follow_symlinks=False).st_mode)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise AuditUnavailable(f"{path}: {error.strerror}") from error

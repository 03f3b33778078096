"""The audit trail: one JSON line for each sign-in, refusal and changing request, on the file before the answer goes out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import AuditUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened: ``event`` is ``sign_in``, ``sign_out``, ``refusal``, ``request``, ``enrol`` or ``disenrol``; never a secret.

    Of sessions and tokens: ``step_up``, ``session_ended``, ``sessions_ended``, ``token_created`` and ``token_ended``; of throttling: ``unlock``.
    ``target`` is the id of what was acted on, ``name`` and ``scopes`` are a personal token's.
    """

    event: str
    at: float
    request_id: str | None = None
    user: str | None = None
    address: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    reason: str | None = None
    cause: str | None = None
    job_id: int | None = None
    session: str | None = None
    factor: str | None = None
    target: str | None = None
    name: str | None = None
    scopes: tuple[str, ...] | None = None

    def line(self) -> bytes:
        """Return the event as one line of ASCII JSON, empty fields left out; json escapes whatever could break a line."""
        fields = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None and name != "at"}
        stamp = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": stamp, **fields}, separators=(",", ":")).encode("ascii") + b"\n"


class AuditTrail:
    """Appends events to a file (mode 0600), or to standard error when there is none; each line in one write, so that workers share it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _open(path)
        self.failing = False
        self._cut = False
        # One thread: lines keep their order, and a slow disk holds up no loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")

    async def write(self, event: Event) -> None:
        """Append ``event``; return when the kernel has it. Raises AuditUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.write_now, event)

    def write_now(self, event: Event) -> None:
        """Append ``event`` from this thread, where there is no loop or no time for one. Raises AuditUnavailable."""
        # What was cut short before does not take this line along.
        line = (b"\n" if self._cut else b"") + event.line()
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self.failing = True
            raise AuditUnavailable(f"audit: {error.strerror}") from error
        # Set once it is known: a write under way on the other thread is no failure.
        self.failing = self._cut = written != len(line)
        if self.failing:
            raise AuditUnavailable("audit: the line was cut, is the disk full?")

    async def require(self) -> None:
        """Raise AuditUnavailable while the trail cannot be written to: asked before something is done that has to be in it.

        After a failure only a line that is written shows that there is room again.
        """
        if self.failing:
            await self.write(Event(event="trail_resumed", at=time.time()))

    def reopen(self) -> None:
        """Open the file anew, after it was moved away."""
        fresh = _open(self._path)
        old, self._descriptor = self._descriptor, fresh
        if self._path is not None:
            self._thread.submit(os.close, old)

    def close(self) -> None:
        """Write what waits and close."""
        self._thread.shutdown(wait=True)
        if self._path is not None:
            os.close(self._descriptor)


def _open(path: Path | None) -> int:
    if path is None:
        return sys.stderr.fileno()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            # A command run by root must leave the file to the gateway's own user.
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise AuditUnavailable(f"{path}: {error.strerror}") from error
    return descriptor

"""Looking at processes and signalling them, never hitting a stranger who got a number that was used before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number on the host, and when it began in clock ticks since boot (proc(5), field 22 of stat)."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Say whether it still runs."""
        return find(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal exactly this process; nothing happens when it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def end(self, number: signal.Signals, limit: float) -> bool:
        """Ask it to end, kill it after `limit` seconds; says whether it went on its own."""
        self.send(number)
        self.send(signal.SIGCONT)  # one that was stopped hears nothing else
        if wait_until(lambda: not self.alive(), limit):
            return True
        self.send(signal.SIGKILL)
        wait_until(lambda: not self.alive(), 10)
        return False

    def end_now(self) -> None:
        """Kill it and wait until it is gone."""
        self.send(signal.SIGKILL)
        wait_until(lambda: not self.alive(), 30)


def find(pid: int) -> Process | None:
    """Return the process that has this number now; one that has ended and waits to be buried counts as gone."""
    fields = _stat(pid)
    return Process(pid, int(fields[19])) if fields and fields[0] not in ("Z", "X") else None


def child_of(parent: int) -> Process | None:
    """Return a child of this process, if it has one."""
    for pid in _all():
        fields = _stat(pid)
        if fields and int(fields[1]) == parent:
            return find(pid)
    return None


def within(holder: Process, inner: int) -> Process | None:
    """Return the process that has the number `inner` in the holder's PID namespace."""
    space = _space(holder.pid)
    return next((find(pid) for pid in _all() if _inner(pid) == inner and _space(pid) == space), None)


def session_within(holder: Process, leader: Process) -> list[Process]:
    """Everything in the holder's PID namespace that is of the session which `leader` began, whether it still lives or not."""
    space = _space(holder.pid)
    found = (find(pid) for pid in _all() if _space(pid) == space and _stat(pid)[3:4] == [str(leader.pid)])
    return [process for process in found if process is not None]


def wait_until(condition: Callable[[], object], limit: float) -> bool:
    """Look again and again until the condition holds; False when `limit` seconds have gone by."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _all() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _space(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _inner(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), None)

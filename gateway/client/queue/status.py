"""How far a queue is, for whoever looks without disturbing it; and what it would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.client import jobfile
from gateway.client.errors import JobFileError
from gateway.client.queue import folder as folders
from gateway.client.queue.journal import Holder, glance
from gateway.client.queue.ledger import FREE, Entry, Ledger, Status
from gateway.client.queue.plan import Options

WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One file: ``status`` is ``waiting`` or a Status's word, ``reason`` and ``hint`` are there where something went wrong."""

    file: str
    status: str
    attempt: int = 0
    job_id: int | None = None
    state: str | None = None
    exit_code: int | None = None
    to: str | None = None
    reason: str | None = None
    hint: str | None = None
    at: float | None = None

    def tree(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All files, those in Slurm's hands and beyond in the order of their first submission, then those that wait in theirs."""

    lines: tuple[Line, ...]
    counts: Mapping[str, int]
    holder: Holder | None
    others: tuple[str, ...]


def report(folder: Path, options: Options) -> Report:
    """Look at a queue; raise GatewayError if its journal is broken."""
    seen = folders.look(folder, folders.ORDERS[options.order])
    glanced = glance(folder)
    lines = [_line(entry) for entry in (*glanced.ledger.unsettled, *glanced.ledger.entries.values()) if entry.status is not Status.WITHDRAWN]
    lines += [Line(file=found.file, status=WAITING) for found in waiting(glanced.ledger, seen.files)]
    return _report(lines, glanced.holder, seen.others)


def _report(lines: Sequence[Line], holder: Holder | None, others: tuple[str, ...]) -> Report:
    return Report(lines=tuple(lines), counts=Counter(line.status for line in lines), holder=holder, others=others)


def waiting(ledger: Ledger, files: Sequence[folders.Found]) -> list[folders.Found]:
    """Return the files that were not taken yet."""
    return [found for found in files if (entry := ledger.entries.get(found.file)) is None or entry.status in FREE]


def plan(folder: Path, options: Options) -> Report:
    """Return what a queue would do: each file that waits is read, and what would be set aside has the reason."""
    told = report(folder, options)
    lines = [_judged(folder, line, options.largest) if line.status == WAITING else line for line in told.lines]
    return _report(lines, told.holder, told.others)


def _judged(folder: Path, line: Line, largest: int) -> Line:
    try:
        content = folders.content(folder, line.file, largest)
        if content is not None:
            jobfile.read(content, line.file, directory=str(folder.absolute()))
    except JobFileError as error:
        return Line(file=line.file, status=Status.SET_ASIDE.value, reason=str(error), hint=error.hint)
    return line


def _line(entry: Entry) -> Line:
    return Line(
        file=entry.file,
        status=entry.status.value,
        attempt=entry.attempt,
        job_id=entry.job_id,
        state=entry.state,
        exit_code=entry.exit_code,
        to=entry.to,
        reason=entry.reason,
        hint=entry.hint,
        at=entry.at,
    )

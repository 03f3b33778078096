"""What follows from the records: where each file is, whose the queue is, and what is still open (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice

from gateway.client.queue.records import BrokenRecordError, Ended, Intended, Opened, Record, SetAside, SettingAside, Submitted, Withdrawn

UNKNOWN = "UNKNOWN"
"""The state of a job that nobody remembers."""


class Status(Enum):
    """Where a file is: on its way to Slurm, in Slurm, at its end, or put aside."""

    SENDING = "sending"
    IN_SLURM = "in_slurm"
    COMPLETED = "completed"
    FAILED = "failed"
    LEAVING = "leaving"
    SET_ASIDE = "set_aside"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({Status.SENDING, Status.IN_SLURM, Status.LEAVING})
"""What a queue that goes on has to bring to an end."""
FREE = frozenset({Status.SET_ASIDE, Status.UNKNOWN, Status.WITHDRAWN})
"""Whatever lies in the folder under such a name is another file, or one that was never submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one file; ``at`` is when its last record was written."""

    file: str
    status: Status
    at: float
    key: str = ""
    sha256: str = ""
    path: str = ""
    name: str | None = None
    attempt: int = 0
    size: int = 0
    mtime_ns: int = 0
    intended_at: float = 0.0
    job_id: int | None = None
    state: str | None = None
    exit_code: int | None = None
    to: str | None = None
    reason: str | None = None
    hint: str | None = None
    lost: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end."""
        return self.status in OPEN


class Ledger:
    """The files in the order in which they were first written down; ``apply`` takes the next record.

    ``past`` are those that were set aside before another file of their name came.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.owner: Opened | None = None
        self.entries: dict[str, Entry] = {}
        self._open: dict[str, Entry] = {}
        self.past: list[Entry] = []
        self._taken: dict[str, None] = {}
        self.job_ids: set[int] = set()
        for record in records:
            self.apply(record)

    @property
    def open(self) -> list[Entry]:
        """The entries that have not come to their end."""
        return list(self._open.values())

    def open_in(self, status: Status) -> list[Entry]:
        """Return the open entries that have this status."""
        return [entry for entry in self._open.values() if entry.status is status]

    @property
    def unsettled(self) -> list[Entry]:
        """Those of ``past`` that still want somebody's look: what was set aside and came back corrected, and completed, does not."""
        return [entry for entry in self.past if entry.status is not Status.SET_ASIDE or self.entries[entry.file].status is not Status.COMPLETED]

    @property
    def taken(self) -> Collection[str]:
        """The files that were submitted, in the order in which they were last."""
        return self._taken.keys()

    def last_taken(self, most: int) -> tuple[str, ...]:
        """Return the last of them."""
        return tuple(islice(reversed(self._taken), most))[::-1]

    @property
    def in_flight(self) -> int:
        """How many jobs are in Slurm, or may be."""
        return sum(entry.status is not Status.LEAVING for entry in self._open.values())

    def apply(self, record: Record) -> None:
        """Take in the next record; raise BrokenRecordError if it cannot follow those before."""
        if isinstance(record, Opened):
            if self.open and self.owner is not None and _whose(self.owner) != _whose(record):
                raise BrokenRecordError("it opens the queue for somebody else while files are open")
            self.owner = record
        elif isinstance(record, Intended):
            self._intend(record)
        elif isinstance(record, SettingAside):
            self._set_aside(record)
        else:
            self._put(_next(self._entry(record.file), record))
            if isinstance(record, Submitted):
                self.job_ids.add(record.job_id)
                self._taken.pop(record.file, None)
                self._taken[record.file] = None

    def _intend(self, record: Intended) -> None:
        before = self.entries.get(record.file)
        if before is not None and before.status in {Status.SENDING, Status.IN_SLURM, Status.LEAVING, Status.COMPLETED}:
            raise BrokenRecordError(f"it intends a file that is {before.status.value}")
        if before is not None and before.status in {Status.SET_ASIDE, Status.UNKNOWN}:
            self.past.append(before)
        entry = Entry(
            file=record.file,
            status=Status.SENDING,
            at=record.at,
            key=record.key,
            sha256=record.sha256,
            path=record.path,
            name=record.name,
            attempt=record.attempt,
            size=record.size,
            mtime_ns=record.mtime_ns,
            intended_at=record.at,
        )
        self._put(entry)

    def _put(self, entry: Entry) -> None:
        self.entries[entry.file] = entry
        if entry.is_open:
            self._open[entry.file] = entry
        else:
            self._open.pop(entry.file, None)

    def _set_aside(self, record: SettingAside) -> None:
        before = self.entries.get(record.file)
        if before is not None and before.status in {Status.IN_SLURM, Status.COMPLETED}:
            raise BrokenRecordError(f"it sets a file aside that is {before.status.value}")
        if before is not None and before.status in {Status.SET_ASIDE, Status.UNKNOWN}:
            self.past.append(before)
            before = None
        entry = before or Entry(file=record.file, status=Status.LEAVING, at=record.at)
        self._put(replace(entry, status=Status.LEAVING, at=record.at, to=record.to, reason=record.reason, hint=record.hint, lost=record.unknown))

    def _entry(self, file: str) -> Entry:
        entry = self.entries.get(file)
        if entry is None:
            raise BrokenRecordError("it is about a file that was not begun")
        return entry


def _next(entry: Entry, record: Withdrawn | Submitted | Ended | SetAside) -> Entry:
    """Return what a record makes of an entry."""
    if isinstance(record, SetAside):
        _expect(entry, Status.LEAVING)
        return replace(entry, status=Status.UNKNOWN if entry.lost else Status.SET_ASIDE, at=record.at)
    if isinstance(record, Ended):
        _expect(entry, Status.IN_SLURM)
        if record.job_id != entry.job_id:
            raise BrokenRecordError("it ends another job than the file's")
        well = record.state == "COMPLETED" and not record.exit_code
        status = Status.COMPLETED if well else Status.FAILED
        return replace(entry, status=status, at=record.at, state=record.state, exit_code=record.exit_code, reason=record.reason)
    _expect(entry, Status.SENDING)
    if record.key != entry.key:
        raise BrokenRecordError("it has another key than the intention before it")
    if isinstance(record, Submitted):
        return replace(entry, status=Status.IN_SLURM, at=record.at, job_id=record.job_id)
    return replace(entry, status=Status.WITHDRAWN, at=record.at, reason=record.reason)


def _expect(entry: Entry, status: Status) -> None:
    if entry.status is not status:
        raise BrokenRecordError(f"the file is {entry.status.value} before it, which is not {status.value}")


def _whose(opened: Opened) -> tuple[str, str | None, str]:
    return opened.url, opened.cluster, opened.username

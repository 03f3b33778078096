"""What a site remembers between commands, and the lock that lets one command at a time change it."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from .files import owned_file
from .layout import Layout
from .preconditions import DEFAULT_PORT
from .processes import Process
from .release import DEFAULT
from .trouble import Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A service as it was last started: its process, and what it was started from."""

    process: Process
    fingerprint: str


@dataclass(slots=True, kw_only=True)
class Record:
    """The site's memory. Secrets stand in it, so its file is root's alone."""

    port: int = DEFAULT_PORT
    ports: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    totp: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    release: str = DEFAULT
    """Whose Slurm it has: see `release`."""
    slurm_version: str = ""
    origins: list[str] = field(default_factory=list)
    """Whose web pages may call the gateway from a browser."""
    unfinished: bool = False
    """Whether a command was cut short: then there may be processes that nobody took note of."""
    complete: bool = False
    """Whether a job went through since the site was last raised."""
    holder: Process | None = None
    services: dict[str, Started] = field(default_factory=dict)


class Memory:
    """A record and its file; every change is on the disk, whole, before the next step begins."""

    def __init__(self, layout: Layout, record: Record) -> None:
        self.layout = layout
        self.record = record
        self._writing = threading.Lock()

    @contextmanager
    def change(self) -> Iterator[Record]:
        """Hold the record for changes; leaving writes it."""
        with self._writing:
            yield self.record
            owned_file(self.layout.record, (json.dumps(asdict(self.record), indent=1) + "\n").encode(), 0, 0o600)


def recall(layout: Layout) -> Memory:
    """Return the memory of the site in this directory, a fresh one where there is none yet."""
    try:
        document = json.loads(layout.record.read_text())
        return Memory(layout, _record(document))
    except FileNotFoundError:
        return Memory(layout, Record())
    except (OSError, ValueError, TypeError, KeyError) as cause:
        raise Trouble(f"{layout.record} cannot be read: {cause}.", hint=f"remove this demo and start afresh: rm -rf {layout.root}") from cause


def _record(document: dict[str, Any]) -> Record:
    holder = document.pop("holder")
    services = document.pop("services")
    return Record(
        **document,
        holder=Process(**holder) if holder else None,
        services={name: Started(process=Process(**row["process"]), fingerprint=row["fingerprint"]) for name, row in services.items()},
    )


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold the site's lock; the kernel gives it back however this command ends."""
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise Trouble(f"Another deploy/demo is at work on {layout.root}.", hint="wait until it is done, then try again.") from cause
        yield

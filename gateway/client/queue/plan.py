"""How a queue is to run, and the actions that it is made of (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.client.queue.folder import Found
from gateway.client.queue.ledger import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFailure:
    """What happens when a job fails: no more is submitted (``stop``), or its file is submitted again up to ``retries`` times."""

    stop: bool = False
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a queue runs: ``in_flight`` jobs in Slurm at most, times in seconds, ``largest`` is the most bytes of a job file.

    ``interval`` is between two routine looks, ``settle`` how long a file has to be still before it is taken, ``poll`` how often the folder is looked
    at besides being watched.
    """

    in_flight: int = 1
    order: str = "name"
    on_failure: OnFailure = field(default_factory=OnFailure)
    follow: bool = False
    interval: float = 30.0
    settle: float = 1.0
    poll: float = 5.0
    largest: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtFolder:
    """See which job files are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtJobs:
    """See how these jobs are."""

    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Read a file and intend to send it."""

    found: Found
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send what is intended, or ask what became of it."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Move away what is to be set aside."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Wait for something to happen, for so many seconds at most."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """There is nothing left to do."""


Action: TypeAlias = LookAtFolder | LookAtJobs | Take | Send | Leave | Sleep | Finish

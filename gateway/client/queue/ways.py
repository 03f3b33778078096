"""What a queue needs of the world: a way to the gateway, and the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.client.calls import Submitted
from gateway.client.cluster import Job
from gateway.client.queue.watching import Listener


class Ways(Protocol):
    """What a queue needs of a gateway; one call is one try, for the queue has a patience of its own."""

    @property
    def url(self) -> str:
        """The gateway's address."""
        ...

    @property
    def cluster(self) -> str | None:
        """The cluster, None for the gateway's default one."""
        ...

    @property
    def username(self) -> str:
        """Who we are."""
        ...

    @property
    def submission_path(self) -> str:
        """Where submissions go."""
        ...

    def submit(self, body: bytes, *, key: str | None = None) -> Submitted:
        """Submit a job once."""
        ...

    def job(self, job_id: int) -> list[Job]:
        """Return a job."""
        ...

    def jobs(self) -> list[Job]:
        """Return my jobs."""
        ...

    def recorded(self, since: float) -> Sequence[Mapping[str, Any]]:
        """Return what accounting knows of jobs since then (Unix seconds), as it tells it."""
        ...

    def sibling(self) -> Listener:
        """Return another way, for another thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Where the time comes from: ``wall`` in Unix seconds, ``now`` from a clock that is never set."""

    wall: Callable[[], float] = time.time
    now: Callable[[], float] = time.monotonic

"""The producer-consumer queue: the job files of a folder, submitted one after the other, each once, whatever happens in between.

``records`` (what is written down) → ``ledger`` (what follows from it), ``judging`` (whose fault an error is), ``folder`` (the job files), ``plan`` →
``engine`` (what to do next), ``outcome`` and ``searching`` (of jobs) know no clock and no network; ``journal`` (the records on disk), ``watching``
(who wakes it), ``ways`` → ``running`` (the queue) · ``telling`` (what it tells) → ``story`` (in the seed's words), ``status``.
"""

from __future__ import annotations

from gateway.client.queue.plan import OnFailure, Options
from gateway.client.queue.running import Queue
from gateway.client.queue.telling import QueueEvent

__all__ = ["OnFailure", "Options", "Queue", "QueueEvent"]

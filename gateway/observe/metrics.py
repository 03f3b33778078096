"""Metrics for Prometheus. With several workers each keeps its own in files of a shared folder, and any of them answers for all."""

from __future__ import annotations

import os
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A quick answer of slurmrestd's takes a millisecond, a list of 5,000 jobs a second or two.
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The gateway's counters; labels hold nothing that a client chooses freely."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("slurm_gateway_requests", "Requests answered.", ["kind", "method", "status"], registry=self._registry)
        self.refusals = Counter("slurm_gateway_refusals", "Requests that the gateway refused.", ["reason"], registry=self._registry)
        self.sign_ins = Counter("slurm_gateway_sign_ins", "Sign-ins that succeeded.", ["factor"], registry=self._registry)
        self.seconds = Histogram(
            "slurm_gateway_request_seconds",
            "From the head of a request to the end of its answer.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.reads = Counter(
            "slurm_gateway_reads",
            "Reads that may be shared, by how they were answered.",
            ["how"],
            registry=self._registry,
        )
        self.kept_bytes = Gauge("slurm_gateway_kept_bytes", "Bytes of answers that are held.", registry=self._registry, multiprocess_mode="livesum")
        self.listeners = Gauge(
            "slurm_gateway_listeners",
            "Streams of events and reads that wait.",
            ["kind"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.events_sent = Counter("slurm_gateway_events_sent", "Events sent, counted for each listener.", registry=self._registry)
        self.under_way = Gauge("slurm_gateway_requests_under_way", "Requests being served.", registry=self._registry, multiprocess_mode="livesum")
        self.upstream_refused = Counter(
            "slurm_gateway_upstream_refused",
            "Calls that were not sent to slurmrestd: full_waiting_per_user, full_waiting, waited_too_long or breaker_open.",
            ["cluster", "reason"],
            registry=self._registry,
        )
        self.upstream_taken = self._upstream("connections", "Connections to slurmrestd in use.")
        self.upstream_waiting = self._upstream("waiting", "Calls that wait, for a connection or for other calls of the same person.")
        self.upstream_held_back = self._upstream("held_back", "Those of them that wait for other calls of the same person.")
        self._connections = self._upstream("endpoint_connections", "Connections to one slurmrestd in use.", "endpoint")
        self._breaker = self._upstream(
            "breaker", "Whether a slurmrestd is asked: 0 yes, 1 once, to find out, 2 not for a while.", "endpoint", of_workers="livemax"
        )
        self._ailing = self._upstream(
            "ailing", "Whether a slurmrestd refuses what another one grants, and is not used.", "endpoint", of_workers="livemax"
        )

        self._answered: dict[tuple[str, str, int], Counter] = {}
        self._seconds: dict[str, Histogram] = {}
        self._reads: dict[str, Counter] = {}

    def answered(self, kind: str, method: str, status: int, seconds: float) -> None:
        """Count an answer and its time; ``kind`` and ``method`` are of a few values, ``status`` is HTTP's."""
        counter = self._answered.get((kind, method, status))
        if counter is None:
            counter = self._answered[(kind, method, status)] = self.requests.labels(kind, method, str(status))
        counter.inc()
        timed = self._seconds.get(kind)
        if timed is None:
            timed = self._seconds[kind] = self.seconds.labels(kind)
        timed.observe(seconds)

    def read(self, how: str) -> None:
        """Count a read that may be shared, by how it was answered."""
        counter = self._reads.get(how)
        if counter is None:
            counter = self._reads[how] = self.reads.labels(how)
        counter.inc()

    def endpoint(self, cluster: str, number: int, *, taken: int, state: int, ailing: bool) -> None:
        """Tell how the slurmrestd is that is the ``number``-th of its cluster's in the configuration, from 0; never its address."""
        self._connections.labels(cluster, str(number)).set(taken)
        self._breaker.labels(cluster, str(number)).set(state)
        self._ailing.labels(cluster, str(number)).set(ailing)

    def _upstream(self, name: str, help_text: str, *labels: str, of_workers: Literal["livesum", "livemax"] = "livesum") -> Gauge:
        return Gauge(f"slurm_gateway_upstream_{name}", help_text, ["cluster", *labels], registry=self._registry, multiprocess_mode=of_workers)

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format; of every worker, where they share a folder."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # prometheus_client leaves its constructor untyped
        return generate_latest(shared)

"""How a queue runs if nothing is said: as the seed did."""

from __future__ import annotations

from gateway.client.queue.plan import OnFailure, Options


def test_by_default_one_job_is_in_slurm_and_a_failure_stops_nothing() -> None:
    options = Options()
    assert (options.in_flight, options.order, options.follow, options.on_failure) == (1, "name", False, OnFailure(stop=False, retries=0))

"""What --json prints of an event."""

from __future__ import annotations

from gateway.client.queue.telling import QueueEvent


def test_an_event_has_what_belongs_to_its_kind_and_nothing_else() -> None:
    assert QueueEvent(kind="ended", at=1.0, file="a.json", job_id=90, state="COMPLETED", exit_code=0).tree() == {
        "event": "ended",
        "at": 1.0,
        "file": "a.json",
        "job_id": 90,
        "state": "COMPLETED",
        "exit_code": 0,
    }

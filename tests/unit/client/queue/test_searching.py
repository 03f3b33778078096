"""Looking for a job of which nobody knows whether it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.client.cluster import Job
from gateway.client.queue.ledger import Entry, Status
from gateway.client.queue.searching import Found, Sighting, choose, sightings

AT = 1_000_000.0
ENTRY = Entry(file="a.json", status=Status.SENDING, at=AT, name="n", intended_at=AT)
ONE = Sighting(job_id=90, name="n", submitted_at=AT + 5)


def test_the_only_one_is_it() -> None:
    assert choose(ENTRY, [ONE, ONE], set(), AT + 100) == Found(job_id=90)


@pytest.mark.parametrize(
    ("seen", "known", "why"),
    [
        ([], set(), 'no job "n" from that time was found, which does not prove that there was none'),
        ([replace(ONE, name="m")], set(), "no job"),
        ([replace(ONE, submitted_at=AT - 1000)], set(), "no job"),
        ([replace(ONE, submitted_at=AT + 1000)], set(), "no job"),
        ([ONE], {90}, "no job"),
        ([ONE, replace(ONE, job_id=91)], set(), "it may be one of these jobs: 90, 91"),
    ],
)
def test_otherwise_a_person_has_to_decide(seen: list[Sighting], known: set[int], why: str) -> None:
    found = choose(ENTRY, seen, known, AT + 100)
    assert found.job_id is None
    assert found.why.startswith(why)


def test_a_job_without_a_name_is_not_guessed_at() -> None:
    assert choose(replace(ENTRY, name=None), [ONE], set(), AT + 100).why == "the job has no name by which it could be looked for"


def test_slurmdbd_keeps_a_part_of_a_long_name() -> None:
    assert choose(replace(ENTRY, name="n" * 300), [replace(ONE, name="n" * 250)], set(), AT + 100).job_id == 90


def test_what_slurm_shows_and_what_is_on_record_is_read() -> None:
    shown = [Job.of({"job_id": 5, "job_state": "RUNNING", "name": "n", "submit_time": 7, "array_job_id": 4})]
    records: list[dict[str, Any]] = [
        {"job_id": 8, "name": "m", "user": "carol", "time": {"submission": {"set": True, "infinite": False, "number": 9}}, "array": {"job_id": 0}},
        {"job_id": 10, "name": "m", "user": "carol", "time": {"submission": 9}, "array": {"job_id": 6}, "het": {"job_id": 0}},
        {"job_id": 11, "name": "m", "user": "bob", "time": {"submission": 9}},
        {"job_id": None, "user": "carol"},
        {"job_id": 12, "user": "carol"},
    ]
    assert [(one.job_id, one.name, one.submitted_at) for one in sightings(shown, records, "carol")] == [
        (4, "n", 7.0),
        (8, "m", 9.0),
        (6, "m", 9.0),
        (12, "", 0.0),
    ]

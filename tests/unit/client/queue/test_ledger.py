"""What follows from records, and which cannot follow one another."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from gateway.client.queue.ledger import Ledger, Status
from gateway.client.queue.records import BrokenRecordError, Ended, Intended, Opened, Record, SetAside, SettingAside, Submitted, Withdrawn

OPENED = Opened(url="https://g", cluster=None, username="carol", at=0.0)
INTENDED = Intended(file="a", key="k", sha256="s", path="/p", name="n", attempt=1, size=1, mtime_ns=2, at=1.0)
AGAIN = Intended(file="a", key="k2", sha256="s", path="/p", name="n", attempt=2, size=1, mtime_ns=2, at=4.0)
SUBMITTED = Submitted(file="a", key="k", job_id=90, at=2.0)
ENDED = Ended(file="a", job_id=90, state="COMPLETED", exit_code=0, at=3.0)
FAILED = Ended(file="a", job_id=90, state="FAILED", exit_code=3, at=3.0)
WITHDRAWN = Withdrawn(file="a", key="k", reason="limit", at=2.0)
SETTING = SettingAside(file="a", to="a", reason="bad", hint="Do.", unknown=False, at=2.0)
SET = SetAside(file="a", to="a", at=3.0)
LOST = SettingAside(file="a", to="a", reason="lost", hint="Look.", unknown=True, at=2.0)


@pytest.mark.parametrize(
    ("records", "status", "in_flight", "open_files"),
    [
        ((INTENDED,), Status.SENDING, 1, 1),
        ((INTENDED, SUBMITTED), Status.IN_SLURM, 1, 1),
        ((INTENDED, SUBMITTED, ENDED), Status.COMPLETED, 0, 0),
        ((INTENDED, SUBMITTED, FAILED), Status.FAILED, 0, 0),
        ((INTENDED, SUBMITTED, FAILED, AGAIN), Status.SENDING, 1, 1),
        ((INTENDED, WITHDRAWN), Status.WITHDRAWN, 0, 0),
        ((INTENDED, WITHDRAWN, AGAIN), Status.SENDING, 1, 1),
        ((INTENDED, SETTING), Status.LEAVING, 0, 1),
        ((SETTING,), Status.LEAVING, 0, 1),
        ((SETTING, SET), Status.SET_ASIDE, 0, 0),
        ((SETTING, SET, INTENDED), Status.SENDING, 1, 1),
        ((SETTING, SET, SETTING, SET), Status.SET_ASIDE, 0, 0),
        ((INTENDED, LOST, SET), Status.UNKNOWN, 0, 0),
        ((INTENDED, SUBMITTED, FAILED, SETTING, SET), Status.SET_ASIDE, 0, 0),
    ],
    ids=str,
)
def test_records_say_where_a_file_is(records: tuple[Record, ...], status: Status, in_flight: int, open_files: int) -> None:
    ledger = Ledger((OPENED, *records))
    assert (ledger.entries["a"].status, ledger.in_flight, len(ledger.open)) == (status, in_flight, open_files)


@pytest.mark.parametrize(
    "records",
    [
        (SUBMITTED,),
        (ENDED,),
        (SET,),
        (WITHDRAWN,),
        (INTENDED, INTENDED),
        (INTENDED, ENDED),
        (INTENDED, SET),
        (INTENDED, SUBMITTED, INTENDED),
        (INTENDED, SUBMITTED, SUBMITTED),
        (INTENDED, SUBMITTED, SETTING),
        (INTENDED, SUBMITTED, WITHDRAWN),
        (INTENDED, SUBMITTED, ENDED, ENDED),
        (INTENDED, SUBMITTED, ENDED, INTENDED),
        (INTENDED, SUBMITTED, ENDED, SETTING),
        (INTENDED, Submitted(file="a", key="other", job_id=90, at=2.0)),
        (INTENDED, SUBMITTED, Ended(file="a", job_id=91, state="COMPLETED", exit_code=0, at=3.0)),
        (INTENDED, Opened(url="https://g", cluster=None, username="bob", at=2.0)),
        (INTENDED, Opened(url="https://g", cluster="other", username="carol", at=2.0)),
    ],
    ids=str,
)
def test_what_cannot_follow_is_broken(records: tuple[Record, ...]) -> None:
    ledger = Ledger((OPENED, *records[:-1]))
    with pytest.raises(BrokenRecordError):
        ledger.apply(records[-1])


def test_a_job_that_completed_with_another_exit_code_has_failed() -> None:
    ended = Ended(file="a", job_id=90, state="COMPLETED", exit_code=1, at=3.0)
    assert Ledger((INTENDED, SUBMITTED, ended)).entries["a"].status is Status.FAILED


def test_files_are_told_in_the_order_of_their_submission() -> None:
    others = [
        record
        for number, name in enumerate(("b", "c"))
        for record in (
            Intended(file=name, key=name, sha256="s", path="/p", name=None, attempt=1, size=1, mtime_ns=2, at=1.0),
            Submitted(file=name, key=name, job_id=100 + number, at=2.0),
        )
    ]
    ledger = Ledger((INTENDED, SUBMITTED, FAILED, *others, AGAIN, Submitted(file="a", key="k2", job_id=95, at=5.0)))
    assert list(ledger.taken) == ["b", "c", "a"]
    assert ledger.job_ids == {90, 95, 100, 101}


def test_what_was_set_aside_before_another_of_its_name_came_is_not_forgotten() -> None:
    ledger = Ledger((SETTING, SET, INTENDED))
    assert [(entry.file, entry.status) for entry in ledger.past] == [("a", Status.SET_ASIDE)]


def test_of_many_files_the_last_that_were_taken_are_told_in_no_time() -> None:
    records: list[Record] = []
    for number in range(20_000):
        file = f"job{number}"
        records += [replace(INTENDED, file=file, key=file), replace(SUBMITTED, file=file, key=file, job_id=number + 1)]
        records.append(Ended(file=file, job_id=number + 1, state="COMPLETED", exit_code=0, at=0.0))
    began = time.process_time()
    ledger = Ledger(records)
    assert time.process_time() - began < 1.0  # to look through a list for each of them took 2.5 s
    assert ledger.last_taken(2) == ("job19998", "job19999")
    assert ledger.last_taken(30_000) == tuple(ledger.taken)


@pytest.mark.parametrize(
    ("records", "unsettled"),
    [
        ((SETTING, SET, INTENDED), [Status.SET_ASIDE]),
        ((SETTING, SET, INTENDED, SUBMITTED, FAILED), [Status.SET_ASIDE]),
        ((SETTING, SET, INTENDED, SUBMITTED, ENDED), []),
        ((SETTING, SET, SETTING, SET, INTENDED, SUBMITTED, ENDED), []),
        ((INTENDED, LOST, SET, AGAIN, replace(SUBMITTED, key="k2"), ENDED), [Status.UNKNOWN]),
    ],
    ids=str,
)
def test_what_came_back_corrected_and_completed_is_settled_and_what_may_have_run_twice_is_not(
    records: tuple[Record, ...], unsettled: list[Status]
) -> None:
    assert [entry.status for entry in Ledger((OPENED, *records)).unsettled] == unsettled

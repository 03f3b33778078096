from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.body import Body, pack
from gateway.slurm.states import Change, JobState, changes, job_states, look
from gateway.slurm.views.reply import ListHasErrors, ListNotUnderstood, ListTooLarge
from tests.unit.slurm import lists

LARGEST = 2**30


def state(job_id: int, *words: str) -> JobState:
    return JobState(job_id, words, "alice", 70001, "main", "job", None, None)


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_a_job_tells_its_state_and_whose_it_is(version: int) -> None:
    body = lists.answer(version, "jobs", [lists.job(version, 7, "RUNNING", "COMPLETING")])
    states = ("RUNNING", "COMPLETING") if version >= lists.LISTS else ("RUNNING",)
    assert job_states(body) == [JobState(7, states, "alice" if version > 36 else None, 70001, "main", "job-7", None, None)]


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_a_task_of_an_array_tells_which(version: int) -> None:
    task = lists.job(version, 9, array_job_id=lists.number(version, 7), array_task_id=lists.number(version, 0))
    rest = lists.job(version, 7, array_job_id=lists.number(version, 7), array_task_string="1-5%2")
    told = job_states(lists.answer(version, "jobs", [task, rest]))
    assert [(job.array_job_id, job.array_task) for job in told] == [(7, "0"), (7, "1-5%2")]


@pytest.mark.parametrize(("told", "job_id", "task"), [("7", 7, None), ("7_3", 7, "3"), ("7_[1-5,9]", 7, "1-5,9"), ("7_*", 7, "*"), ("8+1", 8, None)])
def test_the_list_of_states_tells_ids_as_slurm_writes_them(told: str, job_id: int, task: str | None) -> None:
    body = lists.answer(42, "jobs", [{"job_id": told, "state": ["PENDING"]}])
    assert job_states(body) == [JobState(job_id, ("PENDING",), None, None, None, None, None, task)]


@pytest.mark.parametrize("item", [{"job_id": "seven", "state": []}, {"state": []}, {"job_id": None}, {"job_id": 1, "job_state": 5}, 7])
def test_an_item_that_is_no_job_is_refused(item: Any) -> None:
    with pytest.raises(ListNotUnderstood):
        job_states(lists.answer(42, "jobs", [item]))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"Authentication failure", b'{"jobs": null}', b'{"jobs": {}}', b'{"jobs": [' + b"[" * 5000])
def test_what_is_no_list_is_not_taken_for_an_empty_one(body: bytes) -> None:
    with pytest.raises(ListNotUnderstood):
        job_states(body)


def test_an_error_is_not_taken_for_an_empty_list() -> None:
    body = lists.answer(42, "jobs", [], errors=[{"description": "Unable to query jobs", "error_number": 1007}])
    with pytest.raises(ListHasErrors) as refused:
        job_states(body)
    assert "Unable to query jobs" in refused.value.detail


def test_a_name_that_is_not_utf8_does_not_hide_the_other_jobs() -> None:
    body = lists.answer(38, "jobs", [lists.job(38, 1, name="NAME"), lists.job(38, 2)]).replace(b"NAME", b"\xff\xfe")
    assert [job.name for job in job_states(body)] == ["\ufffd\ufffd", "job-2"]


def test_changes_tell_what_is_new_what_has_another_state_and_what_is_gone() -> None:
    before = [state(1, "PENDING"), state(2, "RUNNING"), state(3, "RUNNING")]
    after = [state(4, "PENDING"), state(3, "RUNNING"), state(1, "RUNNING")]
    assert changes(before, after) == [
        Change("changed", state(1, "RUNNING"), ("PENDING",)),
        Change("gone", state(2, "RUNNING"), ("RUNNING",)),
        Change("new", state(4, "PENDING"), ()),
    ]


def test_tasks_that_wait_are_told_apart_although_they_share_an_id() -> None:
    def tasks(*told: tuple[str, str]) -> list[JobState]:
        return job_states(lists.answer(42, "jobs", [{"job_id": job_id, "state": [word]} for job_id, word in told]))

    found = changes(tasks(("2_0", "PENDING"), ("2_1", "PENDING")), tasks(("2_0", "PENDING"), ("3_1", "RUNNING")))
    assert [(change.kind, change.job.job_id, change.job.array_task) for change in found] == [("gone", 2, "1"), ("new", 3, "1")]


def test_an_array_of_which_fewer_wait_is_the_same_job() -> None:
    def array(waiting: str) -> list[JobState]:
        job = lists.job(42, 2, "PENDING", array_job_id=lists.number(42, 2), array_task_string=waiting)
        return job_states(lists.answer(42, "jobs", [job]))

    assert changes(array("0-9%2"), array("1-9%2")) == []


STATES = st.dictionaries(st.integers(1, 20), st.sampled_from(["PENDING", "RUNNING", "COMPLETED"]))


@given(STATES, STATES)
def test_whoever_follows_the_changes_knows_what_is_there(before: dict[int, str], after: dict[int, str]) -> None:
    known = dict(before)
    for change in changes([state(*job) for job in before.items()], [state(*job) for job in after.items()]):
        if change.kind == "gone":
            del known[change.job.job_id]
        else:
            assert (change.kind == "new") == (change.job.job_id not in known)
            known[change.job.job_id] = change.job.states[0]
    assert known == after


def packed(*jobs: lists.Item, **more: Any) -> Body:
    return pack(lists.answer(42, "jobs", jobs, **more))


def test_the_first_look_shows_no_changes_and_the_next_shows_them() -> None:
    first = look(None, packed(lists.job(42, 1, "PENDING")), LARGEST)
    second = look(first.snapshot, packed(lists.job(42, 1, "RUNNING")), LARGEST)
    assert first.changes == ()
    assert [(change.kind, change.job.job_id, change.before) for change in second.changes] == [("changed", 1, ("PENDING",))]


def test_an_answer_that_nothing_has_changed_is_not_taken_for_the_end_of_all_jobs() -> None:
    first = look(None, packed(lists.job(42, 1)), LARGEST)
    unchanged = packed(last_update=lists.number(42, 0))
    assert look(first.snapshot, unchanged, LARGEST) == (first.snapshot, ())


def test_a_list_that_has_become_empty_is_the_end_of_all_jobs() -> None:
    first = look(None, packed(lists.job(42, 1)), LARGEST)
    assert [change.kind for change in look(first.snapshot, packed(), LARGEST).changes] == ["gone"]


def test_a_list_beyond_the_limit_is_not_unpacked() -> None:
    with pytest.raises(ListTooLarge):
        look(None, Body(data=b"", compressed=True, size=11), 10)


def test_a_body_that_is_not_what_it_says_is_refused() -> None:
    with pytest.raises(ListNotUnderstood):
        look(None, Body(data=b"{}", compressed=True, size=2), LARGEST)


def test_five_thousand_jobs_take_a_part_of_a_second() -> None:
    # Fifteen megabytes, as a queue of 22.05 has them; the bound is generous, for the machine may be busy.
    body = lists.answer(38, "jobs", [lists.job(38, number, comment="x" * 2500) for number in range(5000)])
    began = time.process_time()
    assert len(job_states(body)) == 5000
    assert time.process_time() - began < 0.5

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.slurm.body import Body, pack
from gateway.slurm.news import PAGE, Choice, News, Told, news, seen, served, states_in, told
from gateway.slurm.views.reply import ListHasErrors, ListNotUnderstood, ListTooLarge
from tests.unit.slurm import lists

LARGEST = 2**24


def jobs(*items: lists.Item, version: int = 38) -> Body:
    return pack(lists.answer(version, "jobs", items))


def after(before: Body, now: Body, owner: str = "", asked: tuple[int, ...] = ()) -> News:
    return news(news(None, before, LARGEST, "main", owner, ()).snapshot, now, LARGEST, "main", owner, asked)


def changes(before: Body, now: Body, owner: str = "") -> list[Told]:
    return [one for page in after(before, now, owner).pages for one in told(page)]


def data(one: Told) -> dict[str, Any]:
    tree = json.loads(one.data)
    assert isinstance(tree, dict)
    return tree


def test_the_first_look_is_no_news() -> None:
    assert news(None, jobs(lists.job(38, 1)), LARGEST, "main", "", ()).pages == ()


@pytest.mark.parametrize("version", [38, 40, 44])
def test_a_change_is_told_with_all_that_a_client_needs(version: int) -> None:
    [change] = changes(jobs(lists.job(version, 1, "PENDING"), version=version), jobs(lists.job(version, 1, "RUNNING"), version=version))
    assert (change.event, data(change)) == (
        "job",
        {
            "cluster": "main",
            "job_id": 1,
            "name": "job-1",
            "user_name": "alice",
            "partition": "main",
            "job_state": "RUNNING",
            "state_flags": [],
            "previous_state": "PENDING",
            "previous_flags": [],
            "array_job_id": None,
            "array_task": None,
        },
    )


def test_flags_are_told_beside_the_state() -> None:
    running, completing = (jobs(lists.job(40, 1, *states), version=40) for states in (("RUNNING",), ("COMPLETED", "COMPLETING")))
    [change] = changes(running, completing)
    assert [data(change)[name] for name in ("job_state", "state_flags", "previous_flags")] == ["COMPLETED", ["COMPLETING"], []]


def test_a_new_job_had_no_state_before() -> None:
    [change] = changes(jobs(), jobs(lists.job(38, 1, "PENDING")))
    assert (data(change)["job_state"], data(change)["previous_state"]) == ("PENDING", None)


def test_that_slurm_forgets_an_ended_job_is_no_news_but_that_another_is_gone_is() -> None:
    [change] = changes(jobs(lists.job(38, 1, "COMPLETED"), lists.job(38, 2, "RUNNING")), jobs())
    assert (change.event, change.job_id, data(change)["job_state"], data(change)["previous_state"]) == ("gone", 2, None, "RUNNING")


@pytest.mark.parametrize("name", ["x\n\ndata: y", "x\r\rid: 1-1", "\u2028\u0085\x00", '"}\n', "n\u00e4me"])
def test_no_name_of_a_job_breaks_the_line(name: str) -> None:
    [change] = changes(jobs(), jobs(lists.job(38, 1, name=name)))
    assert data(change)["name"] == name
    assert not {b"\n", b"\r", b"\0"} & {bytes([byte]) for byte in change.data}


def test_of_one_owner_only_their_own_jobs_are_told() -> None:
    hers, his, nobodys = lists.job(38, 1), lists.job(38, 2, user_name="bob"), lists.job(38, 3, user_name="")
    assert [change.job_id for change in changes(jobs(), jobs(hers, his, nobodys), owner="alice")] == [1]


def test_many_changes_come_in_pages() -> None:
    many = jobs(*(lists.job(38, number) for number in range(1, PAGE * 2 + 2)))
    assert [len(told(page)) for page in after(jobs(), many).pages] == [PAGE, PAGE, 1]


def test_the_states_of_jobs_that_are_asked_about_come_with_it() -> None:
    task = lists.job(38, 9, array_job_id=7, array_task_id=0)
    rest = lists.job(38, 7, "PENDING", array_job_id=7, array_task_string="1-5")
    now = jobs(task, rest, lists.job(38, 3))
    assert after(jobs(), now, asked=(7, 9, 3, 99)).states == {7: (("RUNNING",), ("PENDING",)), 9: (("RUNNING",),), 3: (("RUNNING",),), 99: ()}


def test_states_can_be_looked_up_in_a_snapshot() -> None:
    snapshot = news(None, jobs(lists.job(38, 3)), LARGEST, "main", "", ()).snapshot
    assert seen(snapshot, (3, 4)) == {3: (("RUNNING",),), 4: ()}


@pytest.mark.parametrize("snapshot", [b"", b"\xff", b"[]", b"\x91\x01"])
def test_what_is_no_snapshot_is_refused(snapshot: bytes) -> None:
    with pytest.raises(ListNotUnderstood):
        seen(Body(data=snapshot, compressed=False, size=len(snapshot)), (1,))


def test_the_answer_about_one_job_tells_its_states() -> None:
    body = jobs(lists.job(38, 3, "PENDING"), lists.job(38, 4))
    assert (states_in(body, 3), states_in(body, 5)) == ((("PENDING",),), ())


def test_a_body_that_is_broken_tells_nothing() -> None:
    with pytest.raises(ListNotUnderstood):
        states_in(Body(data=b"no zstd", compressed=True, size=9), 3)
    assert served(Body(data=b"no zstd", compressed=True, size=9)) == ()


def test_an_error_of_slurms_and_a_list_that_is_too_large_are_no_list() -> None:
    with pytest.raises(ListHasErrors):
        after(jobs(), pack(lists.answer(38, "jobs", [], [{"error": "no", "error_code": 1}])))
    with pytest.raises(ListTooLarge):
        news(None, jobs(), 10, "main", "", ())


def test_the_versions_come_from_the_document() -> None:
    assert served(pack(json.dumps({"paths": {"/slurm/v0.0.38/jobs": {}, "/slurm/v0.0.37/jobs": {}}}).encode())) == ("v0.0.37", "v0.0.38")


CHANGE = Told(event="job", job_id=9, array_job_id=7, user="alice", partitions=("main", "debug"), states=("RUNNING", "COMPLETING"), data=b"{}")


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(users=frozenset({"alice", "bob"})), True),
        (Choice(users=frozenset({"bob"})), False),
        (Choice(jobs=frozenset({9})), True),
        (Choice(jobs=frozenset({7})), True),
        (Choice(jobs=frozenset({8})), False),
        (Choice(states=frozenset({"COMPLETING"})), True),
        (Choice(states=frozenset({"PENDING"})), False),
        (Choice(partitions=frozenset({"debug"})), True),
        (Choice(partitions=frozenset({"main,debug"})), False),
        (Choice(users=frozenset({"alice"}), states=frozenset({"PENDING"})), False),
        (Choice(users=frozenset()), False),
    ],
)
def test_a_choice_leaves_out_what_any_of_its_parts_leaves_out(choice: Choice, taken: bool) -> None:
    assert choice.takes(CHANGE) == taken
    assert choice.takes_all == (choice == Choice())

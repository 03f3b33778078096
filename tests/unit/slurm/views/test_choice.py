from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.slurm.views.choice import chosen, needed
from gateway.slurm.views.cursor import Position
from gateway.slurm.views.reply import ListNotUnderstood, Reply
from gateway.slurm.views.view import Listing, View
from tests.unit.slurm import lists

Item = lists.Item


def shown(listing: Listing, version: int, items: list[Item], **asked: Any) -> list[Any]:
    """What identifies the items that are shown."""
    return [item["name" if listing is Listing.NODES else "job_id"] for item in page(listing, version, items, **asked)[0]]


def page(listing: Listing, version: int, items: list[Item], **asked: Any) -> tuple[list[Item], Position | None]:
    sets: Any = {name: frozenset(value) if isinstance(value, set) else value for name, value in asked.items()}
    view = View(listing=listing, version=version, **sets)
    places, position = chosen(view, Reply(lists.answer(version, listing.key, items), listing.key).columns(needed(view)))
    return [items[place] for place in places], position


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_jobs_are_chosen_by_state(version: int) -> None:
    jobs = [lists.job(version, 1, "RUNNING"), lists.job(version, 2, "PENDING"), lists.job(version, 3, "COMPLETING")]
    assert shown(Listing.JOBS, version, jobs, states={"RUNNING", "COMPLETING"}) == [1, 3]


@pytest.mark.parametrize("version", range(lists.LISTS, 47))
@pytest.mark.parametrize("word", ["RUNNING", "COMPLETING"])
def test_a_job_with_flags_is_found_by_its_base_and_by_each_flag(version: int, word: str) -> None:
    jobs = [lists.job(version, 1, "RUNNING", "COMPLETING"), lists.job(version, 2, "PENDING")]
    assert shown(Listing.JOBS, version, jobs, states={word}) == [1]


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_nodes_are_chosen_by_their_base_state(version: int) -> None:
    nodes = [lists.node(version, "n1", "IDLE"), lists.node(version, "n2", "MIXED", "DRAIN"), lists.node(version, "n3", "DOWN")]
    assert shown(Listing.NODES, version, nodes, states={"MIXED", "DOWN"}) == ["n2", "n3"]


@pytest.mark.parametrize("version", range(37, 47))
@pytest.mark.parametrize(("word", "names"), [("DRAIN", ["n1", "n2"]), ("DRAINED", ["n1"]), ("DRAINING", ["n2"]), ("IDLE", ["n1", "n3"])])
def test_nodes_are_chosen_by_their_flags(version: int, word: str, names: list[str]) -> None:
    nodes = [lists.node(version, "n1", "IDLE", "DRAIN"), lists.node(version, "n2", "ALLOCATED", "DRAIN"), lists.node(version, "n3", "IDLE")]
    assert shown(Listing.NODES, version, nodes, states={word}) == names


@pytest.mark.parametrize("version", range(37, 47))
def test_nodes_are_chosen_by_partition_and_name(version: int) -> None:
    nodes = [lists.node(version, "n1", "IDLE"), lists.node(version, "n2", "IDLE", partitions=["gpu", "long"]), lists.node(version, "n3", "IDLE")]
    assert shown(Listing.NODES, version, nodes, partitions={"long", "no"}) == ["n2"]
    assert shown(Listing.NODES, version, nodes, names={"n1", "n3"}) == ["n1", "n3"]


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_jobs_are_chosen_by_partition_and_a_waiting_one_by_each_that_it_names(version: int) -> None:
    jobs = [lists.job(version, 1), lists.job(version, 2, partition="gpu,long"), lists.job(version, 3, partition="longer")]
    assert shown(Listing.JOBS, version, jobs, partitions={"long"}) == [2]


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_jobs_are_chosen_by_their_whole_name(version: int) -> None:
    jobs = [lists.job(version, 1, name="a/b"), lists.job(version, 2, name="a"), lists.job(version, 3, name="A/B"), lists.job(version, 4, name="a,b")]
    assert shown(Listing.JOBS, version, jobs, names={"a/b", "a,b"}) == [1, 4]


@pytest.mark.parametrize("version", range(37, 47))
def test_jobs_are_chosen_by_user_and_by_uid(version: int) -> None:
    jobs = [lists.job(version, 1), lists.job(version, 2, user_name="bob", user_id=70002), lists.job(version, 3, user_name="", user_id=70003)]
    assert shown(Listing.JOBS, version, jobs, users={"alice"}) == [1]
    assert shown(Listing.JOBS, version, jobs, users={"70002", "70003"}) == [2, 3]


def test_where_jobs_do_not_tell_names_a_name_is_refused_rather_than_not_found() -> None:
    with pytest.raises(BadRequest) as refused:
        shown(Listing.JOBS, 36, [lists.job(36, 1)], users={"alice"})
    assert "v0.0.37" in refused.value.hint


def test_where_jobs_do_not_tell_names_a_uid_finds_them() -> None:
    assert shown(Listing.JOBS, 36, [lists.job(36, 1), lists.job(36, 2, user_id=70002)], users={"70002"}) == [2]


def test_where_jobs_do_not_tell_names_a_name_finds_them_when_its_uid_is_known() -> None:
    jobs = [lists.job(36, 1), lists.job(36, 2, user_id=70002)]
    assert shown(Listing.JOBS, 36, jobs, users={"bob"}, known=("bob", 70002)) == [2]


def test_a_name_that_the_oldest_version_does_tell_is_found() -> None:
    assert shown(Listing.JOBS, 36, [lists.job(36, 1, user_name="alice")], users={"alice"}) == [1]


def test_the_uid_of_one_does_not_stand_for_the_name_of_another() -> None:
    with pytest.raises(BadRequest):
        shown(Listing.JOBS, 36, [lists.job(36, 1)], users={"alice", "bob"}, known=("bob", 70002))


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_accounted_jobs_are_chosen_by_user(version: int) -> None:
    jobs = [lists.accounted(version, 1), lists.accounted(version, 2, user="bob"), lists.accounted(version, 3, user=None)]
    assert shown(Listing.ACCOUNTED, version, jobs, users={"alice"}) == [1, 3]


def test_filters_go_together() -> None:
    jobs = [lists.job(42, 1, "PENDING"), lists.job(42, 2), lists.job(42, 3, "PENDING", name="x")]
    assert shown(Listing.JOBS, 42, jobs, states={"PENDING"}, names={"x"}, users={"alice"}, partitions={"main"}) == [3]


@pytest.mark.parametrize("value", [None, 1, True, {}, [], [1]])
def test_a_value_of_another_kind_is_simply_not_what_is_looked_for(value: Any) -> None:
    jobs = [lists.job(42, 1, job_state=value, user_name=value, partition=value, name=value)]
    for asked in ({"states": {"RUNNING"}}, {"users": {"alice"}}, {"partitions": {"main"}}, {"names": {"x"}}):
        assert shown(Listing.JOBS, 42, jobs, **asked) == []


def test_without_pages_items_keep_their_order() -> None:
    assert shown(Listing.JOBS, 42, [lists.job(42, 3), lists.job(42, 1)], names={"job-1", "job-3"}) == [3, 1]


def test_a_page_has_the_first_items_in_order_and_tells_where_it_ends() -> None:
    items, position = page(Listing.JOBS, 42, [lists.job(42, number) for number in (9, 7, 8)], limit=2)
    assert ([item["job_id"] for item in items], position) == ([7, 8], (8, 0))


def test_the_last_page_tells_no_end() -> None:
    assert page(Listing.JOBS, 42, [lists.job(42, 1)], limit=1)[1] is None


def test_a_cursor_without_a_limit_shows_the_rest() -> None:
    assert shown(Listing.JOBS, 42, [lists.job(42, number) for number in (1, 2, 3)], after=(1, 0)) == [2, 3]


def test_the_item_at_which_a_page_ended_may_be_gone() -> None:
    assert shown(Listing.JOBS, 42, [lists.job(42, 3)], after=(2, 0), limit=1) == [3]


def test_a_requeued_jobs_records_are_told_apart_by_when_they_were_submitted() -> None:
    jobs = [lists.accounted(42, 1, submission=20), lists.accounted(42, 1, submission=10), lists.accounted(42, 1, submission=10)]
    first, position = page(Listing.ACCOUNTED, 42, jobs, limit=2)
    rest, end = page(Listing.ACCOUNTED, 42, jobs, limit=2, after=position)
    assert ([item["time"]["submission"] for item in first + rest], end) == ([10, 10, 20], None)


@pytest.mark.parametrize(
    ("listing", "item"),
    [(Listing.JOBS, {"name": "x"}), (Listing.JOBS, {"job_id": "1"}), (Listing.NODES, {"name": None}), (Listing.ACCOUNTED, {"job_id": 1, "time": {}})],
)
def test_what_does_not_tell_which_it_is_has_no_pages(listing: Listing, item: Item) -> None:
    with pytest.raises(ListNotUnderstood):
        page(listing, 42, [item], limit=1)


IDS = st.integers(1, 60)


@given(
    there=st.sets(IDS),
    comings=st.lists(st.tuples(st.sets(IDS), st.sets(IDS), st.randoms(use_true_random=False)), max_size=8),
    limit=st.integers(1, 7),
)
def test_however_jobs_come_and_go_no_page_repeats_one_and_none_that_stays_is_left_out(there: set[int], comings: Any, limit: int) -> None:
    stayed, seen, after = set(there), list[int](), None
    while True:
        order = sorted(there)
        if comings:
            new, gone, shuffle = comings.pop()
            there = (there | new) - gone
            stayed &= there
            order = sorted(there)
            shuffle.shuffle(order)
        items, after = page(Listing.JOBS, 42, [lists.job(42, number) for number in order], limit=limit, after=after)
        assert len(items) <= limit
        seen += [item["job_id"] for item in items]
        if after is None:
            break
    assert len(seen) == len(set(seen))
    # Those that stayed from the first page to the last.
    assert stayed <= set(seen)

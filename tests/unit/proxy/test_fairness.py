from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.fairness import Full, Turns, share


def turns(*, per_user: int = 2, waiting_per_user: int = 100, waiting: int = 100) -> Turns[str]:
    return Turns(per_user=per_user, waiting_per_user=waiting_per_user, waiting=waiting)


def taken(some: Turns[str]) -> list[str]:
    return [ticket for ticket in iter(some.next, None) if ticket is not None]


def test_somebody_enters_as_long_as_there_are_few_of_their_calls() -> None:
    some = turns()
    assert [some.enter("alice") for _ in range(3)] == [True, True, False]


def test_one_persons_calls_keep_nobody_else_out() -> None:
    some = turns(per_user=1)
    some.enter("alice")
    assert some.enter("bob")


def test_whose_call_has_ended_may_enter_again() -> None:
    some = turns(per_user=1)
    some.enter("alice")
    some.leave("alice")
    assert some.enter("alice")


def test_those_who_wait_go_in_turn_and_not_in_the_order_in_which_they_came() -> None:
    some = turns(per_user=100)
    for ticket in ("a1", "a2", "a3", "b1", "c1", "b2"):
        some.queue(ticket[0], ticket)
    assert taken(some) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_whoever_has_as_many_under_way_as_may_be_is_passed_over() -> None:
    some = turns(per_user=1)
    some.enter("a")
    for ticket in ("a1", "b1"):
        some.queue(ticket[0], ticket)
    assert (taken(some), some.waiting, some.held_back) == (["b1"], 1, 1)


def test_whoever_was_passed_over_is_in_turn_again_when_a_call_ends() -> None:
    some = turns(per_user=1)
    some.enter("a")
    some.queue("a", "a1")
    some.leave("a")
    assert (some.held_back, taken(some)) == (0, ["a1"])


def test_a_turn_that_is_given_counts_as_under_way() -> None:
    some = turns(per_user=1)
    some.queue("a", "a1")
    some.next()
    assert not some.enter("a")


@pytest.mark.parametrize(("user", "full"), [("a", Full.OF_USER), ("b", None)])
def test_one_persons_queue_has_a_bound(user: str, full: Full | None) -> None:
    some = turns(waiting_per_user=2)
    for ticket in ("a1", "a2"):
        some.queue("a", ticket)
    assert some.queue(user, "x") is full


def test_the_queue_of_all_has_a_bound() -> None:
    some = turns(waiting=2)
    for ticket in ("a1", "b1"):
        some.queue(ticket[0], ticket)
    assert (some.queue("c", "c1"), some.waiting) == (Full.OF_ALL, 2)


def test_who_was_refused_leaves_no_trace() -> None:
    some = turns(waiting=0)
    some.queue("a", "a1")
    assert (some.waiting, taken(some)) == (0, [])


def test_who_has_been_on_the_way_already_goes_first_whatever_the_bounds() -> None:
    some = turns(waiting_per_user=1, waiting=1)
    some.queue("a", "a1")
    assert (some.queue("a", "a0", first=True), taken(some)) == (None, ["a0", "a1"])


def test_who_gives_up_leaves_no_hole() -> None:
    some = turns()
    for ticket in ("a1", "a2", "b1"):
        some.queue(ticket[0], ticket)
    some.withdraw("a", "a1")
    assert (some.waiting, taken(some)) == (2, ["a2", "b1"])


def test_who_gives_up_as_the_only_one_is_forgotten() -> None:
    some = turns()
    some.queue("a", "a1")
    some.withdraw("a", "a1")
    assert (some.waiting, taken(some)) == (0, [])


def test_to_give_up_twice_or_too_late_changes_nothing() -> None:
    some = turns()
    some.queue("a", "a1")
    some.queue("a", "a2")
    some.next()
    some.withdraw("a", "a1")
    some.withdraw("b", "b1")
    assert (some.waiting, taken(some)) == (1, ["a2"])


def test_all_can_be_sent_home() -> None:
    some = turns(per_user=1)
    some.enter("a")
    for ticket in ("a1", "b1", "a2"):
        some.queue(ticket[0], ticket)
    assert (sorted(some.clear()), some.waiting, taken(some), some.enter("a")) == (["a1", "a2", "b1"], 0, [], False)


@pytest.mark.parametrize(("of_all", "workers", "each"), [(8, 1, 8), (8, 2, 4), (8, 3, 3), (8, 16, 1), (1, 64, 1)])
def test_a_workers_share_is_rounded_up(of_all: int, workers: int, each: int) -> None:
    assert share(of_all, workers) == each


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "leave", "queue", "first", "withdraw", "next"]), st.sampled_from("abc")), max_size=60)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_whatever_happens_nobody_has_too_many_and_nobody_is_lost(steps: list[tuple[str, str]]) -> None:
    some, under_way, waiting = turns(waiting_per_user=4, waiting=8), Counter[str](), dict[str, str]()
    for number, (step, user) in enumerate(steps):
        mine = [ticket for ticket, owner in waiting.items() if owner == user]
        if step == "enter":
            under_way[user] += some.enter(user)
        elif step == "leave" and under_way[user]:
            some.leave(user)
            under_way[user] -= 1
        elif step in ("queue", "first") and some.queue(user, f"{user}{number}", first=step == "first") is None:
            waiting[f"{user}{number}"] = user
        elif step == "withdraw" and mine:
            some.withdraw(user, mine[0])
            del waiting[mine[0]]
        elif step == "next":
            ticket = some.next()
            assert (ticket is None) == all(under_way[owner] >= 2 for owner in waiting.values())
            if ticket is not None:
                under_way[waiting.pop(ticket)] += 1
        assert max(under_way.values(), default=0) <= 2
        assert some.waiting == len(waiting)
        assert some.held_back == sum(under_way[owner] >= 2 for owner in waiting.values())

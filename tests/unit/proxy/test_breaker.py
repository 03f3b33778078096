from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.breaker import Breaker, State


def tripped(at: float = 100.0) -> Breaker:
    breaker = Breaker(3, 2.0)
    breaker.trip(at)
    return breaker


def test_it_begins_closed() -> None:
    assert Breaker(3, 2.0).closed


def test_the_third_failure_in_a_row_is_enough() -> None:
    breaker = Breaker(3, 2.0)
    assert [breaker.failed() for _ in range(4)] == [False, False, True, True]


def test_an_answer_ends_the_row() -> None:
    breaker = Breaker(2, 2.0)
    breaker.failed()
    breaker.answered()
    assert not breaker.failed()


@pytest.mark.parametrize(("now", "due"), [(100.0, False), (101.9, False), (102.0, True), (500.0, True)])
def test_it_is_due_when_it_has_been_open_for_long_enough(now: float, due: bool) -> None:
    assert tripped().due(now) == due


@pytest.mark.parametrize(("now", "wait"), [(100.0, 2.0), (101.5, 0.5), (500.0, 0.0)])
def test_it_tells_how_long_that_still_takes(now: float, wait: float) -> None:
    assert tripped().wait(now) == wait


def test_while_it_is_being_asked_it_is_neither_closed_nor_due() -> None:
    breaker = tripped()
    breaker.half_open()
    assert (breaker.closed, breaker.due(500.0)) == (False, False)


def test_an_answer_closes_it_whenever_it_comes() -> None:
    asked = tripped()
    asked.half_open()
    breakers = [tripped(), asked]
    for breaker in breakers:
        breaker.answered()
    assert all(breaker.closed for breaker in breakers)


def test_after_it_was_closed_again_it_takes_as_many_failures_as_ever() -> None:
    breaker = Breaker(2, 2.0)
    breaker.failed()
    breaker.failed()
    breaker.trip(100.0)
    breaker.answered()
    assert not breaker.failed()


@given(st.lists(st.sampled_from(["answered", "failed", "half_open"])))
def test_whatever_happens_it_is_open_only_after_it_was_tripped(steps: list[str]) -> None:
    breaker = Breaker(2, 2.0)
    for step in steps:
        getattr(breaker, step)()
    assert breaker.state is not State.OPEN

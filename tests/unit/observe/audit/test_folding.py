from __future__ import annotations

import pytest

from gateway.observe.audit import folding
from gateway.observe.audit.folding import WINDOW, Folding

NOW = 1_700_000_000.0
HERE, THERE = "192.0.2.7", "198.51.100.9"


def test_so_many_are_let_through_within_a_minute_and_no_more() -> None:
    fold = Folding(3)
    assert [fold.admit(HERE, NOW + number) for number in range(6)] == [0, 0, 0, None, None, None]


def test_the_next_minute_tells_how_many_were_left_out() -> None:
    fold = Folding(3)
    for number in range(8):
        fold.admit(HERE, NOW + number)
    assert [fold.admit(HERE, NOW + WINDOW), fold.admit(HERE, NOW + WINDOW + 1)] == [5, 0]


def test_each_address_is_counted_by_itself() -> None:
    fold = Folding(1)
    assert [fold.admit(HERE, NOW), fold.admit(THERE, NOW), fold.admit(HERE, NOW)] == [0, 0, None]


def test_a_clock_that_goes_back_silences_nobody() -> None:
    fold = Folding(1)
    fold.admit(HERE, NOW)
    assert fold.admit(HERE, NOW - 1) == 0


def test_addresses_without_number_take_no_memory_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_MOST_ADDRESSES", 10)
    fold = Folding(1)
    for number in range(100):
        assert fold.admit(f"192.0.2.{number}", NOW) == 0
    assert len(fold._counts) <= 10


def test_room_is_made_first_for_those_whose_minute_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_MOST_ADDRESSES", 2)
    fold = Folding(1)
    fold.admit(HERE, NOW)
    fold.admit(THERE, NOW + WINDOW)
    fold.admit("203.0.113.1", NOW + WINDOW + 1)
    assert fold.admit(THERE, NOW + WINDOW + 2) is None

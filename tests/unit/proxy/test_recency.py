from __future__ import annotations

import os

from gateway.proxy.recency import Recency


def test_who_changed_nothing_has_no_last_change() -> None:
    assert Recency().last("main", "alice") == 0.0


def test_the_last_change_is_the_latest_one() -> None:
    times = iter([1_000_000_000, 2_500_000_000])
    recency = Recency(clock=lambda: next(times))
    recency.note("main", "alice")
    recency.note("main", "alice")
    assert recency.last("main", "alice") == 2.5


def test_a_change_is_its_owners_on_that_cluster_alone() -> None:
    recency = Recency(clock=lambda: 1)
    recency.note("main", "alice")
    assert (recency.last("other", "alice"), recency.last("main", "bob")) == (0.0, 0.0)


def test_what_one_process_notes_the_others_see() -> None:
    recency = Recency(3)
    pid = os.fork()
    if pid == 0:
        recency.write_into(2)
        recency.note("main", "alice")
        os._exit(0)
    os.waitpid(pid, 0)
    assert recency.last("main", "alice") > 0.0


def test_a_worker_that_writes_late_does_not_undo_the_change_that_another_has_noted() -> None:
    times = iter([9_000_000_000, 1_000_000_000])
    recency = Recency(2, clock=lambda: next(times))
    recency.write_into(1)
    recency.note("main", "alice")
    recency.write_into(0)
    recency.note("main", "alice")
    assert recency.last("main", "alice") == 9.0


def test_many_people_fit_into_the_places_that_there_are() -> None:
    recency = Recency(clock=lambda: 7)
    for number in range(10_000):
        recency.note("main", f"user{number}")
    assert all(recency.last("main", f"user{number}") > 0 for number in range(10_000))


def test_what_somebody_was_told_counts_from_when_it_was_so_and_takes_nothing_back() -> None:
    recency = Recency(clock=lambda: 5_000_000_000)
    recency.knows("main", "alice", 3.5)
    assert (recency.last("main", "alice"), recency.last("main", "bob")) == (3.5, 0.0)
    recency.note("main", "alice")
    recency.knows("main", "alice", 3.5)
    assert recency.last("main", "alice") == 5.0

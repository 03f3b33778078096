from __future__ import annotations

import pytest

from gateway.proxy.history import History
from gateway.slurm.news import EVERYTHING, Choice, Told

STAMP = "0123456789abcdef"


def change(job_id: int, user: str = "alice", size: int = 2) -> Told:
    return Told(event="job", job_id=job_id, array_job_id=None, user=user, partitions=("main",), states=("RUNNING",), data=b"x" * size)


def history(most: int = 100, *looks: int) -> History:
    made = History(STAMP, most)
    for at, count in enumerate(looks):
        made.add([change(number) for number in range(count)], at * 100.0)
    return made


def read(made: History, after: int, choice: Choice = EVERYTHING) -> bytes:
    return b"".join(piece.data for piece in made.after(after, choice))


def test_an_event_has_an_id_a_type_and_its_data() -> None:
    assert read(history(100, 1), 0) == b"id: 0123456789abcdef-1\nevent: job\ndata: xx\n\n"


def test_a_reader_gets_what_came_behind_its_place_and_nothing_twice() -> None:
    made = history(100, 2, 3)
    assert [line for line in read(made, 1).split(b"\n") if line.startswith(b"id")] == [b"id: 0123456789abcdef-%d" % number for number in (2, 3, 4, 5)]
    assert read(made, 5) == b""


def test_what_everybody_gets_is_the_same_bytes() -> None:
    made = history(100, 3)
    [one], [other] = made.after(0, EVERYTHING), made.after(0, EVERYTHING)
    assert one.data is other.data
    assert (one.events, one.last) == (3, 3)


def test_a_choice_leaves_events_out_and_goes_on_behind_them() -> None:
    made = History(STAMP, 100)
    made.add([change(1), change(2, "bob"), change(3)], 0.0)
    [piece] = made.after(0, Choice(users=frozenset({"bob"})))
    assert (piece.data, piece.events, piece.last) == (b"id: 0123456789abcdef-2\nevent: job\ndata: xx\n\n", 1, 3)


def test_much_goes_out_in_pieces() -> None:
    made = History(STAMP, 100)
    for number in range(10):
        made.add([change(number, size=20_000)], 0.0)
    pieces = list(made.after(0, EVERYTHING))
    assert [piece.last for piece in pieces] == [2, 4, 6, 8, 10]
    assert max(len(piece.data) for piece in pieces) < 64 * 1024


def test_the_oldest_make_room_but_not_before_everybody_had_time_to_read_them() -> None:
    made = history(3, 2, 2, 2)
    assert (len(made), made.newest) == (2, 6)
    assert [made.has_all_after(number) for number in (3, 4, 6)] == [False, True, True]
    flooded = History(STAMP, 3)
    for _ in range(5):
        flooded.add([change(1)], 0.0)
    assert len(flooded) == 5


def test_without_any_history_only_the_newest_place_is_complete() -> None:
    made = history(0, 2, 1)
    assert [made.has_all_after(number) for number in (1, 2, 3)] == [False, True, True]


def test_no_changes_are_no_page() -> None:
    made = history()
    made.add([], 0.0)
    assert (len(made), made.newest) == (0, 0)


def test_an_id_is_a_place() -> None:
    made = history(100, 3)
    assert [made.place_of(f"{STAMP}-{number}") for number in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "event_id",
    ["", "1", f"{STAMP}-4", f"{STAMP}-01", f"{STAMP}--1", f"{STAMP}-999999999999999999", f"{STAMP.upper()}-1", "fedcba9876543210-1", f"{STAMP}-1\n",
     f"{STAMP}-\u0661", f" {STAMP}-1"],
)  # fmt: skip
def test_any_other_id_is_foreign(event_id: str) -> None:
    assert history(100, 3).place_of(event_id) is None

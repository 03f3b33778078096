"""Values as sbatch takes them, read for job files."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.jobfile import values
from gateway.client.jobfile.values import ENDLESS, number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("1:30", 2),
        ("0:01", 1),
        ("2:00:00", 120),
        ("1-0", 1440),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("1-12:30:01", 2191),
    ],
)
def test_a_time_is_minutes_rounded_up(text: str, expected: int) -> None:
    assert values.minutes(text) == number(expected)


@pytest.mark.parametrize("text", ["0", "0:00", "UNLIMITED", "infinite", "-1"])
def test_no_time_at_all_is_no_limit(text: str) -> None:
    assert values.minutes(text) == ENDLESS


@pytest.mark.parametrize("text", ["", "x", "1:", "1-", "1:2:3:4", "1-2:3:4:5", "1.5", " 5", "5m", "٣", "99999999999999999999"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        values.minutes(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("100", 100), ("100M", 100), ("1K", 1), ("1025k", 2), ("4G", 4096), ("4GB", 4096), ("1t", 1024 * 1024)]
)
def test_an_amount_is_mebibytes(text: str, expected: int) -> None:
    assert values.megabytes(text) == expected


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1X", "1 G", "1GG"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        values.megabytes(text)


@pytest.mark.parametrize("text", ["1", "1-3", "1k", "1,3,5", "2-8:2"])
def test_a_number_of_nodes_stays_as_it_is(text: str) -> None:
    assert values.node_count(text) == text


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "3-2", "1..2"])
def test_what_is_no_number_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        values.node_count(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1", ["n1"]),
        ("n1,n2", ["n1", "n2"]),
        ("n[1-3]", ["n[1-3]"]),
        ("n[1-3,7],m1", ["n[1-3]", "n7", "m1"]),
        ("r[1,2]n[3,4-5]", ["r1n3", "r1n[4-5]", "r2n3", "r2n[4-5]"]),
    ],
)
def test_names_of_nodes_are_a_list_without_commas(text: str, expected: list[str]) -> None:
    assert values.nodes(text) == expected


@pytest.mark.parametrize("text", ["", "n[1", "n]1", "n[[1]]", "./hosts"])
def test_what_is_no_list_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"list of nodes|file"):
        values.nodes(text)


def test_kinds_of_mail_are_those_that_sbatch_knows_and_none_takes_all_back() -> None:
    assert values.mail_types("end,Fail,end") == "END,FAIL"
    assert values.mail_types("END,NONE") == "NONE"
    with pytest.raises(ValueError, match="BEGIN"):
        values.mail_types("END,FIAL")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("USR1", ([], "USR1", 60)),
        ("SIGUSR1@5", ([], "USR1", 5)),
        ("10@120", ([], "10", 120)),
        ("B:USR1@90", (["BATCH_JOB"], "USR1", 90)),
        ("rb:TERM", (["BATCH_JOB", "RESERVATION_JOB"], "TERM", 60)),
        (":TERM", ([], "TERM", 60)),
    ],
)
def test_a_warning_has_an_addressee_a_signal_and_seconds(text: str, expected: object) -> None:
    assert values.signal(text) == expected


@pytest.mark.parametrize("text", ["", "@60", "B", "BUS", "USR1@", "USR1@x", "X:USR1", "USR1@70000"])
def test_what_is_no_warning_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"SIGNAL|at most"):
        values.signal(text)


@pytest.mark.parametrize(("text", "least", "most"), [("0", 1, 9), ("10", 1, 9), ("x", 0, 9), ("1.0", 0, 9), ("٣", 0, 9), ("9" * 30, 0, 9)])
def test_a_whole_number_has_bounds(text: str, least: int, most: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        values.whole(text, least=least, most=most)


@given(
    st.sampled_from([values.minutes, values.megabytes, values.node_count, values.nodes, values.mail_types, values.signal, values.whole]),
    st.text(max_size=40),
)
def test_any_text_is_a_value_or_refused(reads: Callable[[str], object], text: str) -> None:
    said = "nothing"
    try:
        reads(text)
    except ValueError as error:
        said = str(error)
    assert said

from __future__ import annotations

from typing import Any

import pytest

from gateway.client.jobfile import dialect


@pytest.mark.parametrize("value", ["now", "now+1hour", "2030-01-31", "2030-01-31T08:00", "08:00", "1/31", "013130", "tomorrow", "uts1900000000"])
def test_a_moment_is_known(value: str) -> None:
    assert dialect.is_moment(value)


@pytest.mark.parametrize("value", ["", "x", "5", 5, None, ["now"]])
def test_what_is_no_moment_is_not(value: Any) -> None:
    assert not dialect.is_moment(value)


@pytest.mark.parametrize("value", ["5", "5:00", "1:30:00", "1-0", "1-00:00", "1-00:00:00", "UNLIMITED", "infinite", "-1"])
def test_a_duration_is_known(value: str) -> None:
    assert dialect.is_duration(value)


@pytest.mark.parametrize("value", ["", "x", "5x", 5, None, "1-", "1:2:3:4"])
def test_what_is_no_duration_is_not(value: Any) -> None:
    assert not dialect.is_duration(value)


# Each line was measured: what 22.05's parser makes of a field, whatever its description says.
@pytest.mark.parametrize(
    ("field", "taken", "refused"),
    [
        ("nice", [5, "5", 5.5, None], ["x", True, [5]]),
        ("time_limit", [5, "5", "1-00:00:00", "infinite"], [5.5, "x", None, {"set": True, "number": 5}]),
        ("memory_per_node", [5, "5", "5G", "100M"], [5.5, "5x", None, True]),
        ("nodes", [1, "1", "1-2"], [[1], [1, 2], ["1"], {}, "x", True]),
        ("wait_all_nodes", [0, 1, "0", "1"], [True, False, "x", 2, []]),
        ("no_kill", [None], [True, False, "", 1]),
        ("get_user_environment", [1, "1"], [True, False, "x"]),
        ("exclusive", ["user", "USER", "mcs"], ["nobody", "false", True, ["user"]]),
        ("open_mode", ["append", "APPEND", "t"], ["sideways", 5, None]),
        ("mail_type", ["END", "end,fail", "NONE"], ["x", 5, ["END"]]),
        ("priority", [5, "5", "TOP"], ["x", None, [5]]),
        ("signal", ["USR1@60", "R:USR1@60", 10], ["B:USR1@60", "BR:10", ["USR1"]]),
        ("requeue", [True, False, "x", [], None], []),
    ],
)
def test_the_older_parser_is_known(field: str, taken: list[Any], refused: list[Any]) -> None:
    assert [value for value in taken if dialect.decided(field, value, 38) is not True] == []
    assert [value for value in refused if dialect.decided(field, value, 38) is not False] == []


@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("deadline", ["now", {"set": True, "number": 5}]),
        ("memory_per_node", ["5G"]),
        ("nodes", [1, "1-2", [1], [1, 2]]),
        ("required_nodes", ["c1,c2"]),
    ],
)
def test_what_the_newer_parser_takes_beyond_its_description_is_known(field: str, taken: list[Any]) -> None:
    assert [value for value in taken if dialect.decided(field, value, 42) is not True] == []
    assert dialect.decided(field, {"x"}, 42) is None


@pytest.mark.parametrize(
    ("kind", "version", "turned", "refused"),
    [
        ("integer", 38, ["5", 5.0], ["x", None, True, []]),
        ("integer", 42, ["5", 5.0, None], ["x", True, [], {}]),
        ("string", 38, [5, True, None], [[], {}]),
        ("string", 42, [5, True, None], [[], {}]),
        ("boolean", 42, ["x", 1, None], [[], {}]),
        ("array", 42, [None, {}], ["x", 5]),
        ("array", 38, [], [None, "x", {}]),
        ("object", 42, [], ["x", 5, []]),
    ],
)
def test_how_each_parser_turns_types_is_known(kind: str, version: int, turned: list[Any], refused: list[Any]) -> None:
    assert [value for value in turned if not dialect.turned(kind, value, version)] == []
    assert [value for value in refused if dialect.turned(kind, value, version) is not None] == []


def test_a_number_that_may_be_unset_is_taken_plain() -> None:
    taken: tuple[Any, ...] = (5, "5", 5.5, None)
    refused: tuple[Any, ...] = ("x", True, [])
    assert [dialect.turned("object", value, 42, is_number_or_unset=True) for value in taken] == [""] * 4
    assert [dialect.turned("object", value, 42, is_number_or_unset=True) for value in refused] == [None] * 3


def test_what_ends_slurmrestd_is_refused_where_it_does() -> None:
    assert [bool(dialect.refused(name, version)) for name in ("argv", "group_id", "cpu_binding") for version in (38, 42)] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_the_case_of_a_word_does_not_matter() -> None:
    assert (dialect.one_of("end", ["BEGIN", "END"]), dialect.one_of("ends", ["END"]), dialect.one_of(5, ["5"])) == (True, False, False)

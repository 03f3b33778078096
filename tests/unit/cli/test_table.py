from __future__ import annotations

import pytest

from gateway.cli.table import document, stamp, table


def test_columns_stand_under_their_headings() -> None:
    assert table(("user", "last_used_at"), [("alice", None), ("bo", "today")]) == "USER   LAST USED AT\nalice  -\nbo     today\n"


@pytest.mark.parametrize(
    ("value", "shown"), [("", "-"), ((), "-"), ([], "-"), (("a", "b"), "a, b"), (0, "0"), (True, "yes"), (False, "no"), ("a\x1b[2J\nb", "a?[2J?b")]
)
def test_nothing_that_a_terminal_would_act_upon_is_shown(value: object, shown: str) -> None:
    assert table(("x",), [(value,)]) == f"X\n{shown}\n"


def test_a_document_is_one_line() -> None:
    assert document({"a": ["b\n"]}) == '{"a": ["b\\n"]}\n'


@pytest.mark.parametrize(("seconds", "text"), [(None, None), (0.9, "1970-01-01T00:00:00Z")])
def test_a_time_is_told_in_utc(seconds: float | None, text: str | None) -> None:
    assert stamp(seconds) == text

"""Tables for people: no row wider than the terminal, nothing in them that it acts upon, and nothing missing where there is none."""

from __future__ import annotations

import io
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len

from gateway.cli import tables
from gateway.cli.tables import Column, Styled, When, fit

JOBS = (
    Column(heading="ID", right=True),
    Column(heading="NAME", least=8),
    Column(heading="STATE"),
    Column(heading="SUBMITTED", rank=2),
    Column(heading="PARTITION", least=4, rank=1),
)
ROW = (4711, "protein folding with a long name that says everything", tables.state("RUNNING"), "2 h ago", "main")
SGR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A terminal of some width, as rich asks for it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def plain(columns: tuple[Column, ...], *rows: tables.Row) -> str:
    stream = io.StringIO()
    tables.show(columns, rows, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, [4, 53, 7, 9, 9]),  # there is room for all
        (80, [4, 43, 7, 9, 9]),  # the widest that may be cut is cut
        (45, [4, 8, 7, 9, 9]),
        (44, [4, 8, 7, 9, 8]),
        (36, [4, 10, 7, 0, 9]),  # the highest rank goes first, and the others have its room
        (20, [4, 1, 7, 0, 0]),
    ],
)
def test_a_table_gives_way_column_by_column(width: int, shown: list[int]) -> None:
    assert fit(JOBS, [4, 53, 7, 9, 9], width)[:1] == shown[:1]
    assert sum(filter(None, fit(JOBS, [4, 53, 7, 9, 9], width))) <= width
    if width != 20:
        assert fit(JOBS, [4, 53, 7, 9, 9], width) == shown


@given(
    some.lists(some.tuples(some.integers(1, 300), some.none() | some.integers(1, 20), some.integers(0, 3)), min_size=1, max_size=9),
    some.integers(40, 200),
)
def test_no_row_is_wider_than_the_terminal(described: list[tuple[int, int | None, int]], width: int) -> None:
    columns = [Column(heading="X", least=least, rank=rank) for _, least, rank in described]
    widths = fit(columns, [natural for natural, _, _ in described], width)
    shown = [wide for wide in widths if wide]
    assert shown
    assert sum(shown) + 2 * (len(shown) - 1) <= width


def test_on_a_terminal_a_row_is_one_line_that_fits(terminal: Terminal) -> None:
    tables.show(JOBS, [ROW, (1, "日本語の長い名前" * 9, tables.state("PENDING"), "1 s ago", "main")], terminal)
    lines = SGR.sub("", terminal.getvalue()).splitlines()
    assert len(lines) == 3
    assert max(cell_len(line) for line in lines) <= 80
    assert len({cell_len(line[: line.index(state)]) for line, state in zip(lines, ("STATE", "RUNNING", "PENDING"), strict=True)}) == 1


def test_elsewhere_nothing_is_cut_left_off_or_coloured() -> None:
    said = plain(JOBS, ROW)
    assert said == (
        "  ID  NAME                                                   STATE    SUBMITTED  PARTITION\n"
        "4711  protein folding with a long name that says everything  RUNNING  2 h ago    main\n"
    )


def test_elsewhere_wide_characters_take_two_cells() -> None:
    assert plain((Column(heading="NAME"), Column(heading="N")), ("日本", 1), ("abc", 2)) == "NAME  N\n日本  1\nabc   2\n"


def test_a_state_is_coloured_on_a_terminal(terminal: Terminal) -> None:
    tables.show(JOBS, [ROW], terminal)
    assert "\x1b[32mRUNNING" in terminal.getvalue()


def test_no_color_is_honoured(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tables.show(JOBS, [ROW], terminal)
    assert "\x1b[3" not in terminal.getvalue()


def test_a_pipe_gets_no_colour_even_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in plain(JOBS, ROW)


@pytest.mark.parametrize("bad", ["\x1b[31m", "\x9b31m", "\x07", "\u202e", "\u2066", "\u200f", "\u2028", "\ud800", "\r", "\x7f"])
@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_nothing_in_a_table_is_acted_upon(terminal: Terminal, bad: str, on_a_terminal: bool) -> None:
    stream = terminal if on_a_terminal else io.StringIO()
    tables.show((Column(heading="NAME"),), [(f"a{bad}b",)], stream)
    tables.show_details([("Name", f"a{bad}b")], stream)
    said = SGR.sub("", stream.getvalue())
    assert "a?" in said
    assert bad not in said


@given(some.text())
def test_whatever_a_text_is_it_stays_in_its_line(text: str) -> None:
    said = plain((Column(heading="NAME"),), (text,))
    assert said.count("\n") == 2
    assert not [character for character in said.replace("\n", "") if unicodedata.category(character)[0] == "C"]


def test_markup_is_shown_as_it_stands(terminal: Terminal) -> None:
    tables.show((Column(heading="NAME"),), [("[bold]x[/bold] :smile:",)], terminal)
    assert "[bold]x[/bold] :smile:" in terminal.getvalue()


def test_what_the_stream_cannot_write_is_a_question_mark() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    tables.show((Column(heading="NAME"),), [("日本",)], stream)
    stream.flush()
    assert raw.getvalue() == b"NAME\n??\n"


def test_values_are_written_as_people_read_them() -> None:
    columns = tuple(Column(heading=heading) for heading in "ABCDEF")
    assert plain(columns, (None, True, ["a", "b"], [], Styled(text="x", style="red"), When(seconds=None))).splitlines()[1].split() == [
        *("-", "yes", "a,b", "-", "x", "-"),
    ]


def test_a_moment_is_relative_on_a_terminal_and_absolute_elsewhere(terminal: Terminal) -> None:
    when = When(seconds=time.time() - 7300)
    tables.show((Column(heading="SUBMITTED"),), [(when,)], terminal)
    assert "2 h ago" in terminal.getvalue()
    assert plain((Column(heading="SUBMITTED"),), (When(seconds=1795707737),)).splitlines()[1] == "2026-11-26T15:42:17Z"


def test_details_leave_out_what_is_not_known_and_cut_nothing(terminal: Terminal) -> None:
    pairs: list[tuple[str, tables.Cell]] = [("Job", 5), ("Name", "x" * 100), ("Reason", None), ("Started", When(seconds=1795707737))]
    stream = io.StringIO()
    tables.show_details(pairs, stream)
    assert stream.getvalue() == f"Job      5\nName     {'x' * 100}\nStarted  2026-11-26T15:42:17Z\n"
    tables.show_details(pairs, terminal)
    assert terminal.getvalue().count("x") == 100
    assert max(map(len, SGR.sub("", terminal.getvalue()).splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (86400 * 3, "3 d ago"), (-90, "in 1 min")],
)
def test_a_moment_is_told_by_how_long_ago_it_was(seconds: int, said: str) -> None:
    assert tables.ago(1_000_000_000 - seconds, 1_000_000_000) == said


def test_a_moment_weeks_ago_is_a_date() -> None:
    assert re.fullmatch(r"2001-0\d-\d\d", tables.ago(1_000_000_000 - 86400 * 30, 1_000_000_000))


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (61, "1:01"), (3661, "1:01:01"), (90061, "1-01:01:01"), (-5, "0:00")])
def test_a_duration_is_written_as_slurm_does(seconds: int, said: str) -> None:
    assert tables.lasting(seconds) == said

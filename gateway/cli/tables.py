"""Tables and times for people: they fit the terminal, and are plain and complete where there is none.

On a terminal a table is as wide as that at most: columns are cut (``…``), then left off, in the order that they say themselves; a row is one line.
Colour is for terminals alone, and NO_COLOR is honoured. Elsewhere nothing is cut or left off, and times are absolute, for a file is read later.
What a terminal might act upon is shown as ``?``: controls (C0 and C1), what turns the direction of text, and what has no place of its own.

rich takes longer to load than Slurm to answer, so it is loaded when there is something to show.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from gateway.cli.table import stamp
from gateway.client.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as RichText

_GAP = 2
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_RELATIVE = 14 * _DAY
_STYLES = {
    "green": ("RUNNING", "COMPLETING", "IDLE", "UP"),
    "yellow": ("PENDING", "CONFIGURING", "SUSPENDED", "REQUEUED", "DRAIN", "MAINT", "RESERVED", "INACTIVE"),
    "red": ("FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "DOWN", "NOT_RESPONDING"),
    "cyan": ("ALLOCATED", "MIXED", "PREEMPTED"),
    "dim": ("COMPLETED", "CANCELLED", "REVOKED"),
}
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: where there is no room, ``least`` is how narrow it may be cut (None: not at all), and the highest ``rank`` goes first (0: never)."""

    heading: str
    right: bool = False
    least: int | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Styled:
    """A text in one of rich's styles, for terminals with colour."""

    text: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A moment (Unix seconds): on a terminal how long ago, elsewhere RFC 3339."""

    seconds: float | None


Cell = str | int | float | bool | None | Styled | When | Sequence[str]
Row = Sequence[Cell]


def show(columns: Sequence[Column], rows: Sequence[Row], stream: TextIO | None = None) -> None:
    """Write a table to ``stream``, standard output by default."""
    stream = sys.stdout if stream is None else stream
    if stream.isatty():
        out = console(stream)
        write(out, fitted(columns, rows, out.width), stream)
    else:
        stream.write(_encodable(_plain(columns, rows), stream))


def show_or_say(columns: Sequence[Column], rows: Sequence[Row], nothing: str) -> None:
    """Write a table to standard output; where there is nothing to show, say so on standard error."""
    if rows:
        show(columns, rows)
    else:
        sys.stderr.write(f"{nothing}\n")


def show_details(pairs: Iterable[tuple[str, Cell]], stream: TextIO | None = None) -> None:
    """Write what is known of one thing, a line each; None is left out, and nothing is cut, for it is what was asked for."""
    stream = sys.stdout if stream is None else stream
    terminal = stream.isatty()
    lines = [(label, _in_full(value) if terminal else value) for label, value in pairs if value not in (None, "", ())]
    if not terminal:
        width = max((len(label) for label, _ in lines), default=0)
        stream.write(_encodable("".join(f"{label.ljust(width)}  {_text(value, terminal=False)}\n" for label, value in lines), stream))
        return
    from rich.table import Table  # noqa: PLC0415 - see above

    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for label, value in lines:
        grid.add_row(label, _rich(value))
    write(console(stream), grid, stream)


def fitted(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """Return a table for rich to show that is ``width`` cells wide at most, each row on one line."""
    from rich.cells import cell_len  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above

    cells = [[_rich(value) for value in row] for row in rows]
    natural = [max([cell_len(column.heading), *(line[index].cell_len for line in cells)]) for index, column in enumerate(columns)]
    widths = fit(columns, natural, width)
    shown = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), collapse_padding=True, header_style="bold", show_edge=False)
    for column, room in zip(columns, widths, strict=True):
        if room:
            justify = "right" if column.right else "left"
            shown.add_column(column.heading, justify=justify, width=room, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for line in cells:
        shown.add_row(*(cell for cell, room in zip(line, widths, strict=True) if room))
    return shown


def fit(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """Return how wide each column is, 0 for one that is left off, so that all of it is ``width`` wide at most (pure)."""
    widths = [min(wanted, width) for wanted in natural]
    floors = [wanted if column.least is None else min(wanted, column.least) for column, wanted in zip(columns, widths, strict=True)]
    while _total(floors) > width:
        leaving = max(range(len(columns)), key=lambda index: columns[index].rank * bool(floors[index]))
        if not columns[leaving].rank or not floors[leaving]:
            floors = [min(floor, 1) for floor in floors]  # a terminal that narrow shows something of each, so that no row is broken
            break
        floors[leaving] = widths[leaving] = 0
    while _total(widths) > width and any(wide > floor for wide, floor in zip(widths, floors, strict=True)):
        widest = max(range(len(columns)), key=lambda index: (widths[index] > floors[index], widths[index]))
        widths[widest] -= 1
    return widths


def console(stream: TextIO) -> Console:
    """Return rich's console for a stream; nothing in a text is taken for markup, and only a terminal gets colour."""
    from rich.console import Console  # noqa: PLC0415 - see above

    return Console(file=stream, force_terminal=stream.isatty(), markup=False, emoji=False, highlight=False, legacy_windows=False)


def write(out: Console, what: Table, stream: TextIO) -> None:
    """Show ``what`` on a stream, which may not be able to write all of Unicode."""
    with out.capture() as captured:
        out.print(what)
    stream.write(_encodable("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()), stream))


def state(word: str, *more: str) -> Styled:
    """Return a state of Slurm's, with its flags, in the colour that says how that is."""
    style = next((_STYLE_OF[flag] for flag in (*more, word) if flag in _STYLE_OF), "")
    return Styled(text="+".join((word, *more)), style=style)


def ago(seconds: float, now: float) -> str:
    """Return how long ago a moment was, or in how long it will be; one that is weeks away by its date, in local time."""
    away = now - seconds
    if abs(away) >= _RELATIVE:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d")
    said = roughly(abs(away))
    return f"{said} ago" if away >= 0 else f"in {said}"


def roughly(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def lasting(seconds: float) -> str:
    """Return a duration as Slurm's commands write it: ``[days-]hours:minutes:seconds``, without hours below one."""
    minutes, rest = divmod(max(int(seconds), 0), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def local(seconds: float) -> str:
    """Return a moment in local time, with its zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _plain(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    from rich.cells import cell_len  # noqa: PLC0415 - see above

    lines = [[column.heading for column in columns], *([_text(value, terminal=False) for value in row] for row in rows)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]

    def padded(index: int, text: str) -> str:
        spaces = " " * (widths[index] - cell_len(text))
        return spaces + text if columns[index].right else text + spaces

    return "".join((" " * _GAP).join(padded(index, text) for index, text in enumerate(line)).rstrip() + "\n" for line in lines)


def _text(value: Cell, *, terminal: bool) -> str:
    if isinstance(value, When):
        if value.seconds is None:
            return "-"
        return ago(value.seconds, time.time()) if terminal else str(stamp(value.seconds))
    if isinstance(value, Styled):
        value = value.text
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value)) or "-"
    return printable(str(value))


def _in_full(value: Cell) -> Cell:
    """Return what a terminal shows of a moment where there is room."""
    if isinstance(value, When) and value.seconds is not None:
        return f"{local(value.seconds)} ({ago(value.seconds, time.time())})"
    return value


def _rich(value: Cell) -> RichText:
    from rich.text import Text  # noqa: PLC0415 - see above

    return Text(_text(value, terminal=True), style=value.style if isinstance(value, Styled) else "")


def _total(widths: Sequence[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + _GAP * (len(shown) - 1)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)

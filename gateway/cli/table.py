"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows in columns under their headings (``last_used_at``); what a terminal might act upon is shown as ``?``."""
    cells = [[heading.upper().replace("_", " ") for heading in headings], *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return "".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in cells)


def document(tree: object) -> str:
    """Return ``tree`` as one line of JSON."""
    return json.dumps(tree) + "\n"


def stamp(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 in UTC, to the second."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value)) or "-"
    return "".join(character if character.isprintable() else "?" for character in str(value))

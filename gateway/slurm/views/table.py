"""A list as CSV (RFC 4180), for spreadsheets.

A text in which a spreadsheet could find a formula gets a ``'`` in front of it: users name their jobs as they like, and somebody else opens the
file. A number stays one. What has parts is written as JSON on one line; a ``Number`` as the number, ``infinite`` or nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from gateway.slurm.views import projection, values
from gateway.slurm.views.reply import Columns
from gateway.slurm.views.view import Listing

# The columns when no fields are asked for: what squeue, sinfo and sacct show, by names that (nearly) all versions have. What a version lacks
# is an empty column, so that the table looks the same whatever the version and whatever is in the list.
COLUMNS: Mapping[Listing, tuple[str, ...]] = MappingProxyType(
    {
        Listing.JOBS: (
            "job_id",
            "array_job_id",
            "array_task_id",
            "name",
            "user_name",
            "account",
            "partition",
            "qos",
            "job_state",
            "state_reason",
            "priority",
            "submit_time",
            "start_time",
            "end_time",
            "time_limit",
            "node_count",
            "cpus",
            "nodes",
        ),
        Listing.NODES: ("name", "state", "state_flags", "partitions", "cpus", "alloc_cpus", "cpu_load", "real_memory", "gres", "features", "reason"),
        Listing.ACCOUNTED: (
            "job_id",
            "name",
            "user",
            "account",
            "cluster",
            "partition",
            "qos",
            "state.current",
            "exit_code.return_code",
            "time.submission",
            "time.start",
            "time.end",
            "time.elapsed",
            "allocation_nodes",
            "nodes",
        ),
    }
)

# Where a spreadsheet could take what follows for the beginning of a formula: at the beginning of a cell, and where it might begin a new one,
# because the reader's country separates by semicolons or the file is read by tabs. The signs also in full width, which some programs fold.
_FORMULA = re.compile("(\\A|[;\t\r\n])(?=\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
# Longer ones are seldom met twice, and would only take the room of those that are.
_OFTEN_MET = 64


def table(fields: Sequence[str], columns: Columns, places: Sequence[int]) -> str:
    """Return the table of the items in ``places``, a line with the names first; each line ends with CRLF."""
    paths = [field.split(".") for field in fields]
    plan = [(columns.column(path[0]), path[1:]) for path in paths]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(fields)
    for place in places:
        writer.writerow([_cell(projection.at(column[place], path) if path else column[place]) for column, path in plan])
    return buffer.getvalue()


def _cell(value: bytes) -> str:
    return _known_cell(value) if len(value) <= _OFTEN_MET else cell(value)


@lru_cache(maxsize=8192)
def _known_cell(value: bytes) -> str:
    return cell(value)


def cell(value: bytes) -> str:
    """Return what stands in the cell for the JSON ``value``."""
    match value[:1]:
        case b"" | b"n":
            return ""
        case b'"':
            return guarded(values.text(value) or "")
        case b"{" | b"[":
            told = values.number(value)
            return guarded(values.compact(value).decode(errors="replace")) if told is None else told.decode()
        case _:
            return value.decode()


def guarded(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it, or a part of it, for a formula."""
    return _FORMULA.sub(r"\1'", text)

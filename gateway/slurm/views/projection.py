"""Which members of an item are shown, by paths such as ``job_id`` and ``time.start``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from gateway.slurm.views import values
from gateway.slurm.views.reply import Columns

# For each member None (all of it), or which of its own members.
Tree: TypeAlias = "dict[str, Tree | None]"


def tops(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the members of an item in which ``fields`` are."""
    return tuple(dict.fromkeys(field.partition(".")[0] for field in fields))


def tree(fields: Iterable[str]) -> Tree:
    """Return ``fields`` as a tree; who asks for a member and for a part of it gets the member."""
    root: Tree = {}
    for field in fields:
        *above, last = field.split(".")
        branch: Tree | None = root
        for name in above:
            branch = branch.setdefault(name, {}) if branch is not None else None
        if branch is not None:
            branch[last] = None
    return root


def objects(fields: Sequence[str], columns: Columns, places: Sequence[int]) -> Iterator[bytes]:
    """Yield for each item in ``places`` a JSON object with ``fields`` in their order; what an item does not have is left out."""
    plan = [(_label(name), columns.column(name), branch) for name, branch in tree(fields).items()]
    for place in places:
        parts = [label + shown for label, column, branch in plan if (shown := _shown(column[place], branch))]
        yield b"{" + b",".join(parts) + b"}"


def at(value: bytes, path: Sequence[str]) -> bytes:
    """Return what is at ``path`` within ``value``, or ``b""`` when there is nothing."""
    for name in path:
        found = (values.members(value) or {}).get(name) if value else None
        value = b"" if found is None else bytes(found)
    return value


def _label(name: str) -> bytes:
    return msgspec.json.encode(name) + b":"


def _shown(value: bytes, branch: Tree | None) -> bytes:
    """Return of ``value`` what ``branch`` asks for, or nothing when it has nothing of it."""
    if branch is None or not value:
        return value
    members = values.members(value) or {}
    parts = [_label(name) + shown for name, below in branch.items() if name in members and (shown := _shown(bytes(members[name]), below))]
    return b"{" + b",".join(parts) + b"}" if parts else b""

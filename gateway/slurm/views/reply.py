"""Slurm's answer in its parts: what stands around the list, the list, and of its items the members that are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.errors import Refusal
from gateway.slurm.views import values

_TOP = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_MOST_TOLD = 300


class ListNotUnderstood(Refusal):
    """What slurmrestd sent is not the list that it should be."""

    status = 502
    reason = "list_not_understood"
    title = "Slurm's answer is not the list that it should be"
    default_detail = "The gateway could not find the list in slurmrestd's answer, so it has made nothing of it."
    default_hint = "Ask for the same path without fields, filters, limit and with 'Accept: application/json' to see what slurmrestd sends."


class ListHasErrors(Refusal):
    """slurmrestd sent errors in the place of the list, or beside it, and the form that is asked for has no room for them."""

    status = 502
    reason = "slurm_errors"
    title = "Slurm reports an error"
    default_detail = "slurmrestd's answer has errors, and in this form they could not be told from a list that is merely short."
    default_hint = "Ask with 'Accept: application/json' to see the errors beside what came of the list."


class ListTooLarge(Refusal):
    """The list is larger than the gateway takes apart."""

    status = 503
    reason = "list_too_large"
    title = "The list is too large for that"
    default_detail = "The list is larger than the gateway takes apart."
    default_hint = "Ask without fields, filters and pages: then it is passed on as it is. Administrators: views.max_list."


class Reply:
    """``top`` is the object with all that it has, in its order; ``items`` is the list, or None when the answer has none."""

    __slots__ = ("items", "key", "top")

    def __init__(self, body: bytes, key: str) -> None:
        """Take ``body`` apart, whose list is called ``key``; raise ListNotUnderstood when it is no JSON object."""
        try:
            self.top = _TOP.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ListNotUnderstood(f"view: the answer is no JSON object: {error}") from error
        self.key = key
        self.items: Raw | None = self.top.get(key)
        if self.items is not None and bytes(memoryview(self.items)[:1]) != b"[":
            self.items = None

    @property
    def error(self) -> str | None:
        """What the first of Slurm's errors says, or None when there is none."""
        errors = bytes(self.top.get("errors", b""))
        if errors[:1] != b"[" or values.compact(errors) == b"[]":
            return None
        first = values.members(bytes(_ITEMS.decode(errors)[0])) or {}
        told = [values.text(bytes(first[name])) for name in ("description", "error") if name in first]
        # One line of it, for it goes out in ours.
        return " ".join(": ".join(word for word in told if word).split())[:_MOST_TOLD] or "an error without a word"

    @property
    def unchanged(self) -> bool:
        """Whether this says that nothing has changed since ``update_time``: v0.0.40 and later do so with an empty list, last updated at 0."""
        return self.items is not None and values.integer(bytes(self.top.get("last_update", b""))) == 0 and not self.wholes()

    def wholes(self) -> list[Raw]:
        """Return the items as they came."""
        return [] if self.items is None else _ITEMS.decode(self.items)

    def columns(self, names: Sequence[str]) -> Columns:
        """Return of each item the members ``names``; raise ListNotUnderstood when one is no object."""
        if self.items is None:
            return Columns(rows=[], names=tuple(names))
        try:
            return Columns(rows=_decoder(tuple(names)).decode(self.items), names=tuple(names))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ListNotUnderstood(f"view: an item of the list is no object: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The members ``names`` of every item."""

    rows: Sequence[msgspec.Struct]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[bytes]:
        """Return the JSON of the member ``name`` of each item, and ``b""`` where there is none."""
        found: list[Raw | UnsetType] = list(map(attrgetter(f"f{self.names.index(name)}"), self.rows))
        return [b"" if raw is UNSET else bytes(raw) for raw in found]

    def has(self, name: str) -> bool:
        """Tell whether any item has a member ``name``."""
        of = attrgetter(f"f{self.names.index(name)}")
        return any(of(row) is not UNSET for row in self.rows)


@lru_cache(maxsize=64)
def _decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[list[msgspec.Struct]]:
    """Return what decodes a list of objects of which nothing but ``names`` is looked at."""
    members = [(f"f{index}", Raw | UnsetType, UNSET) for index in range(len(names))]
    item = msgspec.defstruct("Item", members, rename={f"f{index}": name for index, name in enumerate(names)}, gc=False)
    return msgspec.json.Decoder(list[item])  # type: ignore[valid-type]

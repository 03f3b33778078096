"""Which items of a list a view shows: those that its filters let through, and of them one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from gateway.errors import BadRequest
from gateway.slurm.views import values
from gateway.slurm.views.cursor import Position, in_order
from gateway.slurm.views.reply import Columns, ListNotUnderstood
from gateway.slurm.views.view import NAMELESS_VERSION, Listing, View
from gateway.slurm.vocabulary import node_words

# What an item is told by. slurmdbd has several records of a job that was requeued, and of jobs of several clusters.
IDENTITIES: Mapping[Listing, tuple[type, ...]] = MappingProxyType({Listing.JOBS: (int,), Listing.NODES: (str,), Listing.ACCOUNTED: (int, int, str)})
_TOLD_BY: Mapping[Listing, tuple[str, ...]] = MappingProxyType(
    {Listing.JOBS: ("job_id",), Listing.NODES: ("name",), Listing.ACCOUNTED: ("job_id", "time", "cluster")}
)


def needed(view: View) -> tuple[str, ...]:
    """Return the members of an item that are looked at to choose."""
    wanted: list[str] = []
    if view.users is not None:
        wanted += ("user_name", "user_id") if view.listing is Listing.JOBS else ("user", "association")
    if view.states is not None:
        wanted += ("state", "state_flags") if view.listing is Listing.NODES else ("job_state",)
    if view.partitions is not None:
        wanted.append("partitions" if view.listing is Listing.NODES else "partition")
    if view.names is not None:
        wanted.append("name")
    if view.paged:
        wanted += _TOLD_BY[view.listing]
    return tuple(dict.fromkeys(wanted))


def chosen(view: View, columns: Columns) -> tuple[list[int], Position | None]:
    """Return the places of the items that are shown, in order, and the position to go on from when there are more."""
    left: Iterable[int] = range(len(columns))
    if view.states is not None:
        left = _by_states(view.states, view.listing, columns, left)
    if view.partitions is not None:
        left = _by_partitions(view.partitions, view.listing, columns, left)
    if view.names is not None:
        left = _by_names(view.names, columns, left)
    if view.users is not None:
        left = _by_users(view, view.users, columns, left)
    return _page(view, columns, list(left)) if view.paged else (list(left), None)


def _let_through(column: list[bytes], left: Iterable[int], test: Callable[[bytes], bool]) -> list[int]:
    """Return those of ``left`` whose value passes ``test``, which is asked once for each value: most of a list's values are the same few."""
    known: dict[bytes, bool] = {}
    passed = []
    for index in left:
        value = column[index]
        verdict = known.get(value)
        if verdict is None:
            verdict = known[value] = test(value)
        if verdict:
            passed.append(index)
    return passed


def _by_states(states: frozenset[str], listing: Listing, columns: Columns, left: Iterable[int]) -> list[int]:
    if listing is not Listing.NODES:
        return _let_through(columns.column("job_state"), left, lambda value: not states.isdisjoint(word.upper() for word in values.words(value)))
    # What belongs together is put together, with a byte between that no JSON has.
    both = [b"\0".join(pair) for pair in zip(columns.column("state"), columns.column("state_flags"), strict=True)]
    return _let_through(
        both, left, lambda value: not states.isdisjoint(node_words(word for part in value.split(b"\0") for word in values.words(part)))
    )


def _by_partitions(partitions: frozenset[str], listing: Listing, columns: Columns, left: Iterable[int]) -> list[int]:
    if listing is Listing.NODES:
        return _let_through(columns.column("partitions"), left, lambda value: not partitions.isdisjoint(values.words(value)))
    # A job that waits may name several, of which it will get one.
    return _let_through(columns.column("partition"), left, lambda value: not partitions.isdisjoint((values.text(value) or "").split(",")))


def _by_names(names: frozenset[str], columns: Columns, left: Iterable[int]) -> list[int]:
    return _let_through(columns.column("name"), left, lambda value: values.text(value) in names)


def _by_users(view: View, users: frozenset[str], columns: Columns, left: Iterable[int]) -> list[int]:
    first, second = ("user_name", "user_id") if view.listing is Listing.JOBS else ("user", "association")
    both = [b"\0".join(pair) for pair in zip(columns.column(first), columns.column(second), strict=True)]
    uids = frozenset(user for user in users if user.isdecimal()) | ({str(view.known[1])} if view.known else frozenset())
    # Whom only a name could tell, in a version that does not tell names.
    unknown = users - uids - ({view.known[0]} if view.known else frozenset())

    def test(value: bytes) -> bool:
        name, other = value.split(b"\0")
        if view.listing is Listing.ACCOUNTED:
            return (values.text(name) or _owner(other)) in users
        told = values.text(name)
        if not told and unknown and view.version == NAMELESS_VERSION:
            raise BadRequest(
                "user_without_names",
                detail="In v0.0.36 this cluster's jobs do not tell the names of their users, so they cannot be filtered by them.",
                hint="Give the number that 'id -u' prints for the user instead of the name, or use v0.0.37 or later.",
            )
        return told in users or str(values.integer(other)) in uids

    return _let_through(both, left, test)


def _owner(association: bytes) -> str | None:
    return values.text(bytes((values.members(association) or {}).get("user", b"")))


def _page(view: View, columns: Columns, left: list[int]) -> tuple[list[int], Position | None]:
    keys = _keys(view.listing, columns, left)
    after = view.after
    found = [(position, left[index]) for position, index in in_order(keys) if after is None or position > after]
    limit = len(found) if view.limit is None else view.limit
    more = len(found) > limit
    return [index for _, index in found[:limit]], found[limit - 1][0] if more else None


def _keys(listing: Listing, columns: Columns, left: list[int]) -> list[tuple[int | str, ...]]:
    told = [columns.column(name) for name in _TOLD_BY[listing]]
    keys: list[tuple[int | str, ...]] = []
    for index in left:
        key = tuple(part for part in _key(listing, [column[index] for column in told]) if part is not None)
        if tuple(map(type, key)) != IDENTITIES[listing]:
            raise ListNotUnderstood("view: an item does not tell which one it is, so there can be no pages")
        keys.append(key)
    return keys


def _key(listing: Listing, told: list[bytes]) -> tuple[int | str | None, ...]:
    if listing is Listing.NODES:
        return (values.text(told[0]),)
    if listing is Listing.JOBS:
        return (values.integer(told[0]),)
    submission = bytes((values.members(told[1]) or {}).get("submission", b""))
    return values.integer(told[0]), values.integer(submission), values.text(told[2]) or ""

"""Making the answer: a view, and the list as slurmrestd sent it, to the bytes that go out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gateway.errors import BadRequest
from gateway.slurm.body import Body, BodyBroken, pack, unpack
from gateway.slurm.views import choice, cursor, projection, table, values
from gateway.slurm.views.reply import Columns, ListHasErrors, ListNotUnderstood, ListTooLarge, Reply
from gateway.slurm.views.view import Form, View

# RFC 4180 section 3: the line of names is there.
_CSV_TYPE = "text/csv; charset=utf-8; header=present"
_MOST_NAMES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The answer to a view: ``count`` is the number of its items, ``next_cursor`` that of the next page if there is one."""

    body: Body
    content_type: str
    next_cursor: str | None
    count: int


def render(view: View, body: Body, largest: int) -> Rendered:
    """Return what ``view`` shows of ``body``, slurmrestd's JSON in an answer of status 200, of up to ``largest`` bytes.

    Slurm's errors stay in a JSON answer; in the other forms they are a refusal, as is everything that is not the list that it should be:
    no view ever makes an empty list of an answer that is none. Raises ListTooLarge, ListNotUnderstood, ListHasErrors and BadRequest.
    """
    if body.size > largest:
        raise ListTooLarge(f"view: a list of {body.size} bytes")
    try:
        data = unpack(body)
    except BodyBroken as error:
        raise ListNotUnderstood(f"view: {error}") from error
    reply = Reply(data, view.listing.key)
    told = reply.error
    if told is not None and view.form is not Form.JSON:
        raise ListHasErrors("view: the answer has errors", detail=f"Slurm says: {told}.")
    if reply.items is None:
        if told is None:
            raise ListNotUnderstood(f"view: the answer has no list {view.listing.key}")
        return Rendered(body=body, content_type=Form.JSON.value, next_cursor=None, count=0)
    return _made(view, reply)


def _made(view: View, reply: Reply) -> Rendered:
    fields = view.fields or (table.COLUMNS[view.listing] if view.form is Form.CSV else ())
    columns = reply.columns(tuple(dict.fromkeys((*choice.needed(view), *projection.tops(fields)))))
    if view.fields:
        _require(view.fields, reply, columns)
    places, position = choice.chosen(view, columns)
    if view.form is Form.CSV:
        made = table.table(fields, columns, places).encode()
    else:
        made = _lines(_items(view, reply, columns, places)) if view.form is Form.NDJSON else _enveloped(reply, _items(view, reply, columns, places))
    return Rendered(
        body=pack(made),
        content_type=_CSV_TYPE if view.form is Form.CSV else view.form.value,
        next_cursor=None if position is None else cursor.encode(view.listing.value, position),
        count=len(places),
    )


def _items(view: View, reply: Reply, columns: Columns, places: list[int]) -> Iterator[bytes]:
    if view.fields:
        return projection.objects(view.fields, columns, places)
    wholes = reply.wholes()
    return (bytes(wholes[place]) for place in places)


def _lines(items: Iterator[bytes]) -> bytes:
    return b"".join(values.compact(item) + b"\n" for item in items)


def _enveloped(reply: Reply, items: Iterator[bytes]) -> bytes:
    """Return the answer as it came, but for the list."""
    parts: list[bytes] = []
    for name, value in reply.top.items():
        parts += (b"," if parts else b"{", msgspec.json.encode(name), b":")
        parts += (b"[", b",".join(items), b"]") if name == reply.key else (bytes(value),)
    return b"".join([*parts, b"}"])


def _require(fields: tuple[str, ...], reply: Reply, columns: Columns) -> None:
    """Refuse a field that not one item has: a name with a mistake in it would else look like a field without a value."""
    missing = [name for name in projection.tops(fields) if not columns.has(name)]
    if not (missing and columns):
        return
    there = sorted(values.members(bytes(reply.wholes()[0])) or ())
    near = [name for wanted in missing for name in difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)]
    shown = list(dict.fromkeys(near))[:_MOST_NAMES] or there[:_MOST_NAMES]
    raise BadRequest(
        "field_unknown",
        detail=f"In this version of the API no item of the list has a field {missing[0]}.",
        hint=f"There are, among others, {', '.join(shown)}. 'limit=1' without 'fields' shows all.",
    )

"""What a request asks of a list: the view, and what of the query is left for slurmrestd.

A parameter that slurmrestd has for a path is slurmrestd's, and so is every one that we do not know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import quote_plus, unquote_plus

from gateway.config import Views
from gateway.errors import BadRequest, Refusal
from gateway.slurm.views import accept as accepting
from gateway.slurm.views import choice, cursor
from gateway.slurm.views.view import NAMELESS_VERSION, Form, Listing, View
from gateway.slurm.vocabulary import JOB_STATES, NODE_STATES

_PATH = re.compile(r"/(slurm|slurmdb)/v0\.0\.([1-9][0-9]{1,3})/(jobs|nodes)")
_FIRST_VERSION = 36
_LISTINGS: Mapping[tuple[str, str], Listing] = MappingProxyType(
    {("slurm", "jobs"): Listing.JOBS, ("slurm", "nodes"): Listing.NODES, ("slurmdb", "jobs"): Listing.ACCOUNTED}
)
OURS = frozenset({"fields", "user", "state", "partition", "name", "limit", "cursor"})
# Of our names, those that slurmrestd has itself. Sources: the openapi documents of 22.05 (v0.0.36 to v0.0.38) and 24.11 (v0.0.40 to v0.0.42);
# for the rest Slurm's source: src/plugins/openapi/{v,dbv}0.0.39/openapi.json of 23.02, and JOB_CONDITION, OPENAPI_JOB_INFO_QUERY and
# OPENAPI_NODES_QUERY in src/plugins/data_parser/v0.0.43 to v0.0.46/parsers.c of 26.11. What else they have (update_time and flags; users,
# job_name, account, …) does not collide with ours, and goes on as all that we do not know.
THEIRS: Mapping[Listing, frozenset[str]] = MappingProxyType(
    {
        Listing.JOBS: frozenset(),  # v0.0.37 to v0.0.39: update_time; v0.0.40 to v0.0.46: update_time, flags
        Listing.NODES: frozenset(),  # likewise
        Listing.ACCOUNTED: frozenset({"state", "partition"}),  # v0.0.36 to v0.0.46; with users from v0.0.39 on, but never user
    }
)
# In front what is taken when nobody minds; YAML is slurmrestd's own, and so is no view.
_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "application/openapi+yaml")
_FORMS = tuple(form.value for form in Form)
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_NUMBER = re.compile(r"[0-9]{1,9}")
# What may be said again of what somebody took for a state.
_STATE = re.compile(r"[A-Z0-9_]{1,32}")


class NotAcceptable(Refusal):
    """A view is asked for in a form in which we do not make it (RFC 9110 section 15.5.7)."""

    status = 406
    reason = "not_acceptable"
    title = "Not in this form"
    default_detail = "The gateway makes fields, filters and pages of a list as JSON, NDJSON and CSV, and in no other form."
    default_hint = "Send 'Accept: application/json', 'application/x-ndjson' or 'text/csv', or leave the parameters out."


def parse_view(path: str, query: str, accept: str | None, limits: Views) -> tuple[View | None, str]:
    """Return the view that is asked for, or None when slurmrestd's answer goes out as it is, and the query that goes to slurmrestd.

    ``path`` and ``query`` are those of a ``policy.path.Target``. Raises BadRequest and NotAcceptable.
    """
    match = _PATH.fullmatch(path)
    listing = _LISTINGS.get((match[1], match[3])) if match else None
    if match is None or listing is None or (version := int(match[2])) < _FIRST_VERSION:
        return None, query
    asked, left = _sorted_out(query, OURS - THEIRS[listing])
    form = _form(accept, wanted=bool(asked))
    if form is None:
        return None, query
    if form is not Form.JSON and any(_name(piece) == "update_time" for piece in left):
        raise _refused(
            "update_time goes with JSON alone: in another form, 'nothing has changed' would look like an empty list",
            "Send the ETag of the last answer as If-None-Match instead: it works in every form.",
        )
    if form is Form.JSON and not asked:
        return None, query
    return _view(listing, version, form, asked, limits), "&".join(left)


def next_query(query: str, after: str) -> str:
    """Return ``query`` (as it came in) with the cursor ``after`` in the place of the one that it had: that of the next page."""
    return "&".join([*(piece for piece in query.split("&") if _name(piece) != "cursor"), f"cursor={quote_plus(after)}"])


def _view(listing: Listing, version: int, form: Form, asked: Mapping[str, list[str]], limits: Views) -> View:
    return View(
        listing=listing,
        version=version,
        form=form,
        fields=_fields(asked.get("fields"), limits.max_fields),
        users=_users(asked.get("user"), listing),
        states=_states(asked.get("state"), listing),
        partitions=_partitions(asked.get("partition"), listing, version),
        names=_names(asked.get("name")),
        limit=_limit(asked.get("limit"), limits.max_limit),
        after=_after(asked.get("cursor"), listing),
    )


def _sorted_out(query: str, ours: frozenset[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the values of our parameters, and the pieces of the query that are not ours, as they came."""
    asked: dict[str, list[str]] = {}
    left = []
    for piece in query.split("&"):
        name = _name(piece)
        if name not in ours:
            left.append(piece)
            continue
        try:
            value = unquote_plus(piece.partition("=")[2], errors="strict")
        except UnicodeDecodeError:
            raise _refused(f"{name} is not UTF-8", "Percent-encode the UTF-8 bytes of the value.") from None
        if not value:
            raise _refused(f"{name} has no value", f"Give {name} a value, or leave it out: an empty one is as often a mistake as it means 'all'.")
        asked.setdefault(name, []).append(value)
    return asked, left


def _name(piece: str) -> str:
    """Return the name of a parameter; one that is not UTF-8 is nobody's."""
    return unquote_plus(piece.partition("=")[0], errors="replace")


def _form(accept: str | None, *, wanted: bool) -> Form | None:
    """Return the form of the answer, or None when that is slurmrestd's matter; ``wanted`` when there are parameters of ours."""
    if wanted:
        chosen = accepting.best(accept, _FORMS)
        if chosen is None:
            raise NotAcceptable("view_not_acceptable")
        return Form(chosen)
    chosen = accepting.best(accept, (Form.JSON.value, *_YAML, Form.NDJSON.value, Form.CSV.value))
    return Form(chosen) if chosen in _FORMS else None


def _words(values: Iterable[str], name: str) -> list[str]:
    """Return what stands between the commas of ``values``, each once, in its order."""
    words = list(dict.fromkeys(word.strip() for value in values for word in value.split(",")))
    if "" in words:
        raise _refused(f"{name} has an empty place between its commas", f"Write {name}=one,two.")
    return words


def _one(values: list[str] | None, name: str) -> str | None:
    if values is None:
        return None
    if len(values) > 1:
        raise _refused(f"{name} is given twice", f"Give {name} once.")
    return values[0]


def _fields(values: list[str] | None, most: int) -> tuple[str, ...]:
    if values is None:
        return ()
    fields = _words(values, "fields")
    for field in fields:
        if _FIELD.fullmatch(field) is None:
            raise _refused(
                "one of the fields is no name that Slurm could have",
                "Names have letters, digits and '_'; a '.' leads inside: fields=job_id,name,job_state or fields=job_id,time.start.",
            )
    if len(fields) > most:
        raise _refused(f"there are more than {most} fields", "Ask for fewer fields, or for all: leave 'fields' out.")
    return tuple(fields)


def _users(values: list[str] | None, listing: Listing) -> frozenset[str] | None:
    if values is None:
        return None
    if listing is Listing.NODES:
        raise _refused("nodes belong to no user", "Nodes are filtered by state, partition and name.")
    return frozenset(_words(values, "user"))


def _states(values: list[str] | None, listing: Listing) -> frozenset[str] | None:
    if values is None:
        return None
    known = NODE_STATES if listing is Listing.NODES else JOB_STATES
    words = [word.upper() for word in _words(values, "state")]
    wrong = next((word for word in words if word not in known), None)
    if wrong is not None:
        states = sorted(set(known.values()))
        is_word = _STATE.fullmatch(wrong) is not None
        meant = difflib.get_close_matches(wrong, states, n=1) if is_word else []
        named, perhaps = f"'{wrong}'" if is_word else "one of the states", f"Did you mean {meant[0]}? " if meant else ""
        raise _refused(f"{named} is none of Slurm's", f"{perhaps}The states are {', '.join(states)}, and their short forms.")
    return frozenset(known[word] for word in words)


def _partitions(values: list[str] | None, listing: Listing, version: int) -> frozenset[str] | None:
    if values is None:
        return None
    if listing is Listing.NODES and version == NAMELESS_VERSION:
        raise _refused(
            "nodes do not tell their partitions in v0.0.36", "Use v0.0.37 or later, or GET /slurm/v0.0.36/partitions, which names the nodes of each."
        )
    return frozenset(_words(values, "partition"))


def _names(values: list[str] | None) -> frozenset[str] | None:
    """Return the names: a job may have commas in its own, so what stands in one parameter is a name as a whole, too."""
    if values is None:
        return None
    return frozenset(word for value in values for word in (value, *value.split(",")) if word)


def _limit(values: list[str] | None, most: int) -> int | None:
    value = _one(values, "limit")
    if value is None:
        return None
    if _NUMBER.fullmatch(value) is None or not 1 <= int(value) <= most:
        raise _refused(
            "limit is not a number in its bounds", f"limit is a number from 1 to {most}; the Link header of the answer leads to the next page."
        )
    return int(value)


def _after(values: list[str] | None, listing: Listing) -> cursor.Position | None:
    value = _one(values, "cursor")
    if value is None:
        return None
    try:
        return cursor.decode(listing.value, choice.IDENTITIES[listing], value)
    except cursor.CursorBroken:
        raise _refused(
            "the cursor is not one of this list", "Take the cursor from the Link header of the page before, or leave it out to begin anew."
        ) from None


def _refused(why: str, hint: str) -> BadRequest:
    return BadRequest("view_refused", detail=f"The gateway cannot make this of the list: {why}.", hint=hint)

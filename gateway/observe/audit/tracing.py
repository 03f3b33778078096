"""Who is behind a job (pure): from the request that made it to the session, and from there to the sign-in with its factors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

_SUBMIT = "/job/submit"
# A personal token, the session that it was made in, and that one's sign-in: deeper it never goes.
_DEPTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A request about a job, and how its sender had come in, from the request backwards to the sign-in; empty where the trail has none."""

    request: Fields
    origin: tuple[Fields, ...] = ()

    @property
    def made_it(self) -> bool:
        """Whether the request submitted the job."""
        return _is_submission(self.request)


@dataclass(slots=True)
class _Origins:
    """What the trail says of how sessions and tokens came to be, by their ids, and of sign-ins that were good for one request."""

    by_session: dict[str, Fields] = field(default_factory=dict)
    by_request: dict[str, Fields] = field(default_factory=dict)


def trace(read: Callable[[], Iterable[Fields]], job_id: int, cluster: str | None = None) -> tuple[Act, ...]:
    """Return every request about the job, in their order; ``read`` gives the trail's events from the beginning, each time it is called."""
    requests = [fields for fields in read() if _is_about(fields, job_id, cluster)]
    origins = _Origins()
    sessions = {session for fields in requests if (session := _text(fields, "session"))}
    one_shots = {_text(fields, "request_id") for fields in requests if not _text(fields, "session")} - {""}
    for _ in range(_DEPTH):
        _look_for(read, sessions - origins.by_session.keys(), one_shots - origins.by_request.keys(), origins)
        wanted = {_text(fields, "session") for fields in origins.by_session.values() if _text(fields, "target")} - {""}
        if not wanted - sessions:
            break
        sessions |= wanted
    return tuple(Act(request=fields, origin=tuple(_way(fields, origins))) for fields in requests)


def _look_for(read: Callable[[], Iterable[Fields]], sessions: set[str], requests: set[str], origins: _Origins) -> None:
    if not sessions and not requests:
        return
    for fields in read():
        event, session, target = _text(fields, "event"), _text(fields, "session"), _text(fields, "target")
        if event == "sign_in" and session in sessions:
            origins.by_session.setdefault(session, fields)
        elif event == "sign_in" and _text(fields, "request_id") in requests:
            origins.by_request.setdefault(_text(fields, "request_id"), fields)
        elif target in sessions and target != session:
            origins.by_session.setdefault(target, fields)  # the first that was done about it was making it


def _way(request: Fields, origins: _Origins) -> Iterator[Fields]:
    if not (session := _text(request, "session")):
        if found := origins.by_request.get(_text(request, "request_id")):
            yield found
        return
    for _ in range(_DEPTH):
        found = origins.by_session.get(session)
        if found is None:
            return
        yield found
        if _text(found, "event") == "sign_in":
            return
        session = _text(found, "session")


def _is_about(fields: Fields, job_id: int, cluster: str | None) -> bool:
    if fields.get("job_id") != job_id or type(fields.get("job_id")) is not int:
        return False
    return cluster is None or fields.get("cluster") in {cluster, None}


def _is_submission(fields: Fields) -> bool:
    status = fields.get("status")
    return _text(fields, "path").endswith(_SUBMIT) and type(status) is int and status < 400  # noqa: PLR2004 - RFC 9110 section 15.5


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""

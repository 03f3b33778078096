"""What happened, as a line of JSON (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened: ``event`` names it (``sign_in``, ``sign_out``, ``refusal``, ``request``, ``enrol``, …); never a secret.

    ``session`` is what the request presented, or what a sign-in opened; ``target`` what was acted on (the id of a session, a token, an
    authenticator), ``name`` what people call it, ``scopes`` a personal token's; ``by`` the operator who ran a command, ``rule`` the one of
    the policy that decided, ``client`` what the client calls itself, ``left_out`` how many refusals of its address went before it unwritten.
    """

    event: str
    at: float
    request_id: str | None = None
    user: str | None = None
    by: str | None = None
    address: str | None = None
    client: str | None = None
    method: str | None = None
    path: str | None = None
    cluster: str | None = None
    status: int | None = None
    reason: str | None = None
    cause: str | None = None
    rule: str | None = None
    job_id: int | None = None
    kind: str | None = None
    session: str | None = None
    factor: str | None = None
    target: str | None = None
    name: str | None = None
    scopes: tuple[str, ...] | None = None
    left_out: int | None = None

    def line(self) -> bytes:
        """Return the event as one line of ASCII JSON, empty fields left out; json escapes whatever could break a line."""
        fields = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None and name != "at"}
        return json.dumps({"time": stamp(self.at), **fields}, separators=(",", ":")).encode("ascii") + b"\n"


def stamp(at: float) -> str:
    """Return a time as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

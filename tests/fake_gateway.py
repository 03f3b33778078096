"""A gateway's side of signing in, on loopback and in memory, for tests of the commands: alice and bob, one password, codes that tests set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from tests import saying
from tests.saying import Asked, Says

PASSWORD = "correct horse"
_REASONS = {
    "credentials_required": (401, "The request carries no credentials.", "Sign in."),
    "credentials_refused": (401, "User name, password and one-time code do not fit together.", "Check all three."),
    "token_refused": (401, "The token is unknown, has ended or has expired.", "Sign in again: POST /auth/login with username, password and otp."),
    "second_factor_stale": (403, "This needs a second factor that was proved more recently.", "POST /auth/stepup, then send this again."),
    "enrolment_required": (403, "This account has no second factor yet.", "Ask your administrators to enrol you."),
    "not_found": (404, "You have no personal token with that id.", "GET /auth/tokens lists yours."),
    "throttled": (429, "Too many sign-ins failed in a short time.", "Wait for the seconds that Retry-After names, then try once with a fresh code."),
    "bad_request": (400, "expires_in must be a whole number of seconds.", "Leave it out."),
    "directory_unavailable": (503, "The gateway cannot check passwords at the moment.", "Try again in a minute."),
}


@dataclass(slots=True, kw_only=True)
class Known:
    """A session or a token, as the fake knows it."""

    username: str
    kind: str = "session"
    expires_in: float = 43200.0
    fresh: bool = True
    name: str = ""
    id: str = ""


@dataclass(slots=True)
class FakeGateway:
    """What the fake does: ``codes`` are good once, ``refuse`` are reasons for the next sign-ins, ``asked`` is what came in."""

    url: str = ""
    users: tuple[str, ...] = ("alice", "bob")
    codes: list[str] = field(default_factory=lambda: [f"{number:06d}" for number in range(100, 130)])
    refuse: list[str] = field(default_factory=list)
    refuse_ends: list[str] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    clock: float = 0.0
    number: int = 0

    def session(self, username: str = "alice", **more: Any) -> str:
        """Begin a session and return its token."""
        return self._new(Known(username=username, **more))

    def calls(self) -> list[str]:
        """Return what came in, as methods and paths."""
        return [f"{method} {path}" for method, path, _, _ in self.asked]

    def sent(self, path: str) -> list[Any]:
        """Return the JSON that came to a path."""
        return [json.loads(body) for _, there, _, body in self.asked if there == path and body]

    def _new(self, known: Known) -> str:
        self.number += 1
        token = f"sgw_{self.number:049d}"
        known.id = f"{self.number:032x}"
        self.known[token] = known
        return token

    def answer(  # noqa: PLR0911 - a table of paths
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON and headers."""
        self.asked.append((method, path, headers, body))
        token = headers.get("authorization", "").removeprefix("Bearer ")
        known = self.known.get(token)
        if (method, path) == ("POST", "/auth/login"):
            return self._login(json.loads(body))
        if path == "/health/live":
            return 200, None, {}
        if known is None:
            return _refusal("token_refused" if token else "credentials_required")
        if path == "/auth/session":
            return self._session(token, known) if method == "GET" else self._end(token)
        if path == "/auth/stepup":
            return self._stepup(known, json.loads(body))
        if path.startswith("/auth/tokens"):
            return self._tokens(method, path, known, body)
        if method == "DELETE" and not known.fresh:
            return _refusal("second_factor_stale")
        return 200, {"jobs": [], "errors": [], **({"job_id": 7} if path.endswith("/job/submit") else {})}, {}

    def _login(self, told: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if self.refuse:
            return _refusal(self.refuse.pop(0))
        username = told["username"].lower()
        if username not in self.users or told["password"] != PASSWORD or told["otp"] not in self.codes:
            return _refusal("credentials_refused")
        self.codes.remove(told["otp"])
        token = self._new(Known(username=username))
        tree = {"token": token, "token_type": "Bearer", "expires_in": 43200, "expires_at": self._stamp(43200), "username": username}
        return 200, tree, {}

    def _session(self, token: str, known: Known) -> tuple[int, Any, dict[str, str]]:
        del token
        tree = {
            "username": known.username,
            "kind": known.kind,
            "expires_at": self._stamp(known.expires_in),
            "idle_expires_at": self._stamp(min(3600, known.expires_in)),
            "second_factor_at": self._stamp(-5 if known.fresh else -7300),
            "scopes": ["*"],
        }
        return 200, tree, {}

    def _end(self, token: str) -> tuple[int, Any, dict[str, str]]:
        if self.refuse_ends:
            return _refusal(self.refuse_ends.pop(0))
        del self.known[token]
        return 204, None, {}

    def _stepup(self, known: Known, told: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if told["otp"] not in self.codes:
            return _refusal("credentials_refused")
        self.codes.remove(told["otp"])
        known.fresh = True
        return 200, {}, {}

    def _tokens(self, method: str, path: str, known: Known, body: bytes) -> tuple[int, Any, dict[str, str]]:
        mine = {item.id: token for token, item in self.known.items() if item.kind == "token" and item.username == known.username}
        if method == "POST":
            if not known.fresh:
                return _refusal("second_factor_stale")
            told = json.loads(body)
            token = self._new(Known(username=known.username, kind="token", name=told["name"], expires_in=told.get("expires_in", 2592000)))
            return 201, {"token": token, "id": self.known[token].id, "name": told["name"], "expires_at": self._stamp(60)}, {}
        if method == "GET":
            shown = [{"id": key, "name": self.known[token].name, "scopes": ["read"], "networks": []} for key, token in mine.items()]
            return 200, {"tokens": [{**row, "last_used_at": None, "expires_at": self._stamp(60)} for row in shown]}, {}
        token = mine.get(path.removeprefix("/auth/tokens/"), "")
        return (204, None, {}) if self.known.pop(token, None) else _refusal("not_found")

    def _stamp(self, seconds: float) -> str:
        return datetime.fromtimestamp(int(time.time() + self.clock + seconds), UTC).isoformat().replace("+00:00", "Z")


def _refusal(reason: str) -> tuple[int, Any, dict[str, str]]:
    status, detail, hint = _REASONS[reason]
    headers = {"Content-Type": "application/problem+json", **({"Retry-After": "40"} if status == 429 else {})}
    return status, {"title": reason, "status": status, "detail": detail, "reason": reason, "hint": hint}, headers


@contextmanager
def served() -> Iterator[FakeGateway]:
    """Serve a fake until the end of the block."""
    fake = FakeGateway()

    def answer(asked: Asked) -> Says:
        status, tree, headers = fake.answer(asked.method, asked.path, dict(asked.headers), asked.body)
        more = {"X-Request-ID": "r-1", "Date": formatdate(int(time.time() + fake.clock), usegmt=True), **headers}
        media_type = more.pop("Content-Type", "application/json")
        said = tree if tree is not None else b"ok\n" if status == 200 else b""
        return Says(status=status, body=said, media_type=media_type, headers=tuple(more.items()))

    with saying.served(answer) as fake.url:
        yield fake

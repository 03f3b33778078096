"""Handlers of ``/auth``: sign in, who am I, sign out."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import structlog
from aiohttp import web

from gateway.config import Server
from gateway.errors import AuditUnavailable, BadRequest
from gateway.observe.audit import AuditTrail, Event
from gateway.sessions.sessions import Issued, Sessions, new_id
from gateway.signin.credentials import MAX_LOGIN_BODY, Credentials, from_json, presented
from gateway.web.body import arrived
from gateway.web.context import Context, Routes, client_name
from gateway.web.doorman import Doorman

logger = structlog.get_logger()


class AuthHandlers:
    """What is served under ``/auth``."""

    def __init__(self, *, doorman: Doorman, sessions: Sessions, audit: AuditTrail, settings: Server) -> None:
        self._doorman = doorman
        self._sessions = sessions
        self._audit = audit
        self._settings = settings

    def routes(self) -> Routes:
        """Return what is served where."""
        return {"/auth/login": {"POST": self.login}, "/auth/session": {"GET": self.show_session, "DELETE": self.end_session}}

    async def login(self, context: Context) -> web.Response:
        """Check credentials (JSON, or Basic with X-OTP) and answer with a token."""
        credentials = await self._credentials(context)
        session_id = new_id()
        who = await self._doorman.sign_in(context, credentials, session_id)
        issued = await self._sessions.issue(who, address=context.address, client=client_name(context.request), session_id=session_id)
        if _wants_text(context.request):
            return web.Response(text=issued.token + "\n", headers={"Content-Type": "text/plain; charset=utf-8"})
        return json_answer(_issued(issued, context.now))

    async def _credentials(self, context: Context) -> Credentials:
        request = context.request
        body = await arrived(context, limit=MAX_LOGIN_BODY, timeout=self._settings.body_timeout)
        if "Authorization" not in request.headers and "X-SLURM-USER-TOKEN" not in request.headers:
            return from_json(body)
        who = presented(lambda name: request.headers.getall(name, []))
        if who.credentials is None or body:
            raise BadRequest(
                "login_presented_twice",
                detail="Sign in with a JSON body, or with HTTP Basic and X-OTP and no body, but not with a token and not with both.",
            )
        return who.credentials

    async def show_session(self, context: Context) -> web.Response:
        """Answer who the token belongs to and how long it lives; never with a token."""
        identity = await self._doorman.identify(context)
        return json_answer(
            {
                "username": identity.username,
                "kind": "token" if identity.kind == "token" else "session",
                "expires_at": stamp(identity.expires_at),
                "idle_expires_at": stamp(identity.idle_expires_at),
                "second_factor_at": stamp(identity.second_factor_at),
                "scopes": list(identity.scopes),
                **({"name": identity.name} if identity.kind == "token" else {}),
            }
        )

    async def end_session(self, context: Context) -> web.Response:
        """End the session, or the personal token, that the request came with."""
        identity = await self._doorman.identify(context)
        if identity.session_id is None:
            raise BadRequest("no_session_to_end", detail="The request came with credentials of its own, not with a session's token.")
        await self._sessions.end(identity)
        await note_done(
            self._audit,
            Event(
                event="token_ended" if identity.kind == "token" else "sign_out",
                at=context.now,
                request_id=context.id,
                user=identity.username,
                address=context.address,
                kind=identity.kind,
                session=identity.session_id,
            ),
        )
        return web.Response(status=204)


async def note_done(audit: AuditTrail, event: Event) -> None:
    """Write to the trail what is done already; a session that has ended is not called alive because of a full disk."""
    try:
        await audit.write(event)
    except AuditUnavailable as unavailable:
        logger.error("audit_lost", request_id=event.request_id, cause=unavailable.cause)


def stamp(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _issued(issued: Issued, now: float) -> dict[str, object]:
    return {
        "token": issued.token,
        "token_type": "Bearer",
        "expires_in": int(issued.identity.expires_at - now),
        "expires_at": stamp(issued.identity.expires_at),
        "username": issued.identity.username,
    }


def json_answer(tree: dict[str, object], status: int = 200) -> web.Response:
    """Return ``tree`` as an answer in JSON."""
    return web.Response(status=status, body=json.dumps(tree).encode() + b"\n", headers={"Content-Type": "application/json"})


def _wants_text(request: web.BaseRequest) -> bool:
    """Tell whether the client asks for the bare token: text/plain is the first type it names (RFC 9110 section 12.5.1)."""
    first = request.headers.get("Accept", "").partition(",")[0].partition(";")[0]
    return first.strip().casefold() == "text/plain"

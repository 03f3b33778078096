"""Handlers of one's own sessions: seeing them, ending them, and proving the second factor again."""

from __future__ import annotations

from aiohttp import web

from gateway.config import Server
from gateway.errors import BadRequest, CodeRefused, NotFound
from gateway.observe.audit import AuditTrail, Event
from gateway.sessions.sessions import Sessions
from gateway.signin.credentials import MAX_LOGIN_BODY
from gateway.signin.login import Login
from gateway.store.sessions import SESSION, SessionRow
from gateway.web.auth import json_answer, note_done, stamp
from gateway.web.body import arrived, json_object
from gateway.web.context import Context, Routes
from gateway.web.doorman import OWNERS, Doorman
from gateway.web.problem import refused_as


class SessionHandlers:
    """What is served at ``/auth/sessions`` and ``/auth/stepup``; a personal token may do none of it."""

    def __init__(self, *, doorman: Doorman, login: Login, sessions: Sessions, audit: AuditTrail, settings: Server) -> None:
        self._doorman = doorman
        self._login = login
        self._sessions = sessions
        self._audit = audit
        self._settings = settings

    def routes(self) -> Routes:
        """Return what is served where."""
        return {
            "/auth/sessions": {"GET": self.list},
            "/auth/sessions/{id}": {"DELETE": self.end},
            "/auth/stepup": {"POST": self.step_up},
        }

    async def list(self, context: Context) -> web.Response:
        """Answer with the sessions of the one who asks, newest first."""
        identity = await self._doorman.identify(context, OWNERS)
        rows = await self._sessions.of(SESSION, identity.username, context.now)
        return json_answer({"sessions": [_shown(row, current=row.id == identity.session_id) for row in rows]})

    async def end(self, context: Context) -> web.Response:
        """End one of one's own sessions; another's is not to be told from one that is not there."""
        identity = await self._doorman.identify(context, OWNERS)
        ended = await self._sessions.end_one(context.item, kind=SESSION, username=identity.username)
        if ended is None:
            raise NotFound("no_such_session", detail="You have no session with that id.", hint="GET /auth/sessions lists yours.")
        event = Event(
            event="session_ended",
            at=context.now,
            request_id=context.id,
            user=identity.username,
            address=context.address,
            session=identity.session_id,
            target=ended.id,
        )
        await note_done(self._audit, event)
        return web.Response(status=204)

    async def step_up(self, context: Context) -> web.Response:
        """Take a code for the session's second factor, which is fresh again; it is in the audit trail before anything comes of it."""
        content = await arrived(context, limit=MAX_LOGIN_BODY, timeout=self._settings.body_timeout)
        identity = await self._doorman.identify(context, OWNERS)
        otp = json_object(content, required=frozenset({"otp"}))["otp"]
        if not isinstance(otp, str):
            raise BadRequest("otp_not_a_string", detail="otp must be a string.", hint='Put the code in quotes: {"otp": "123456"}.')
        await self._doorman.require_trail()
        with refused_as(CodeRefused):
            factor = await self._login.step_up(identity.subject, otp, context.address, context.now)
        event = Event(
            event="step_up",
            at=context.now,
            request_id=context.id,
            user=identity.username,
            address=context.address,
            session=identity.session_id,
            factor=factor,
        )
        await self._audit.write(event)
        await self._sessions.prove_again(identity, factor, context.now)
        return json_answer({"second_factor_at": stamp(context.now)})


def _shown(row: SessionRow, *, current: bool) -> dict[str, object]:
    return {
        "id": row.id,
        "created_at": stamp(row.created_at),
        "last_used_at": stamp(row.last_used_at),
        "expires_at": stamp(row.expires_at),
        "address": row.address,
        "client": row.client,
        "second_factor_at": stamp(row.second_factor_at),
        "factor": row.factor,
        "current": current,
    }

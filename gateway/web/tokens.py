"""Handlers of one's own personal access tokens: making one, seeing them, ending one. A session may do it, a personal token may not."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.config import Server
from gateway.config import Tokens as Settings
from gateway.errors import AuditUnavailable, BadRequest, Conflict, NotFound
from gateway.observe.audit import AuditTrail, Event
from gateway.policy.networks import parse_networks
from gateway.policy.scopes import parse_scopes
from gateway.sessions.sessions import Grant, Identity, Issued, Sessions
from gateway.signin.credentials import MAX_LOGIN_BODY
from gateway.store.sessions import TOKEN, SessionRow
from gateway.web.auth import json_answer, note_done, stamp
from gateway.web.body import arrived, json_object
from gateway.web.context import Context, Routes, client_name
from gateway.web.doorman import OWNERS, Doorman

_MAX_NAME = 64
_DEFAULT_SCOPES = ["read"]


class TokenHandlers:
    """What is served at ``/auth/tokens``."""

    def __init__(self, *, doorman: Doorman, sessions: Sessions, audit: AuditTrail, server: Server, settings: Settings) -> None:
        self._doorman = doorman
        self._sessions = sessions
        self._audit = audit
        self._server = server
        self._settings = settings

    def routes(self) -> Routes:
        """Return what is served where."""
        return {"/auth/tokens": {"POST": self.make, "GET": self.list}, "/auth/tokens/{id}": {"DELETE": self.end}}

    async def make(self, context: Context) -> web.Response:
        """Make a token and answer with it, this once; its owner's second factor must have been proved lately."""
        # First, for a session may end while the body is on its way.
        content = await arrived(context, limit=MAX_LOGIN_BODY, timeout=self._server.body_timeout)
        identity = await self._doorman.identify(context, OWNERS)
        grant = read_grant(content, self._settings)
        self._doorman.require_recent_factor(context, identity, self._settings.second_factor_within)
        await self._doorman.require_trail()
        issued = await self._sessions.grant(
            identity,
            grant,
            address=context.address,
            client=client_name(context.request),
            now=context.now,
            most=self._settings.max_per_user,
        )
        if issued is None:
            raise Conflict(
                "too_many_tokens",
                detail=f"You have {self._settings.max_per_user} personal tokens, which is the most there may be. Nothing was made.",
                hint="End one that you do not need any more: GET /auth/tokens, then DELETE /auth/tokens/ID.",
            )
        await self._write_down(context, identity, issued)
        return json_answer(_made(issued, context.now), status=201)

    async def _write_down(self, context: Context, identity: Identity, issued: Issued) -> None:
        """Put the new token into the trail before anybody has it; one that cannot be written down is taken back."""
        token = issued.identity
        try:
            await self._audit.write(
                Event(
                    event="token_created",
                    at=context.now,
                    request_id=context.id,
                    user=identity.username,
                    address=context.address,
                    session=identity.session_id,
                    target=token.session_id,
                    name=token.name,
                    scopes=token.scopes,
                )
            )
        except AuditUnavailable:
            await self._sessions.end(token)
            raise

    async def list(self, context: Context) -> web.Response:
        """Answer with the tokens of the one who asks, newest first, but not with what they are."""
        identity = await self._doorman.identify(context, OWNERS)
        rows = await self._sessions.of(TOKEN, identity.username, context.now)
        return json_answer({"tokens": [_shown(row) for row in rows]})

    async def end(self, context: Context) -> web.Response:
        """End one of one's own tokens; another's is not to be told from one that is not there."""
        identity = await self._doorman.identify(context, OWNERS)
        ended = await self._sessions.end_one(context.item, kind=TOKEN, username=identity.username)
        if ended is None:
            raise NotFound("no_such_token", detail="You have no personal token with that id.", hint="GET /auth/tokens lists yours.")
        event = Event(
            event="token_ended",
            at=context.now,
            request_id=context.id,
            user=identity.username,
            address=context.address,
            session=identity.session_id,
            target=ended.id,
            name=ended.name,
        )
        await note_done(self._audit, event)
        return web.Response(status=204)


def read_grant(content: bytes, settings: Settings) -> Grant:
    """Read what a token is asked for: ``name``, and ``expires_in``, ``scopes``, ``networks`` if need be; raise BadRequest."""
    tree = json_object(content, required=frozenset({"name"}), optional=frozenset({"expires_in", "scopes", "networks"}))
    return Grant(
        name=_name(tree["name"]),
        lifetime=_lifetime(tree, settings),
        scopes=parse_scopes(tree.get("scopes", _DEFAULT_SCOPES)).texts,
        networks=parse_networks(tree.get("networks", [])),
    )


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable() or not name.strip():
        raise BadRequest(
            "name_malformed", detail=f"name must be a text of 1 to {_MAX_NAME} printable characters.", hint='For example {"name": "nightly build"}.'
        )
    return name


def _lifetime(tree: dict[str, Any], settings: Settings) -> float:
    if "expires_in" not in tree:
        return min(settings.default_lifetime, settings.max_lifetime)
    seconds = tree["expires_in"]
    # JSON's true is an int to Python.
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= settings.max_lifetime:
        raise BadRequest(
            "expires_in_malformed",
            detail=f"expires_in must be a whole number of seconds from 1 to {int(settings.max_lifetime)}.",
            hint=f"Leave it out for {int(min(settings.default_lifetime, settings.max_lifetime))} s.",
        )
    return float(seconds)


def _made(issued: Issued, now: float) -> dict[str, object]:
    identity = issued.identity
    return {
        "token": issued.token,
        "token_type": "Bearer",
        "id": identity.session_id,
        "name": identity.name,
        "expires_at": stamp(identity.expires_at),
        "expires_in": int(identity.expires_at - now),
        "scopes": list(identity.scopes),
        "networks": list(identity.networks),
    }


def _shown(row: SessionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "created_at": stamp(row.created_at),
        "last_used_at": stamp(row.last_used_at) if row.last_used_at > row.created_at else None,
        "expires_at": stamp(row.expires_at),
        "scopes": list(row.scopes),
        "networks": list(row.networks),
        "address": row.address,
        "client": row.client,
    }

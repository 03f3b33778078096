"""Handlers of ``/auth/totp``: a second factor of one's own, begun with a ticket, by munge or in a session, and confirmed with its first code."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

import segno
import structlog
from aiohttp import web

from gateway.config import Config
from gateway.errors import (
    AlreadyEnrolled,
    BadRequest,
    CodeRefused,
    Conflict,
    CredentialsRefused,
    MungeRefused,
    NotPermitted,
    Refusal,
    StoreUnavailable,
    TicketRefused,
)
from gateway.observe.audit import AuditTrail, Event
from gateway.sessions.enrolling import enrolment_token
from gateway.sessions.sessions import Identity, Rows, Sessions
from gateway.sessions.tokens import TICKET, is_well_formed, token_digest
from gateway.signin.account import Account, Denied
from gateway.signin.credentials import Credentials, basic_alone, json_object, password_alone
from gateway.signin.enrolment import Begun, Enrolment, read_name
from gateway.signin.gate import Gate
from gateway.signin.login import Directory, Login
from gateway.signin.munge import Munge
from gateway.signin.ways import MUNGE, SESSION, open_ways
from gateway.signin.ways import TICKET as BY_TICKET
from gateway.store.authenticators import AuthenticatorRow
from gateway.store.sessions import ENROLMENT
from gateway.web.auth import json_answer, stamp
from gateway.web.body import arrived
from gateway.web.context import Context, Routes, client_name
from gateway.web.doorman import OWNERS, Doorman
from gateway.web.problem import refused_as

logger = structlog.get_logger()

_MAX_BODY = 8192
# A session confirms what was begun in it or before; an enrolment's token what it was given for.
_CONFIRMERS = OWNERS | {ENROLMENT}
_BEGIN_HINT = (
    'Send {"username", "password", "ticket"}, or {"munge"} from a login node (\'slurm-gateway enroll-me\'), or nothing but a session\'s token; '
    'each with a "name" if you like.'
)
_CONFIRM_HINT = 'Send {"otp": "123456"} with the token that POST /auth/totp answered with, or with the session\'s.'


class Tickets(Protocol):
    """Where tickets are kept."""

    async def redeem(self, username: str, ticket_sha256: bytes, now: float) -> bool:
        """Use a ticket up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """By what somebody without a second factor shows who they are."""

    login: Login
    gate: Gate
    directory: Directory
    munge: Munge
    tickets: Tickets


class EnrolmentHandlers:
    """What is served under ``/auth/totp``."""

    def __init__(
        self,
        *,
        doorman: Doorman,
        proofs: Proofs,
        enrolment: Enrolment,
        rows: Rows,
        sessions: Sessions,
        audit: AuditTrail,
        config: Config,
    ) -> None:
        self._doorman = doorman
        self._proofs = proofs
        self._enrolment = enrolment
        self._rows = rows
        self._sessions = sessions
        self._audit = audit
        self._config = config
        self._ways = config.enrolment.ways if "totp" in config.second_factor.kinds else ()

    def routes(self) -> Routes:
        """Return what is served where."""
        return {
            "/auth/totp": {"GET": self.show, "POST": self.begin},
            "/auth/totp/confirm": {"POST": self.confirm},
            "/auth/totp/{id}": {"DELETE": self.remove},
        }

    async def show(self, context: Context) -> web.Response:
        """Answer with one's own authenticators, and how many recovery codes are left; never with a secret."""
        identity = await self._signed_in(context)
        rows = await self._enrolment.listed(identity.username)
        return json_answer(
            {"authenticators": [_listed(row) for row in rows], "recovery_codes_left": await self._enrolment.recovery_codes_left(identity.username)}
        )

    async def begin(self, context: Context) -> web.Response:
        """Check whoever comes in the way that they come, and answer with a new secret, which waits for its first code."""
        tree, pair = await self._read(context), basic_alone(lambda name: context.request.headers.getall(name, []))
        if pair is not None and not {"username", "password"} & set(tree):
            tree |= dict(zip(("username", "password"), pair, strict=True))
        elif "Authorization" in context.request.headers or "X-SLURM-USER-TOKEN" in context.request.headers:
            return await self._by_session(context, _keys(tree, set(), {"name"}))
        if "munge" in tree:
            with refused_as(MungeRefused):
                return await self._by_munge(context, _keys(tree, {"munge"}, {"name"}))
        with refused_as(TicketRefused):
            return await self._by_ticket(context, _keys(tree, {"username", "password", "ticket"}, {"name"}))

    async def confirm(self, context: Context) -> web.Response:
        """Take the first code of a new authenticator and answer with ten recovery codes, which are shown this once."""
        sent = await self._read(context)
        identity = await self._doorman.identify(context, _CONFIRMERS)
        tree = _keys(sent, {"otp"}, {"id"}, _CONFIRM_HINT)
        code, wanted = tree["otp"], tree.get("id")
        if not isinstance(code, str) or not (wanted is None or isinstance(wanted, str)):
            raise BadRequest("otp_no_string", detail="otp and id must be strings.", hint=_CONFIRM_HINT)
        if identity.kind == ENROLMENT:
            wanted = identity.session_id
        row = await self._enrolment.waiting(identity.username, wanted, context.now)
        with refused_as(CodeRefused):
            codes = await self._enrolment.confirm(
                row, code, context.address, context.now, lambda: self._note(context, "enrol", row.origin, row.id, row.name)
            )
        if identity.kind == ENROLMENT:
            await self._end(context, identity)
        return json_answer({"id": row.id, "name": row.name, "recovery_codes": list(codes)})

    async def _end(self, context: Context, identity: Identity) -> None:
        """End the token of an enrolment that is over, and good for nothing any more; the recovery codes are shown whether or not that works."""
        try:
            await self._sessions.end(identity)
        except StoreUnavailable as error:
            logger.warning("enrolment_not_ended", request_id=context.id, cause=error.cause)

    async def remove(self, context: Context) -> web.Response:
        """Remove one of one's own authenticators, but not the last."""
        identity = await self._signed_in(context, fresh=True)
        await self._note(context, "disenrol", SESSION, context.item)
        await self._enrolment.remove(identity.username, context.item)
        return web.Response(status=204)

    # The ways.

    async def _by_session(self, context: Context, tree: dict[str, Any]) -> web.Response:
        identity = await self._signed_in(context, fresh=True)
        self._require_way(SESSION)
        name = read_name(tree.get("name"))
        return await self._begun(await self._begin(context, identity.username, name, SESSION))

    async def _by_ticket(self, context: Context, tree: dict[str, Any]) -> web.Response:
        self._require_way(BY_TICKET)
        credentials, ticket, name = password_alone(tree["username"], tree["password"]), tree["ticket"], read_name(tree.get("name"))
        if not isinstance(ticket, str):
            raise BadRequest("ticket_no_string", detail="The ticket must be a string.", hint=_BEGIN_HINT)
        context.username = credentials.username
        if not is_well_formed(ticket, TICKET):
            raise CredentialsRefused("ticket_malformed")
        await self._doorman.require_trail()
        account = await self._redeemed(context, credentials, ticket)
        return await self._first(context, account, name, BY_TICKET)

    async def _redeemed(self, context: Context, credentials: Credentials, ticket: str) -> Account:
        """Return whose password and ticket these are, having used the ticket up; what was wrong is told to the trail alone."""
        account, attempt = await self._proofs.login.show_password(credentials.username, credentials.password, context.address, context.now)
        if barred := self._proofs.login.barred(account):
            raise CredentialsRefused(f"ticket_and_{barred}")  # and the attempt stands, as any wrong guess does
        try:
            redeemed = await self._proofs.tickets.redeem(account.username, token_digest(ticket), context.now)
        except Refusal:
            await self._proofs.gate.forget(attempt)
            raise
        if not redeemed:
            raise CredentialsRefused("ticket_refused")
        await self._proofs.gate.forget(attempt)
        return account

    async def _by_munge(self, context: Context, tree: dict[str, Any]) -> web.Response:
        self._require_way(MUNGE)
        credential, name = tree["munge"], read_name(tree.get("name"))
        if not isinstance(credential, str):
            raise BadRequest("munge_no_string", detail="The munge credential must be a string.", hint=_BEGIN_HINT)
        await self._doorman.require_trail()
        account = await self._proofs.directory.by_uid(await self._unix_user(context, credential))
        if isinstance(account, Denied):
            raise CredentialsRefused(f"munge_and_{account.cause}")
        context.username = account.username
        if barred := self._proofs.login.barred(account):
            raise NotPermitted(barred)
        if await self._enrolment.is_enrolled(account.username):
            raise AlreadyEnrolled("already_enrolled")
        return await self._first(context, account, name, MUNGE)

    async def _unix_user(self, context: Context, credential: str) -> int:
        """Return the uid that a munge credential proves; one that does not is counted by address, as tokens are, for it names no account."""
        attempt = await self._proofs.gate.enter_unnamed(context.address, context.now)
        try:
            uid = await self._proofs.munge.prove(credential, _host(context.request), context.now)
        except Refusal as refusal:
            if not isinstance(refusal, CredentialsRefused):
                await self._proofs.gate.forget(attempt)
            raise
        await self._proofs.gate.forget(attempt)
        return uid

    async def _first(self, context: Context, account: Account, name: str | None, origin: str) -> web.Response:
        """Begin for somebody who has no session: a token of its own will confirm it."""
        context.username = account.username
        try:
            begun = await self._begin(context, account.username, name, origin)
        except Conflict as conflict:
            if conflict.cause != "name_taken":
                raise
            # What they came with is used up: a name that is taken does not send them for another ticket.
            begun = await self._begin(context, account.username, None, origin)
        token = await enrolment_token(
            self._rows, account, begun, origin=origin, address=context.address, client=client_name(context.request), now=context.now
        )
        return await self._begun(begun, token=token)

    async def _begin(self, context: Context, username: str, name: str | None, origin: str) -> Begun:
        await self._doorman.require_trail()
        begun = await self._enrolment.begin(username, name, origin=origin, now=context.now)
        await self._note(context, "enrol_begin", origin, begun.id, begun.name)
        return begun

    async def _begun(self, begun: Begun, **more: object) -> web.Response:
        shown = {"id": begun.id, "name": begun.name, "secret": begun.secret, "otpauth_uri": begun.otpauth_uri}
        picture = await asyncio.to_thread(qr_svg, begun.otpauth_uri)
        return json_answer({**shown, "qr_svg": picture, "expires_at": stamp(begun.expires_at), **more})

    # What they share.

    async def _read(self, context: Context) -> dict[str, Any]:
        body = await arrived(context, limit=_MAX_BODY, timeout=self._config.server.body_timeout)
        return json_object(body, _BEGIN_HINT) if body else {}

    def _require_way(self, way: str) -> None:
        if way not in self._ways:
            raise NotPermitted(f"way_closed_{way}", detail="Second factors are not enrolled in this way here.", hint=open_ways(self._ways))

    async def _signed_in(self, context: Context, *, fresh: bool = False) -> Identity:
        """Return who has signed in; raise NotPermitted for anybody else, SecondFactorStale if it should be ``fresh``."""
        identity = await self._doorman.identify(context, OWNERS)
        if fresh:
            self._doorman.require_recent_factor(context, identity, self._config.tokens.second_factor_within)
        return identity

    async def _note(self, context: Context, event: str, origin: str, authenticator_id: str, name: str = "") -> None:
        """Write to the trail what is about to come of it; raise AuditUnavailable."""
        await self._audit.write(
            Event(
                event=event,
                at=context.now,
                request_id=context.id,
                user=context.username,
                address=context.address,
                method=context.request.method,
                path=context.path,
                session=context.identity.session_id if context.identity else None,
                kind=context.identity.kind if context.identity else None,
                factor="totp",
                cause=f"by_{origin}",
                target=authenticator_id,
                name=name or None,
            )
        )


def _listed(row: AuthenticatorRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "created_at": stamp(row.created_at),
        "last_used_at": None if row.last_used_at is None else stamp(row.last_used_at),
        "confirmed": row.confirmed_at is not None,
    }


def _keys(
    tree: dict[str, Any], required: AbstractSet[str] = frozenset(), optional: AbstractSet[str] = frozenset(), hint: str = _BEGIN_HINT
) -> dict[str, Any]:
    """Return ``tree`` if it has these keys and no more; raise BadRequest."""
    if not required <= set(tree) <= required | optional:
        raise BadRequest("body_wrong_keys", detail=f"The body must have these keys: {', '.join(sorted(required)) or 'none'}.", hint=hint)
    return tree


def _host(request: web.BaseRequest) -> str:
    """Return the name that the request was sent to, without its port; nginx lets only names of its own pass."""
    host = request.headers.get("Host", "").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def qr_svg(uri: str) -> str:
    """Return ``uri`` as a QR code in SVG: text without a script."""
    return str(segno.make(uri, error="m").svg_inline(scale=4, border=4))

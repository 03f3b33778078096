"""Who a request is from: a token resolved, or credentials checked for this one request."""

from __future__ import annotations

import asyncio

from gateway.errors import NotPermitted, SecondFactorStale
from gateway.observe.audit import AuditTrail, Event
from gateway.observe.metrics import Metrics
from gateway.sessions.sessions import Identity, Sessions, for_one_request
from gateway.signin.credentials import Credentials, presented
from gateway.signin.login import Login, SignedIn
from gateway.web.context import Context, client_name

# What may make calls of Slurm's, and say who it is. An enrolment's token is good for enrolling only.
CALLERS = frozenset({"session", "token", "one_shot"})
# What may change what its owner has: a session, since somebody signed in for it.
OWNERS = frozenset({"session"})


class Doorman:
    """Turns what a request presents into an identity, or refuses."""

    def __init__(self, *, login: Login, sessions: Sessions, audit: AuditTrail, metrics: Metrics, one_shot_lifetime: float) -> None:
        self._login = login
        self._sessions = sessions
        self._audit = audit
        self._metrics = metrics
        self._one_shot_lifetime = one_shot_lifetime

    async def identify(self, context: Context, kinds: frozenset[str] = CALLERS) -> Identity:
        """Return who the request is from, noting it in ``context``; raise the refusal otherwise, NotPermitted for another kind of token."""
        headers = context.request.headers
        who = presented(lambda name: headers.getall(name, []))
        if who.token is not None:
            identity = await self._sessions.resolve(who.token, context.address, context.now)
        else:
            if "one_shot" not in kinds:
                # The code is not used up for nothing.
                raise _cannot("one_shot")
            # presented() gives a token, credentials, or raises.
            assert who.credentials is not None  # noqa: S101 - for the type checker
            # Whoever goes away meanwhile does not leave an attempt half counted or a code half used.
            signed_in = await asyncio.shield(self.sign_in(context, who.credentials))
            identity = for_one_request(signed_in, self._one_shot_lifetime)
        context.username = identity.username
        context.identity = identity
        if who.claimed_name is not None and who.claimed_name != identity.username:
            raise NotPermitted(
                "claimed_other_name",
                detail="X-SLURM-USER-NAME names somebody other than the one who signed in.",
                hint="Leave the header out, or name yourself exactly as Slurm does (GET /auth/session).",
            )
        if identity.kind not in kinds:
            raise _cannot(identity.kind)
        return identity

    async def look_again(self, context: Context, now: float) -> Identity:
        """Return who a request is from that has been let in already, as it is ``now``; raise the refusal if it would not be let in any more.

        That a request goes on is no use of its session, which idles meanwhile. Credentials that came with it cannot be looked at again.
        """
        headers = context.request.headers
        who = presented(lambda name: headers.getall(name, []))
        if who.token is None:
            raise _cannot("one_shot")
        return await self._sessions.resolve(who.token, context.address, now, is_use=False)

    def require_recent_factor(self, context: Context, identity: Identity, within: float) -> None:
        """Raise SecondFactorStale unless the second factor was proved within so many seconds; by another node's clock, it may have been later."""
        if not abs(context.now - identity.second_factor_at) <= within:
            raise SecondFactorStale("second_factor_too_old", detail=f"This needs a second factor that was proved within the last {within:.0f} s.")

    async def require_trail(self) -> None:
        """Raise AuditUnavailable unless what is about to be done can be written down."""
        await self._audit.require()

    async def sign_in(self, context: Context, credentials: Credentials, session_id: str | None = None) -> SignedIn:
        """Check both factors; the sign-in is in the audit trail before anything comes of it.

        ``session_id`` is that of the session that it will open; without one it is good for this request alone.
        """
        context.username = credentials.username
        await self.require_trail()
        who = await self._login.sign_in(credentials, context.address, context.now)
        context.username = who.subject.username
        await self._audit.write(
            Event(
                event="sign_in",
                at=context.now,
                request_id=context.id,
                user=who.subject.username,
                address=context.address,
                client=client_name(context.request) or None,
                method=context.request.method,
                path=context.path,
                kind="session" if session_id else "one_shot",
                session=session_id,
                factor=who.method,
            )
        )
        self._metrics.sign_ins.labels(who.method).inc()
        return who


def _cannot(kind: str) -> NotPermitted:
    """Return the refusal of what a token of this kind may not do, however good it is."""
    detail = {
        "token": "A personal token may not do that; a session may.",
        "enrolment": "This token is for confirming an authenticator, and for nothing else.",
    }
    return NotPermitted(
        f"{kind}_cannot", detail=detail.get(kind, "That needs a session."), hint="Sign in (POST /auth/login) and use that session's token."
    )

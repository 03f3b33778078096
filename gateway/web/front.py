"""The front door: opens each request, finds its handler by the one spelling of its path, and ends it: refusal to answer, audit, log, metrics."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web

from gateway.config import Server
from gateway.errors import (
    BadRequest,
    CredentialsRefused,
    EnrolmentRequired,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Refusal,
    Throttled,
    Unavailable,
)
from gateway.observe.audit import AuditTrail, Event
from gateway.observe.audit.folding import Folding
from gateway.observe.metrics import Metrics
from gateway.policy.path import canonical
from gateway.policy.route import METHODS, changes_something, is_proxied, methods_of, named_job
from gateway.web import problem
from gateway.web.context import Context, Handler, Routes, holds_secret, open_context
from gateway.web.cors import Cors
from gateway.web.slurm import SlurmHandler

logger = structlog.get_logger()

# An id of ours, as secrets.token_hex(16) makes them.
_ITEM = re.compile(r"[0-9a-f]{32}")
_GRACE = 1.0
# Causes that say that nobody has the name which was typed: it may be a password, typed into the wrong place.
_NOBODYS = frozenset({"user_unknown", "domain_foreign"})
_VERSIONS = (HttpVersion10, HttpVersion11)
# The paths of ours where HEAD is GET without a body. None is here whose GET streams or hands something out.
_HEADED = frozenset({"/auth/session", "/auth/sessions", "/auth/tokens", "/auth/totp", "/health/live"})
_COUNTED = frozenset({*METHODS, "HEAD", "OPTIONS"})
# What is refused in the form that Slurm's clients show.
_LIKE_SLURM = frozenset({"slurm", "events"})


class FrontDoor:
    """The handler of every public request."""

    def __init__(  # noqa: PLR0913 - all that every answer needs meets here
        self,
        *,
        own: Iterable[Routes],
        proxied: SlurmHandler,
        audit: AuditTrail,
        metrics: Metrics,
        settings: Server,
        log_reads: bool,
        refusal_time: float,
        folding: Folding,
        cors: Cors,
    ) -> None:
        self._proxied = proxied
        self._audit = audit
        self._metrics = metrics
        self._settings = settings
        self._log_reads = log_reads
        self._refusal_time = refusal_time
        self._folding = folding
        self._cors = cors
        self._unfinished: set[asyncio.Task[web.StreamResponse]] = set()
        self._under_way = 0
        self._ended = asyncio.Event()
        self._table: dict[str, Mapping[str, Handler]] = {"/health/live": {"GET": _alive}}
        for routes in own:
            self._table.update(routes)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer ``request``; every way out of here is timed, counted, logged and, where the trail wants it, audited."""
        context = open_context(request, self._settings)
        self._under_way += 1
        status = 499  # what nginx logs for a client that went away before its answer
        try:
            response = await (self._to_its_end(context) if _counts(request) else self._answer(context))
            status = response.status
        except (ConnectionError, asyncio.CancelledError):
            context.cause = "client_gone"
            raise
        finally:
            self._under_way -= 1
            self._ended.set()
            self._note(context, status)
        return response

    @property
    def under_way(self) -> int:
        """Requests being served."""
        return self._under_way

    async def _to_its_end(self, context: Context) -> web.StreamResponse:
        """Answer a request that counts even if its sender goes away meanwhile: the trail has to have how it ended."""
        task = asyncio.create_task(self._answer(context))
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def drain(self, limit: float) -> None:
        """Let the requests under way finish within ``limit`` seconds; then break off those that may change something, and put them into the trail."""
        try:
            async with asyncio.timeout(limit):
                while self._under_way or self._unfinished:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            logger.warning("broken_off", requests=self._under_way, changing=len(self._unfinished))
        late = set(self._unfinished)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def close(self) -> None:
        """Break off what is left, after a moment, and put it into the trail."""
        await self.drain(_GRACE)

    def _finished(self, task: asyncio.Task[web.StreamResponse]) -> None:
        self._unfinished.discard(task)
        self._ended.set()
        if not task.cancelled():
            task.exception()  # whoever waits has it; a client that has gone is no news

    async def _answer(self, context: Context) -> web.StreamResponse:
        try:
            response = await self._dispatch(context)
            if not response.prepared:
                await self._before_answer(context, response)
        except Refusal as refusal:
            response = await self._refused(context, refusal)
        except asyncio.CancelledError:
            self._broken_off(context)
            raise
        except ConnectionError:
            raise
        except Exception:
            logger.exception("request_failed", request_id=context.id)
            response = await self._refused(context, InternalError("unexpected exception"))
        return response

    async def _dispatch(self, context: Context) -> web.StreamResponse:
        request = context.request
        if request.raw_path.startswith(("/slurm", "/openapi", "/clusters", "/events")):
            context.kind = "slurm"  # a refusal in the form that Slurm's clients show, whatever is wrong with the rest of the path
        if request.version not in _VERSIONS:
            raise BadRequest("http_version", detail="The gateway speaks HTTP/1.0 and HTTP/1.1.")
        if holds_secret(request.raw_path):
            raise BadRequest(
                "secret_in_target",
                detail="A token stands in the address, where logs keep it. Nothing was forwarded.",
                hint="End that session (DELETE /auth/session), sign in again, and send the token in a header.",
            )
        target = canonical(request.raw_path)
        context.path = target.path
        if request.method == "OPTIONS":
            return self._options(context, target.path)
        if is_proxied(target.path):
            context.kind = "slurm"
            context.changes = changes_something(request.method, target.path)
            context.job_id = named_job(target.path)
            return await self._proxied.handle(context, target, lambda response: self._before_answer(context, response))
        context.kind = "other"
        methods = self._own(context, target.path)
        context.kind = "auth" if target.path.startswith("/auth/") else "health"
        takes = _taken(methods, target.path)
        if request.method not in takes:
            allow = ", ".join(takes)
            raise MethodNotAllowed("method_not_allowed", detail=f"This path takes {allow}.", headers=(("Allow", allow),))
        return await methods[context.method](context)

    def _options(self, context: Context, path: str) -> web.Response:
        """Say what a path takes (RFC 9110 section 9.3.7), to anybody, for README.md says so too; nothing of it reaches slurmrestd."""
        if (allowed := self._cors.preflight(context.request)) is not None:
            return allowed
        if is_proxied(path):
            context.kind, takes = "slurm", methods_of(path)
        else:
            takes = _taken(self._own(context, path), path)
        return web.Response(status=204, headers={"Allow": ", ".join(takes)})

    def _own(self, context: Context, path: str) -> Mapping[str, Handler]:
        """Return the handlers of a path of ours; raise NotFound."""
        methods = self._table.get(path)
        if methods is None:
            folder, _, item = path.rpartition("/")
            methods = self._table.get(f"{folder}/{{id}}")
            if methods is None or _ITEM.fullmatch(item) is None:
                raise NotFound("no_such_path")
            context.item = item
        return methods

    async def _before_answer(self, context: Context, response: web.StreamResponse) -> None:
        """Put our own headers on an answer, and a changing request into the trail before its sender hears of it."""
        self._seal(context, response)
        if context.changes and not context.audited:
            context.audited = True
            try:
                await self._audit.write(self._event(context, "request", response.status))
            except Refusal as refusal:
                # It has been carried; to hide what Slurm answered would invite doing it twice.
                logger.error("audit_lost", request_id=context.id, cause=refusal.cause)

    def _broken_off(self, context: Context) -> None:
        """Put a changing request that was cancelled under way into the trail: nobody knows whether Slurm acted on it."""
        if context.changes and context.identity is not None and not context.audited:
            context.audited = True
            context.reason = "outcome_unknown"
            try:
                # At once, from this thread: what cancels a request may be the end of this process.
                self._audit.write_now(self._event(context, "request", 499))
            except Refusal as refusal:
                logger.error("audit_lost", request_id=context.id, cause=refusal.cause)

    async def _refused(self, context: Context, refusal: Refusal) -> web.StreamResponse:
        context.reason, context.cause = refusal.reason, refusal.cause
        if refusal.cause in _NOBODYS or (isinstance(refusal, Throttled) and refusal.of_nobody):
            context.username = None
        self._metrics.refusals.labels(refusal.reason).inc()
        response = problem.response(refusal, context.id, proxied=context.kind in _LIKE_SLURM)
        self._seal(context, response)
        context.audited = True
        left_out = self._folding.admit(context.address, context.now) if _is_a_strangers(context, refusal) else 0
        try:
            if left_out is not None:
                await self._audit.write(replace(self._event(context, "refusal", refusal.status), left_out=left_out or None))
        except Unavailable as unavailable:
            logger.error("audit_lost", request_id=context.id, cause=unavailable.cause)
        if isinstance(refusal, CredentialsRefused):
            await self._evenly(context)
        return response

    async def _evenly(self, context: Context) -> None:
        """Wait for the next whole multiple of the refusal time: how long it took to find out what was wrong tells nothing of what it was."""
        taken = time.monotonic() - context.started
        await asyncio.sleep(self._refusal_time - taken % self._refusal_time)

    def _seal(self, context: Context, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["X-Request-ID"] = context.id
        headers.setdefault("Cache-Control", "no-store")
        headers["Server"] = "slurm-gateway"
        for name, value in context.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._cors.mark(context.request, response)

    def _event(self, context: Context, event: str, status: int) -> Event:
        return Event(
            event=event,
            at=context.now,
            request_id=context.id,
            user=context.username,
            address=context.address,
            method=context.request.method[:16],
            path=context.path,
            status=status,
            reason=context.reason,
            cause=context.cause,
            cluster=context.cluster,
            job_id=context.job_id,
            kind=context.identity.kind if context.identity else None,
            session=context.identity.session_id if context.identity else None,
            rule=context.rule,
        )

    def _note(self, context: Context, status: int) -> None:
        seconds = time.monotonic() - context.started
        method = context.request.method if context.request.method in _COUNTED else "other"
        self._metrics.answered(context.kind, method, status, seconds)
        if context.changes or status >= 400 or context.kind == "auth" or self._log_reads:  # noqa: PLR2004 - RFC 9110 section 15.5
            logger.info(
                "request",
                request_id=context.id,
                user=context.username,
                address=context.address,
                method=context.request.method[:16],
                path=context.path,
                status=status,
                reason=context.reason,
                cause=context.cause,
                ms=round(seconds * 1000, 1),
            )


def _taken(methods: Mapping[str, Handler], path: str) -> tuple[str, ...]:
    """Return the methods that a path of ours takes."""
    return (*methods, *(("HEAD",) if path in _HEADED else ()), "OPTIONS")


def _counts(request: web.BaseRequest) -> bool:
    """Tell whether the request may change something, in whatever spelling its path comes, or tries a password."""
    if request.method == "OPTIONS":
        return False
    if request.method not in {"GET", "HEAD"} or "X-OTP" in request.headers:
        return True
    try:
        return changes_something(request.method, canonical(request.raw_path).path)
    except Refusal:
        return False


def _is_a_strangers(context: Context, refusal: Refusal) -> bool:
    """Tell whether a refusal says nothing of anybody we know, so that it matters less the more often it is repeated.

    A guess at credentials is none of these: there are not many, for the throttle counts them.
    """
    return context.identity is None and refusal.status < 500 and not isinstance(refusal, (CredentialsRefused, EnrolmentRequired))  # noqa: PLR2004 - RFC 9110 section 15.6


async def _alive(_context: Context) -> web.Response:
    return web.Response(text="ok\n")

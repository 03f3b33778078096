"""Handler of ``/events``: what happens to jobs, as server-sent events (WHATWG HTML section 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from aiohttp import web

from gateway.config import Server
from gateway.errors import MethodNotAllowed, Refusal
from gateway.observe.metrics import Metrics
from gateway.policy.path import Target
from gateway.policy.route import Route, events_cluster, methods_of
from gateway.proxy.feed import Feed
from gateway.web.authority import Authority
from gateway.web.call import BeforeStream
from gateway.web.choosing import Wish, wish_of
from gateway.web.company import Company, View
from gateway.web.context import Context
from gateway.web.doorman import Doorman
from gateway.web.eyes import Guest
from gateway.web.uploads import Uploads

# Credentials that come with one request are good for that one; a stream would be many.
_LISTENERS = frozenset({"session", "token"})
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx and its like pass on what comes when it comes.
    "X-Accel-Buffering": "no",
}
_HEARTBEAT = b":\n\n"
# Milliseconds after which a client comes back; those of a gateway that stops are spread over a while.
_RETRY = 2000
_RETRY_SPREAD = 50


class EventsHandler:
    """Tells people of what happens to the jobs that they may see."""

    def __init__(
        self,
        *,
        doorman: Doorman,
        authority: Authority,
        default_cluster: str,
        uploads: Uploads,
        company: Company,
        metrics: Metrics,
        server: Server,
        heartbeat: float,
    ) -> None:
        self._doorman = doorman
        self._authority = authority
        self._default_cluster = default_cluster
        self._uploads = uploads
        self._company = company
        self._metrics = metrics
        self._server = server
        self._heartbeat = heartbeat
        self._streams = 0

    async def handle(self, context: Context, target: Target, before_stream: BeforeStream) -> web.StreamResponse:
        """Answer with a stream that lasts until one of the two ends it; ``before_stream`` is awaited with its head."""
        request = context.request
        identity = await self._doorman.identify(context, _LISTENERS)
        cluster = context.cluster = events_cluster(target.path, self._default_cluster, self._company.clusters)
        if context.method != "GET":
            allow = ", ".join(methods_of(target.path))
            raise MethodNotAllowed("method_not_allowed", detail=f"This path takes {allow}.", headers=(("Allow", allow),))
        async with self._uploads.of(request):  # refuses what has a body
            pass
        # Whoever may read the list of jobs may hear of them, and nobody else.
        path = await self._company.sight(cluster).jobs_path(context, identity)
        self._authority.permit(context, identity, Route(cluster, path))
        wish = wish_of(target.query, request.headers.getall("Last-Event-ID", []))
        response = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            await before_stream(response)
            await response.prepare(request)
            return response
        guest = Guest(context=context, identity=identity, cluster=cluster, judged_path=path)
        with self._company.admit(guest, "stream"):
            await before_stream(response)
            await response.prepare(request)
            stream = _Stream(response, guest, wish, self._server.body_timeout)
            try:
                await self._tell(stream, self._company.view(guest, path))
            except TimeoutError:
                # Whoever does not read must not be waited for, not even to be told.
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError("the client does not read its events") from None
        await response.write_eof()
        return response

    async def _tell(self, stream: _Stream, view: View) -> None:
        """Tell what happens for as long as the guest may stay."""
        guest = stream.guest
        loop = asyncio.get_running_loop()
        await stream.write(b"retry: %d\n\n" % _RETRY)
        with self._company.listening(guest, view) as feed:
            spoke = loop.time()
            while guest.ended is None:
                sent = await stream.go_on(feed, view)
                if sent:
                    self._metrics.events_sent.inc(sent)
                if stream.spoke:
                    spoke, stream.spoke = loop.time(), False
                elif loop.time() - spoke >= self._heartbeat:
                    await stream.write(_HEARTBEAT)
                    spoke, stream.spoke = loop.time(), False
                await guest.sleep(spoke + self._heartbeat - loop.time())
        self._streams += 1
        later = _RETRY + self._streams * _RETRY_SPREAD % _RETRY
        await stream.write(b"retry: %d\n" % later + _notice("end", _why(guest.ended)))


class _Stream:
    """One listener's stream, and how far it has come."""

    __slots__ = ("_begun", "_choice", "_last_event_id", "_place", "_response", "_timeout", "_troubled", "guest", "spoke")

    def __init__(self, response: web.StreamResponse, guest: Guest, wish: Wish, timeout: float) -> None:
        self._response = response
        self._timeout = timeout
        self.guest = guest
        self.spoke = False
        self._choice = wish.choice
        self._last_event_id = wish.last_event_id
        self._place = 0
        self._begun = False
        self._troubled = False

    async def write(self, data: bytes) -> None:
        """Send ``data``; raise TimeoutError when the client does not read."""
        async with asyncio.timeout(self._timeout):
            await self._response.write(data)
        self.spoke = True

    async def go_on(self, feed: Feed, view: View) -> int:
        """Tell what there is to tell since the last time; return how many events it were."""
        if feed.trouble is not None and not self._troubled:
            self._troubled = True
            await self.write(_notice("trouble", _why(feed.trouble)))
        if not self._begun:
            if not feed.is_live:
                return 0
            await self._begin(feed, view)
        if self._troubled and feed.trouble is None:
            self._troubled = False
            await self.write(_notice("recovered", {}))
        return await self._catch_up(feed)

    async def _begin(self, feed: Feed, view: View) -> None:
        """Say from where on this stream tells everything: from the event that the client had last, or from now."""
        self._begun = True
        told = {"cluster": view.cluster, "jobs": "own" if view.owner else "all"}
        asked, self._last_event_id = self._last_event_id, None
        place = None if asked is None else feed.history.place_of(asked)
        if asked is None:
            self._place = feed.history.newest
            await self.write(self._notice_here(feed, "ready", {**told, "resumed": False}))
        elif place is None or not feed.history.has_all_after(place):
            await self._start_anew(feed, "unknown_id" if place is None else "too_old", told)
        else:
            self._place = place
            await self.write(self._notice_here(feed, "ready", {**told, "resumed": True}))

    async def _start_anew(self, feed: Feed, why: str, told: Mapping[str, object]) -> None:
        """Say that something may have been missed, so that the client looks at the list."""
        self._place = feed.history.newest
        hint = "Events may have been missed: read the list of jobs anew. This stream goes on from now."
        await self.write(self._notice_here(feed, "reset", {**told, "reason": why, "hint": hint}))

    async def _catch_up(self, feed: Feed) -> int:
        """Send what has come since, one piece after the other, as fast as the client reads."""
        if not feed.history.has_all_after(self._place):
            await self._start_anew(feed, "too_slow", {})
        sent = 0
        for piece in feed.history.after(self._place, self._choice):
            if self.guest.ended is not None:
                break
            if sent:
                await asyncio.sleep(0)  # those who read as fast as this writes leave nobody else their turn
            if piece.data:
                await self.write(piece.data)
            self._place = piece.last
            sent += piece.events
        return sent

    def _notice_here(self, feed: Feed, event: str, tree: Mapping[str, object]) -> bytes:
        """Return an event of ours with the id of the place where the stream is, from which it can be resumed."""
        return b"id: " + feed.history.id_of(self._place) + b"\n" + _notice(event, tree)


def _why(refusal: Refusal) -> dict[str, object]:
    return {"reason": refusal.reason, "title": refusal.title, "detail": refusal.detail, "hint": refusal.hint}


def _notice(event: str, tree: Mapping[str, object]) -> bytes:
    """Return an event about the stream itself."""
    return f"event: {event}\ndata: {json.dumps(tree)}\n\n".encode()

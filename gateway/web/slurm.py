"""Handler of whatever belongs to a cluster: Slurm's own calls, and the events that the gateway makes of them."""

from __future__ import annotations

from aiohttp import web

from gateway.policy.path import Target
from gateway.policy.route import is_events
from gateway.web.call import BeforeStream
from gateway.web.context import Context
from gateway.web.events import EventsHandler
from gateway.web.proxied import ProxiedHandler


class SlurmHandler:
    """Hands a request on to whom it is for."""

    def __init__(self, *, proxied: ProxiedHandler, events: EventsHandler) -> None:
        self._proxied = proxied
        self._events = events

    async def handle(self, context: Context, target: Target, before_stream: BeforeStream) -> web.StreamResponse:
        """Answer the request; ``before_stream`` is awaited with the head of an answer that is not given as a whole."""
        if is_events(target.path):
            context.kind = "events"
            return await self._events.handle(context, target, before_stream)
        return await self._proxied.handle(context, target, before_stream)

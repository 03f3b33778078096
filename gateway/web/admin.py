"""Handler of the administrators' listener: health by name, and metrics."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable

from aiohttp import web

from gateway.observe.health import Health
from gateway.observe.metrics import CONTENT_TYPE, Metrics


class AdminHandler:
    """Serves ``/health/live``, ``/health/ready`` and ``/metrics``, to GET alone."""

    def __init__(self, *, health: Health, metrics: Metrics, refresh: Callable[[], None]) -> None:
        self._health = health
        self._metrics = metrics
        self._refresh = refresh

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer ``request``; the answer has an id, as every answer of the gateway's does."""
        response = await self._answer(request)
        response.headers.update({"X-Request-ID": secrets.token_hex(16), "Server": "slurm-gateway"})
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return web.Response(status=405, text="GET only\n", headers={"Allow": "GET"})
        if request.path == "/health/live":
            return web.Response(text="ok\n")
        if request.path == "/health/ready":
            return await self._ready()
        if request.path == "/metrics":
            self._refresh()
            return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})
        return web.Response(status=404, text="There are /health/live, /health/ready and /metrics.\n")

    async def _ready(self) -> web.Response:
        found = await self._health.readiness()
        body = json.dumps({"ready": found.ready, "checks": dict(found.checks)}).encode() + b"\n"
        return web.Response(status=200 if found.ready else 503, body=body, headers={"Content-Type": "application/json", "Cache-Control": "no-store"})

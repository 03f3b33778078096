"""aiohttp's server with our own answer to what is not HTTP: a problem document that repeats nothing of it."""

from __future__ import annotations

import secrets

import structlog
from aiohttp import web

from gateway.errors import BadRequest, InternalError, Refusal
from gateway.web import problem

logger = structlog.get_logger()


class HttpProtocol(web.RequestHandler):
    """One connection of a client."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer to a request that could not be parsed, or whose handler failed beyond its own answering; it ends the connection."""
        del message  # it quotes the sender
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        malformed = 400 <= status < 500  # noqa: PLR2004 - RFC 9110 section 15.5
        refusal: Refusal = (
            BadRequest("http_malformed", detail="The request is not well-formed HTTP.") if malformed else InternalError("handler failed")
        )
        request_id = secrets.token_hex(16)
        logger.info("not_served", request_id=request_id, status=refusal.status, cause=type(exc).__name__)
        response = problem.response(refusal, request_id, proxied=False)
        response.headers.update({"X-Request-ID": request_id, "Server": "slurm-gateway", "Cache-Control": "no-store"})
        response.force_close()
        return response


class HttpServer(web.Server):
    """Makes our protocol for each connection."""

    def __call__(self) -> HttpProtocol:
        """Return the protocol of a new connection."""
        return HttpProtocol(self, loop=self._loop, **self._kwargs)

"""Web pages of other origins: a browser lets them read an answer only if that says so (the CORS protocol of the Fetch standard).

No cookie is set here and none is read, and what a browser keeps of HTTP Basic is worth nothing without a new code. So a page, listed or
not, can do here what it has a token for and no more: a request of an unlisted one is answered like any other program's, but the browser
does not show it the answer, and sends none at all that carries a token (its pre-flight is refused).
"""

from __future__ import annotations

from aiohttp import web

from gateway.config import Cors as Settings
from gateway.errors import NotPermitted

METHODS = ("GET", "HEAD", "POST", "DELETE")
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "X-OTP", "X-SLURM-USER-NAME", "X-SLURM-USER-TOKEN", "Idempotency-Key"),
    *("If-None-Match", "Last-Event-ID", "Cache-Control", "Accept"),
)
RESPONSE_HEADERS = (
    *("ETag", "Link", "X-Cache", "Age", "X-Request-ID", "Retry-After", "Idempotency-Replayed"),
    *("X-Gateway-Repaired", "Deprecation", "Sunset"),
)


class Cors:
    """Answers pre-flights, and puts on each answer which page may read it; does nothing while no origin is listed."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.origins)
        self._allowed = {
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(REQUEST_HEADERS),
            "Access-Control-Max-Age": str(int(settings.max_age)),
        }

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer to a pre-flight, which asks for nothing but whether a page may ask; None for any other request.

        Raise NotPermitted for a page of an origin that is not listed.
        """
        headers = request.headers
        if not self._origins or request.method != "OPTIONS" or "Origin" not in headers or "Access-Control-Request-Method" not in headers:
            return None
        if self._listed(request) is None:
            raise NotPermitted(
                "origin_not_listed",
                detail="Pages of this origin may not call the gateway from a browser.",
                hint="Ask your administrators to list the page's origin, exactly as the browser sends it, in cors.origins.",
            )
        return web.Response(status=204, headers=self._allowed)

    def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Say on an answer who may read it, and to caches that this depends on who asks."""
        if not self._origins:
            return
        headers = response.headers
        headers["Vary"] = f"{headers['Vary']}, Origin" if "Vary" in headers else "Origin"
        if (origin := self._listed(request)) is not None:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = ", ".join(RESPONSE_HEADERS)

    def _listed(self, request: web.BaseRequest) -> str | None:
        """Return the origin of the page, byte for byte as it is listed, or None."""
        values = request.headers.getall("Origin", [])
        return values[0] if len(values) == 1 and values[0] in self._origins else None

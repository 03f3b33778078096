from __future__ import annotations

from typing import Any, cast

import pytest
from aiohttp import web

from gateway.policy.path import Target
from gateway.web.context import Context, open_context
from gateway.web.events import EventsHandler
from gateway.web.proxied import ProxiedHandler
from gateway.web.slurm import SlurmHandler
from tests.unit.web.conftest import Make
from tests.unit.web.test_proxied import SETTINGS


class Named:
    """A handler that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def handle(self, _context: Context, _target: Target, _before: Any) -> web.StreamResponse:
        return web.Response(text=self.name)


@pytest.mark.parametrize(
    ("path", "expected", "kind"),
    [
        ("/events", "events", "events"),
        ("/clusters/main/events", "events", "events"),
        ("/slurm/v0.0.40/jobs", "proxied", "other"),
        ("/clusters/main/slurm/v0.0.40/events", "proxied", "other"),
    ],
)
async def test_a_request_goes_to_whom_it_is_for(make: Make, path: str, expected: str, kind: str) -> None:
    handler = SlurmHandler(proxied=cast("ProxiedHandler", Named("proxied")), events=cast("EventsHandler", Named("events")))
    context = open_context(make(target=path), SETTINGS)
    response = await handler.handle(context, Target(path, ""), cast("Any", None))
    assert isinstance(response, web.Response)
    assert (response.text, context.kind) == (expected, kind)

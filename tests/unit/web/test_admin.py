from __future__ import annotations

import json

import pytest
from aiohttp import web

from gateway.errors import StoreUnavailable
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.web.admin import AdminHandler
from tests.unit.web.conftest import Make


async def fine() -> None:
    """Find nothing wrong."""


async def fails() -> None:
    raise StoreUnavailable("store: OperationalError")


def handler(**probes: object) -> AdminHandler:
    metrics = Metrics()
    return AdminHandler(health=Health(probes), metrics=metrics, refresh=lambda: metrics.upstream_taken.labels("main").set(7))  # type: ignore[arg-type]  # probes


async def answered(handler: AdminHandler, request: web.Request) -> tuple[int, bytes]:
    response = await handler.handle(request)
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response.status, response.body


async def test_live_needs_nothing(make: Make) -> None:
    response = await handler(store=fails).handle(make(target="/health/live"))
    assert response.status == 200


@pytest.mark.parametrize(("probe", "status", "found"), [(fine, 200, "ok"), (fails, 503, "store: OperationalError")])
async def test_ready_names_what_it_found(make: Make, probe: object, status: int, found: str) -> None:
    answer, body = await answered(handler(store=probe), make(target="/health/ready"))
    assert (answer, json.loads(body)) == (status, {"ready": status == 200, "checks": {"store": found}})


async def test_readiness_is_not_kept_by_caches(make: Make) -> None:
    response = await handler(store=fine).handle(make(target="/health/ready"))
    assert response.headers["Cache-Control"] == "no-store"


async def test_metrics_are_measured_when_they_are_asked_for(make: Make) -> None:
    _, body = await answered(handler(), make(target="/metrics"))
    assert b'slurm_gateway_upstream_connections{cluster="main"} 7.0' in body


@pytest.mark.parametrize("target", ["/", "/health", "/health/ready/", "/METRICS", "/auth/session"])
async def test_there_is_nothing_else(make: Make, target: str) -> None:
    assert (await handler().handle(make(target=target))).status == 404


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
async def test_only_get_is_taken(make: Make, method: str) -> None:
    response = await handler().handle(make(method, "/metrics"))
    assert (response.status, response.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("target", ["/health/live", "/health/ready", "/metrics", "/nowhere"])
async def test_every_answer_has_an_id_and_names_no_library(make: Make, target: str) -> None:
    response = await handler(store=fine).handle(make(target=target))
    assert (len(response.headers["X-Request-ID"]), response.headers["Server"]) == (32, "slurm-gateway")

"""What is not HTTP is answered in our own form. Whole exchanges with such senders are in tests/web."""

from __future__ import annotations

import json
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from aiohttp import web

from gateway.web.server import HttpProtocol, HttpServer
from tests.unit.web.conftest import Make


@pytest.fixture
async def protocol() -> HttpProtocol:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    return HttpServer(handler)()


@pytest.fixture
def fresh(make: Make) -> Callable[[], web.Request]:
    def request() -> web.Request:
        return make("GET", "/", writer=Mock(output_size=0))

    return request


@pytest.mark.parametrize(("status", "reason"), [(400, "bad_request"), (414, "bad_request"), (500, "internal_error"), (504, "internal_error")])
async def test_a_failure_is_a_problem_document(protocol: HttpProtocol, fresh: Callable[[], web.Request], status: int, reason: str) -> None:
    response = protocol.handle_error(fresh(), status, ValueError("hunter2"), "hunter2")
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["reason"] == reason
    assert response.headers["X-Request-ID"] == json.loads(response.body)["request_id"]


async def test_nothing_of_the_sender_is_repeated(protocol: HttpProtocol, fresh: Callable[[], web.Request]) -> None:
    response = protocol.handle_error(fresh(), 400, ValueError("hunter2"), "hunter2")
    assert isinstance(response, web.Response)
    assert b"hunter2" not in (response.body or b"")  # type: ignore[operator]  # bytes, as the test above shows


async def test_an_answer_under_way_is_not_followed_by_another(protocol: HttpProtocol, make: Make) -> None:
    with pytest.raises(ConnectionError):
        protocol.handle_error(make("GET", "/", writer=Mock(output_size=1)), 500)

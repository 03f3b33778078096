"""Requests as aiohttp's server would hand them over, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

Peer = tuple[str, int] | tuple[str, int, int, int] | str | None
Make = Callable[..., web.Request]


@pytest.fixture
def make() -> Make:
    """Make a request; its peer is a unix socket unless it is given as an address, or None for one that has gone."""

    def made(method: str = "GET", target: str = "/", fields: Sequence[tuple[str, str]] = (), *, peer: Peer = "", **more: object) -> web.Request:
        transport = Mock(spec=asyncio.Transport)
        transport.get_extra_info.side_effect = lambda name, default=None: {"peername": peer}.get(name, default)
        return make_mocked_request(method, target, headers=CIMultiDict(fields), transport=transport, **more)  # type: ignore[arg-type]  # a test's own

    return made

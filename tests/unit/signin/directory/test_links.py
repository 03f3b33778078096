from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.signin.directory.ldap_directory import connect
from gateway.signin.directory.link import Link
from gateway.signin.directory.links import Links
from tests.unit.signin.directory.conftest import Stranger, settings
from tests.unit.signin.directory.slapd import Slapd


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    links = Links()
    yield links
    links.close()
    await asyncio.sleep(0)


async def one(server: Slapd, url: str | None = None) -> Link:
    return await connect(url or server.url, settings(server))


async def test_a_kept_link_is_taken_once(links: Links, server: Slapd) -> None:
    link = await one(server)
    links.keep(server.url, link)
    assert links.take(server.url) is link
    assert links.take(server.url) is None
    link.close()


async def test_a_link_is_kept_for_its_own_server(links: Links, server: Slapd) -> None:
    links.keep(server.url, await one(server))
    assert links.take(server.secure_url) is None


async def test_the_link_that_was_used_last_is_taken_first(links: Links, server: Slapd) -> None:
    first, second = await one(server), await one(server)
    links.keep(server.url, first)
    links.keep(server.url, second)
    assert links.take(server.url) is second
    second.close()


async def test_a_link_that_waits_too_long_is_closed(server: Slapd) -> None:
    links, link = Links(idle=0.01), await one(server)
    links.keep(server.url, link)
    async with asyncio.timeout(5):
        while link.usable:  # noqa: ASYNC110 - the timer is the pool's own
            await asyncio.sleep(0.005)
    assert links.take(server.url) is None


async def test_a_link_whose_server_has_hung_up_is_not_taken(links: Links, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    stranger = strangers(hangs_up=True)
    link = await one(server, stranger.url)
    links.keep(stranger.url, link)
    async with asyncio.timeout(5):
        while link.usable:  # noqa: ASYNC110 - the farewell comes from outside
            await asyncio.sleep(0.005)
    assert links.take(stranger.url) is None


async def test_a_closed_link_is_not_kept(links: Links, server: Slapd) -> None:
    link = await one(server)
    link.close()
    links.keep(server.url, link)
    assert links.take(server.url) is None


async def test_dropping_a_server_closes_its_links_alone(links: Links, server: Slapd, strangers: Callable[..., Stranger]) -> None:
    stranger = strangers()
    here, there = await one(server), await one(server, stranger.url)
    links.keep(server.url, here)
    links.keep(stranger.url, there)
    links.drop(stranger.url)
    assert (here.usable, there.usable) == (True, False)

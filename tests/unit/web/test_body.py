from __future__ import annotations

import asyncio
import json
from unittest.mock import Mock

import pytest
from aiohttp import streams, web
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, RequestTimeout, TooLarge
from gateway.web.body import json_object, pieces, whole
from tests.unit.web.conftest import Make


def content() -> streams.StreamReader:
    return streams.StreamReader(Mock(spec=BaseProtocol), 2**16, loop=asyncio.get_running_loop())


async def test_a_body_is_given_as_it_arrives(make: Make) -> None:
    stream = content()
    arriving = pieces(make("POST", payload=stream), limit=10, timeout=1.0)
    stream.feed_data(b"ab")
    assert await anext(arriving) == b"ab"
    stream.feed_data(b"cd")
    assert await anext(arriving) == b"cd"
    stream.feed_eof()
    assert [piece async for piece in arriving] == []


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
async def test_a_body_larger_than_the_limit_is_refused(make: Make, size: int, fits: bool) -> None:
    stream = content()
    stream.feed_data(b"x" * size)
    stream.feed_eof()
    reading = whole(make("POST", payload=stream), limit=10, timeout=1.0)
    if fits:
        assert len(await reading) == size
    else:
        with pytest.raises(TooLarge):
            await reading


async def test_a_body_without_end_is_refused_at_the_limit(make: Make) -> None:
    stream = content()
    reading = asyncio.create_task(whole(make("POST", payload=stream), limit=1000, timeout=1.0))
    for _ in range(200):
        stream.feed_data(b"x" * 100)
        await asyncio.sleep(0)
    with pytest.raises(TooLarge):
        await reading


async def test_silence_is_a_timeout(make: Make) -> None:
    with pytest.raises(RequestTimeout):
        await whole(make("POST", payload=content()), limit=10, timeout=0.001)


@pytest.mark.parametrize("error", [web.RequestPayloadError("broken off"), ConnectionResetError()])
async def test_a_body_that_breaks_off_is_no_body(make: Make, error: Exception) -> None:
    stream = content()
    stream.feed_data(b"half")
    reading = asyncio.create_task(whole(make("POST", payload=stream), limit=10, timeout=1.0))
    await asyncio.sleep(0)
    stream.set_exception(error)
    with pytest.raises(BadRequest):
        await reading


async def test_no_body_is_an_empty_one(make: Make) -> None:
    stream = content()
    stream.feed_eof()
    assert await whole(make("POST", payload=stream), limit=10, timeout=1.0) == b""


KEYS = frozenset({"otp"}), frozenset({"name"})


@pytest.mark.parametrize("content", [b'{"otp": "1"}', b' {"otp": "1", "name": null}\n'])
def test_an_object_with_the_keys_that_belong_to_the_call_is_read(content: bytes) -> None:
    assert json_object(content, required=KEYS[0], optional=KEYS[1])["otp"] == "1"


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b'{"name": 1}', b'{"otp": 1, "x": 1}', b'{"otp": 1, "otp": 1}', b"[" * 9000, b"\xff"]
)
def test_anything_else_is_refused_and_told_the_keys(content: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        json_object(content, required=KEYS[0], optional=KEYS[1])
    assert '"otp", "name"' in refused.value.hint


TREES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.binary() | st.dictionaries(st.sampled_from(["otp", "name", "x"]), TREES).map(lambda tree: json.dumps(tree).encode()))
def test_whatever_is_sent_is_an_object_with_its_keys_or_refused(content: bytes) -> None:
    try:
        tree = json_object(content, required=KEYS[0], optional=KEYS[1])
    except BadRequest:
        return
    assert {"otp"} <= set(tree) <= {"otp", "name"}

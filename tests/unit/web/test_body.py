from __future__ import annotations

import asyncio
import json
import time
from unittest.mock import Mock

import pytest
from aiohttp import streams, web
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Server
from gateway.errors import BadRequest, RequestTimeout, TooLarge
from gateway.web.body import arrived, json_object, pieces, whole
from gateway.web.context import open_context
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


async def test_a_request_counts_as_of_when_its_body_is_all_there(make: Make) -> None:
    stream = content()
    context = open_context(make("POST", payload=stream), Server.model_validate({"listen": "unix:/run/gateway.sock"}))
    context.now -= 1000
    stream.feed_data(b"late")
    stream.feed_eof()
    before = time.time()
    assert await arrived(context, limit=10, timeout=1.0) == b"late"
    assert before <= context.now <= time.time()


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


OBJECTS = st.dictionaries(st.sampled_from(["otp", "name", "id", "", "\0"]), st.none() | st.integers() | st.text() | st.lists(st.text()))


@given(st.binary(max_size=200) | OBJECTS.map(json.dumps).map(str.encode) | st.integers(1, 100_000).map(lambda depth: b'{"otp":' * depth))
def test_whatever_a_body_is_it_is_an_object_with_the_keys_or_refused(body: bytes) -> None:
    try:
        tree = json_object(body, required=frozenset({"otp"}), optional=frozenset({"id"}))
    except BadRequest:
        return
    assert {"otp"} <= set(tree) <= {"otp", "id"}

"""Reading request bodies: never more than the limit, never waiting longer than the limit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from gateway.errors import BadRequest, RequestTimeout, TooLarge
from gateway.web.context import Context


async def pieces(request: web.BaseRequest, *, limit: int, timeout: float) -> AsyncIterator[bytes]:  # noqa: ASYNC109 - a limit on each silence
    """Yield the body as it arrives; raise TooLarge above ``limit`` bytes, RequestTimeout after ``timeout`` seconds of silence."""
    await say_continue(request)
    seen = 0
    while True:
        try:
            async with asyncio.timeout(timeout):
                piece = await request.content.readany()
        except TimeoutError:
            raise RequestTimeout("body stalled") from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise BadRequest("body broken off", detail="The body broke off or is malformed. Nothing was done.") from error
        if not piece:
            return
        seen += len(piece)
        if seen > limit:
            raise TooLarge(f"more than {limit} bytes", detail=f"The body is larger than {limit} bytes.")
        yield piece


def expects_continue(request: web.BaseRequest) -> bool:
    """Tell whether the client waits to be told to send its body; raise BadRequest for any other expectation."""
    expect = request.headers.get("Expect")
    if expect is None or request.version < (1, 1):
        return False
    if expect.casefold() != "100-continue":
        raise BadRequest("expectation_unknown", detail="The only expectation that is understood is 100-continue.")
    return True


async def say_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110 section 10.1.1); nginx has done so for those who come through it."""
    if not expects_continue(request):
        return
    if request.transport is None:
        raise RequestTimeout("client gone")
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def whole(request: web.BaseRequest, *, limit: int, timeout: float) -> bytes:  # noqa: ASYNC109 - as above
    """Return the whole body; raise what ``pieces`` raises."""
    return b"".join([piece async for piece in pieces(request, limit=limit, timeout=timeout)])


async def arrived(context: Context, *, limit: int, timeout: float) -> bytes:  # noqa: ASYNC109 - as above
    """Return the whole body; the request counts as of now, when it is all there. Raises what ``pieces`` raises.

    Whoever sends slowly would otherwise choose at what time their code is looked at, and be counted among the failures of a time long ago.
    """
    content = await whole(context.request, limit=limit, timeout=timeout)
    context.now = time.time()
    return content


def json_object(content: bytes, *, required: frozenset[str] = frozenset(), optional: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Read a JSON object with these keys and no others, each once; raise BadRequest, whose hint names them."""
    names = [f'"{name}"' for name in sorted(required)] + [f'"{name}" (may be left out)' for name in sorted(optional)]
    hint = f"Send a JSON object with {', '.join(names)}."
    try:
        tree = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadRequest("body_not_json", detail="The body is not JSON, or has a key twice.", hint=hint) from None
    if not isinstance(tree, dict) or not required <= set(tree) <= required | optional:
        raise BadRequest("body_wrong_keys", detail="The body must be a JSON object with the keys that belong to this call, and no more.", hint=hint)
    return tree


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("a key stands twice")
    return tree

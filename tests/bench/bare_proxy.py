"""The plainest pass-through that aiohttp allows: its bare server and its client, on uvloop, knowing nobody and deciding nothing.

``python -m tests.bench.bare_proxy PORT SOCKET``: what comes to the port goes to the unix socket as it came, and back.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp
import uvloop
from aiohttp import web

# Of the request's headers, those that slurmrestd reads.
PASSED = ("Authorization", "X-SLURM-USER-NAME", "X-SLURM-USER-TOKEN", "Accept", "Content-Type")


async def serve(port: int, path: str) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # As many connections as the gateway's pool has.
    connector = aiohttp.UnixConnector(path, limit=16)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            headers = {name: request.headers[name] for name in PASSED if name in request.headers}
            body = await request.read() if request.body_exists else None
            async with session.request(
                request.method, f"http://localhost{request.raw_path}", headers=headers, data=body, allow_redirects=False
            ) as reply:
                content = await reply.read()
            return web.Response(status=reply.status, headers={"Content-Type": reply.headers["Content-Type"]}, body=content)

        runner = web.ServerRunner(web.Server(handle, access_log=None, auto_decompress=False))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))

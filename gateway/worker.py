"""One worker: the application on uvloop behind the sockets that it was given, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import structlog
import uvloop
from aiohttp import web

from gateway.app import Application
from gateway.config import Config
from gateway.proxy.recency import Recency
from gateway.sockets import BACKLOG
from gateway.web.server import HttpServer

logger = structlog.get_logger()

# For what is left when every request has been answered or broken off: writing out the last answers.
_CLOSE_TIMEOUT = 1.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def run(config: Config, public: socket.socket, admin: socket.socket | None, parent: int | None = None, recency: Recency | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the pipe ``parent`` closes because the supervisor died; reload on SIGHUP.

    ``recency`` is what the workers share. Raises SecretFileError and Refusal when the application cannot be built.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, public, admin, parent, recency or Recency()))


async def _serve(config: Config, public: socket.socket, admin: socket.socket | None, parent: int | None, recency: Recency) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with Application(config, recency) as application:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, application.start_reload)
        if parent is not None:
            loop.add_reader(parent, stop.set)
        doors = [await _open(public, application.front.handle, config)]
        if admin is not None:
            doors.append(await _open(admin, application.admin.handle, config))
        logger.info("serving", pid=os.getpid())
        await stop.wait()
        if parent is not None:
            loop.remove_reader(parent)
        logger.info("stopping", pid=os.getpid(), limit_seconds=config.server.stop_timeout)
        # New clients are turned away at once, instead of waiting in a queue that nobody serves any more.
        for site in doors[0].sites:
            await site.stop()
        public.close()
        application.end_streams()
        # aiohttp would wait for its limit twice over, and only then would what is broken off be put into the trail.
        await application.front.drain(config.server.stop_timeout)
        for door in doors:
            await door.cleanup()
    logger.info("stopped", pid=os.getpid())


async def _open(sock: socket.socket, handler: Handler, config: Config) -> web.ServerRunner:
    limits = config.server
    server = HttpServer(
        handler,
        access_log=None,
        handler_cancellation=True,  # a read whose reader has gone holds no connection to slurmrestd; what may change something goes on
        keepalive_timeout=limits.keepalive_timeout,
        max_line_size=limits.max_header,
        max_field_size=limits.max_header,
        auto_decompress=False,
    )
    runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_TIMEOUT)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=BACKLOG).start()
    return runner

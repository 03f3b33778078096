"""One reply of 150 MB to each of eight people who read it slowly: what memory that takes in all of the gateway's processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.processes import forget_high_water, high_water, resident
from tests.bench.servers import Bench, Person, Server, gateway
from tests.bench.table import Row

PATH = "/slurm/v0.0.38/jobs"
READERS, SIZE = 8, 150 * 1000**2
AIM = 64.0
SLOW_SECONDS = 4.0
_PIECE = 1024**2
# How many random bytes come before they are repeated: more than any window reaches back; what zstd's reaches and gzip's does not; none of it.
KINDS: dict[str, Callable[[], bytes]] = {
    "that does not compress": lambda: os.urandom(64 * _PIECE),
    "that zstd compresses and gzip does not": lambda: os.urandom(_PIECE),
    "that compresses well": lambda: (b'{"job_id":12345,"job_state":"PENDING","name":"a job"},' * 20_000)[:_PIECE],
}


def measure(bench: Bench) -> list[Row]:
    """Measure each kind of reply, for clients that take gzip."""
    rows = []
    for kind, content in KINDS.items():
        with _pouring(bench, content()) as behind, gateway(bench, upstream=behind, tcp=True) as ours:
            more, took = _grown(bench, ours)
        row = Row(
            work=f"{SIZE // 1000**2} MB {kind} to each of {READERS} slow readers",
            without="",
            ours=f"{more:.0f} MB more memory ({took:.0f} s)",
            ratio="",
            aim=f"≤ {AIM:.0f} MB",
            met=more <= AIM,
        )
        rows.append(row)
    return rows


def _grown(bench: Bench, ours: Server) -> tuple[float, float]:
    """Return the MB by which the gateway grew at the most, and the seconds that it took."""
    began, before = time.monotonic(), resident(ours.pids)
    forget_high_water(ours.pids)
    with ThreadPoolExecutor(READERS) as threads:
        list(threads.map(lambda person: _read_slowly(ours, person), bench.people[:READERS]))
    return high_water(ours.pids) - before, time.monotonic() - began


def _read_slowly(ours: Server, person: Person) -> None:
    """Read a little now and then at first, then the rest; what was asked for as gzip may come as it is."""
    host, _, port = ours.address.rpartition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(120)
        connection.connect((host, int(port)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in person.ours().items())
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: gateway\r\nAccept-Encoding: gzip\r\nConnection: close\r\n{lines}\r\n".encode())
        began, got, head = time.monotonic(), 0, b""
        while piece := connection.recv(64 * 1024):
            head = head or piece[:2000]
            got += len(piece)
            if time.monotonic() - began < SLOW_SECONDS:
                time.sleep(0.05)
    if not head.startswith(b"HTTP/1.1 200") or (b"gzip" not in head and got < SIZE):
        raise SystemExit(f"the reply is not whole: {got} bytes, {head[:500]!r}")


@contextlib.contextmanager
def _pouring(bench: Bench, content: bytes) -> Iterator[str]:
    """Stand where slurmrestd would, and answer everything with a reply of that size."""
    path, loop = f"{bench.folder}/pouring", asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % SIZE)
                for start in range(0, SIZE, _PIECE):
                    place = start % len(content)
                    writer.write(content[place : place + min(_PIECE, SIZE - start)])
                    await writer.drain()
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_unix_server(pour, path):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield f"unix:{path}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        Path(path).unlink()

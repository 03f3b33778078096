"""Many calls of one person at once, from a process of its own, so that the flood and whoever is measured beside it share no interpreter.

Run as a program: ``flood.py HOST PORT CA_FILE PATH CONNECTIONS`` with the token on standard input. Each connection asks, reads the whole
answer and asks again, until the program is told to end; it then writes how many answers of each status there were.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import signal
import ssl
import sys

# nginx bounds what one address has under way.
PER_ADDRESS = 100


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Return the status of the answer, once all of it is there."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while length > 0:
        piece = await reader.read(min(length, 2**20))
        if not piece:
            raise ConnectionError("the answer was cut off")
        length -= len(piece)
    return int(head.split(b" ", 2)[1])


async def keep_asking(number: int, place: tuple[str, int], tls: ssl.SSLContext, request: bytes, answers: collections.Counter[str]) -> None:
    """Ask until cancelled, on a connection from an address that not too many others have."""
    ours = (f"127.71.0.{number // PER_ADDRESS + 1}", 0)
    while True:
        try:
            reader, writer = await asyncio.open_connection(*place, ssl=tls, local_addr=ours, limit=2**20)
            while True:
                answers[str(await ask(reader, writer, request))] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            answers[type(error).__name__] += 1


async def flood(host: str, port: int, ca_file: str, path: str, connections: int, token: str) -> collections.Counter[str]:
    """Ask from so many connections until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nCache-Control: no-cache\r\n\r\n".encode()
    answers = collections.Counter[str]()
    tls = ssl.create_default_context(cafile=ca_file)
    tasks = [asyncio.create_task(keep_asking(number, (host, port), tls, request, answers)) for number in range(connections)]
    await stop.wait()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    return answers


def main() -> None:
    host, port, ca_file, path, connections = sys.argv[1:]
    answers = asyncio.run(flood(host, int(port), ca_file, path, int(connections), sys.stdin.readline().strip()))
    print(json.dumps(answers))  # noqa: T201 - this is what it was asked for


if __name__ == "__main__":
    main()

"""The process in which work is done that would hold up an event loop: it does one piece after the other, for ``workshop``.

It is a program of its own, begun with nothing but a socket: no file, no key and no word of the environment of the worker that it works for.
It ends when the other end of the socket closes, be it in the middle of a piece of work, so it never outlives the worker, however that ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import resource
import signal
import socket
import struct
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import Refusal

# Before each message its length.
HEADER = struct.Struct("!Q")
_AT_ONCE = 1024 * 1024
_FRAMES_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a piece of work: its result, or the refusal that it raised, or what went wrong; and the memory held after it, in bytes."""

    result: Any = None
    refusal: Refusal | None = None
    failure: str | None = None
    held: int = 0


def main() -> None:
    """Do what comes in on standard input, which is a socket, until that closes."""
    # The worker says when to stop: a signal for all (a terminal's, systemd's) would end a piece of work that somebody still waits for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What people may see of each other's jobs goes through here.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=0) as worker:
        waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # A thread of its own, so that the end of the worker is seen in the middle of a piece of work.
        threading.Thread(target=_receive, args=(worker, waiting), daemon=True).start()
        while True:
            _send(worker, pickle.dumps(done(waiting.get()), protocol=pickle.HIGHEST_PROTOCOL))


def done(message: bytes) -> Outcome:
    """Do one piece of work; never raise."""
    work: Callable[..., Any] | None = None
    try:
        work, arguments = pickle.loads(message)  # noqa: S301 - from the worker, over a socket that nobody else has
        return Outcome(result=work(*arguments), held=held())
    except Refusal as refusal:
        # A trace would keep what was worked on alive, and says nothing to anybody in another process.
        refusal.__cause__ = refusal.__context__ = refusal.__traceback__ = None
        return Outcome(refusal=refusal, held=held())
    except Exception as error:  # noqa: BLE001 - whoever waits is told
        return Outcome(failure=_told(error), held=held())


def _told(error: Exception) -> str:
    """Return the kind and the place of ``error``, and not its text, in which may stand what was worked on."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_TOLD:]
    return f"{type(error).__name__} at " + ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def held() -> int:
    """Return the memory that this process holds at this moment, in bytes (proc(5), statm: the second number, in pages)."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()


def _send(worker: socket.socket, answer: bytes) -> None:
    try:
        worker.sendall(HEADER.pack(len(answer)))
        worker.sendall(answer)
    except OSError:
        os._exit(0)


def _receive(worker: socket.socket, waiting: queue.SimpleQueue[bytes]) -> None:
    while (header := _exactly(worker, HEADER.size)) and (message := _exactly(worker, HEADER.unpack(header)[0])):
        waiting.put(message)
    # Without a look back: the thread that works may be anywhere.
    os._exit(0)


def _exactly(worker: socket.socket, size: int) -> bytes:
    """Return the next ``size`` bytes, or nothing when the worker has gone."""
    parts = bytearray()
    try:
        while len(parts) < size:
            part = worker.recv(min(size - len(parts), _AT_ONCE))
            if not part:
                return b""
            parts += part
    except OSError:
        return b""
    return bytes(parts)

"""Free ports on loopback, chosen once for a site and kept while nobody else takes them."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
RANGE = range(20000, 32000)
"""Below the range that Linux takes outgoing connections from, so that no client grabs a port before its server is up."""


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as cause:
            if cause.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def choose(known: dict[str, int], names: dict[str, bool], free: Callable[[int], bool] = is_free) -> dict[str, int]:
    """Return a port for each name: the known one if its server runs (`names` says so) or it is still free, else another one."""
    chosen: dict[str, int] = {}
    for name, runs in names.items():
        port = known.get(name)
        if port is None or not (runs or free(port)):
            port = _another(set(known.values()) | set(chosen.values()), free)
        chosen[name] = port
    return chosen


def _another(taken: set[int], free: Callable[[int], bool]) -> int:
    candidates = random.SystemRandom().sample(RANGE, len(RANGE))
    return next(port for port in candidates if port not in taken and free(port))

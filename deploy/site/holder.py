"""Process 1 of the site: puts the private /etc in place, then does nothing but bury the dead.

Run as a script inside fresh mount, PID and host name namespaces: `holder.py SOCKET_FD HOST_NAME SOURCE TARGET [SOURCE TARGET …]`.
It says `ready` on the socket and stays only if it is told to: one that nobody took note of would never be found again.
When it ends, the kernel ends everything in its PID namespace.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

READY, STAY = b"ready", b"stay"
NAME_CACHE = "/run/nscd"
"""A name service cache on the host would answer for the host's accounts: hide its socket."""


def main(arguments: list[str]) -> None:
    """Arrange names and mounts, say that they are ready, and stay."""
    descriptor, name, *places = arguments
    starter = socket.socket(fileno=int(descriptor))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    socket.sethostname(name)
    for source, target in zip(places[::2], places[1::2], strict=True):
        subprocess.run(["mount", "--bind", source, target], check=True)
    if Path(NAME_CACHE).is_dir():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", NAME_CACHE], check=True)
    starter.sendall(READY)
    stays = starter.recv(len(STAY)) == STAY
    starter.close()
    while stays:
        signal.sigwait({signal.SIGCHLD})
        bury()


def bury() -> None:
    """Collect every child that has ended: one signal may stand for many."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])

"""Process 1 of the site: puts the private /etc in place, then does nothing but bury the dead.

Run as a script inside fresh mount, PID and host name namespaces: `holder.py READY_FD HOST_NAME SOURCE TARGET [SOURCE TARGET …]`.
When it ends, the kernel ends everything in its PID namespace.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

NAME_CACHE = "/run/nscd"
"""A name service cache on the host would answer for the host's accounts: hide its socket."""


def main(arguments: list[str]) -> None:
    ready, name, *places = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    socket.sethostname(name)
    for source, target in zip(places[::2], places[1::2], strict=True):
        subprocess.run(["mount", "--bind", source, target], check=True)
    if os.path.isdir(NAME_CACHE):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", NAME_CACHE], check=True)
    os.write(int(ready), b"ready")
    os.close(int(ready))
    while True:
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

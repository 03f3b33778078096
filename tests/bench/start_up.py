"""What it costs to start a command: CPU time until it is done, or until the first byte of its request goes out, against bare Python.

The clock is the kernel's (getrusage(2) of a child that has ended, schedstat of proc(5) of one that still runs); the listener speaks TLS, and
reads a child's time as soon as it has the first byte of the request in it.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import certificates

AIM = 150.0
_TOKEN = "sgw_" + "0" * 49
_HEAD = f"| command | CPU, ms (median) | bare Python, ms | more, ms | ratio | aim | | cores |\n|{'---|' * 8}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where a child finds what it needs."""

    environment: dict[str, str]
    folder: Path


class Listener:
    """A server that never answers."""

    def __init__(self, server: socket.socket, context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context

    def first_byte(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for the first byte of a request, TLS taken off."""
        if not select.select([self._server], [], [], 20)[0]:
            child.kill()
            raise SystemExit(f"no request came: {child.communicate()[1].decode()}")
        plain, _ = self._server.accept()
        with plain, self._context.wrap_socket(plain, server_side=True) as connection:
            if not connection.recv(1):
                raise SystemExit("the child went away")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run start_up", description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="how often each is started, interleaved (%(default)s)")
    parser.add_argument("--command", default=str(Path(sys.executable).parent / "slurm-gateway"), help="the command (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sgw-start-") as name, _listening(Path(name)) as (told, listener):
        ways: dict[str, Callable[[], float]] = {
            "python -c pass": lambda: _to_the_end([sys.executable, "-c", "pass"], told),
            "slurm-gateway --help": lambda: _to_the_end([arguments.command, "--help"], told),
            "slurm-gateway jobs": lambda: _to_the_first_byte([arguments.command, "jobs"], told, listener),
        }
        for start in ways.values():  # once for nothing: what is compiled and read from the disk
            start()
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.runs):
            for way, start in ways.items():
                taken[way].append(start())
    print(f"{arguments.runs} starts each, interleaved\n\n{_HEAD}")
    bare = statistics.median(taken.pop("python -c pass"))
    met = [_row(name, statistics.median(times), bare) for name, times in taken.items()]
    return 0 if all(met) else 1


def _row(name: str, milliseconds: float, bare: float) -> bool:
    more = milliseconds - bare
    verdict = "met" if more <= AIM else "**missed**"
    times = f"{milliseconds:.0f} | {bare:.0f} | {more:+.0f} | {milliseconds / bare:.1f}"
    print(f"| `{name}` | {times} | at most {AIM:.0f} ms more | {verdict} | {os.cpu_count()} |")
    return more <= AIM


def _to_the_end(command: list[str], told: Told) -> float:
    """Return the CPU milliseconds of a child from its start to its end."""
    child = subprocess.Popen(command, env=told.environment, cwd=told.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return 1000 * (used.ru_utime + used.ru_stime)


def _to_the_first_byte(command: list[str], told: Told, listener: Listener) -> float:
    """Return the CPU milliseconds of a child from its start until the first byte of its request is here."""
    child = subprocess.Popen(
        command, env=told.environment, cwd=told.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        listener.first_byte(child)
        # The child waits for its answer now: what is counted is what it has used up to here (nanoseconds).
        return float(Path(f"/proc/{child.pid}/schedstat").read_text().split()[0]) / 1e6
    finally:
        child.kill()
        child.communicate()


@contextmanager
def _listening(folder: Path) -> Iterator[tuple[Told, Listener]]:
    authority, _ = certificates.write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "LANG": "C.UTF-8",
            "SLURM_GATEWAY_URL": f"https://127.0.0.1:{server.getsockname()[1]}",
            "SLURM_GATEWAY_CA": str(authority),
            "SLURM_GATEWAY_TOKEN": _TOKEN,
        }
        yield Told(environment=environment, folder=folder), Listener(server, context)


if __name__ == "__main__":
    sys.exit(main())

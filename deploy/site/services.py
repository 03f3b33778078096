"""One service of the site: what it is, and starting, watching and ending it."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .commands import environment
from .namespace import Namespace
from .processes import Process, session_within, wait_until
from .record import Memory, Started
from .trouble import Trouble

ANSWER_LIMIT = 5.0
"""Seconds that most services may take to answer a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program that runs in the foreground as a user of its own until it is told to end."""

    name: str
    user: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=environment)
    umask: int = 0o077
    nice: int = 0
    usr: Path | None = None
    """The /usr that it sees in place of the host's."""
    reads: tuple[Path, ...] = ()
    """Files whose change means that it must be started anew."""
    socket: Path | None = None
    """What a killed one leaves behind and a new one would stumble over."""
    start_limit: float = 30.0
    answer_limit: float = ANSWER_LIMIT
    """Seconds that one which runs already may take to show that it works; else it is started anew."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_limit: float = 15.0

    def fingerprint(self) -> str:
        """Return what it is started from, as one word."""
        digest = hashlib.sha256(repr((self.user, self.argv, sorted(self.env.items()), self.umask, self.nice, self.usr)).encode())
        for path in self.reads:
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()


class Services:
    """The services of one site, as its memory knows them."""

    def __init__(self, memory: Memory, space: Namespace) -> None:
        self._memory = memory
        self._space = space

    def ensure(self, service: Service) -> bool:
        """See that it runs as it should and answers; True when it had to be started."""
        started = self._memory.record.services.get(service.name)
        if started and started.process.alive():
            if started.fingerprint == service.fingerprint() and wait_until(_quietly(service.ready), service.answer_limit):
                return False
            stop(self._memory, service.name, service.stop_signal, service.stop_limit)
        sweep(self._memory)
        self.start(service)
        return True

    def start(self, service: Service) -> None:
        """Start it and wait until it answers."""
        layout = self._space.layout
        log = layout.log(service.name)
        if service.socket is not None:
            service.socket.unlink(missing_ok=True)
        fingerprint = service.fingerprint()
        prefix = ["nice", "-n", str(service.nice)] if service.nice else []
        process = self._space.seeing(service.usr).start(
            service.argv, service.user, prefix, env=service.env, umask=service.umask, log=log, number=layout.run / f"{service.name}.number"
        )
        with self._memory.change() as record:
            record.services[service.name] = Started(process=process, fingerprint=fingerprint)
        ready = _quietly(service.ready)
        wait_until(lambda: ready() or not process.alive(), service.start_limit)
        if not process.alive():
            raise Trouble(f"{service.name} ended while it was starting.", hint=_hint(service), log=log)
        if not ready():
            limit = f"{service.start_limit:.0f} s"
            raise Trouble(f"{service.name} did not answer within {limit}.", hint=_hint(service), log=log)


def running(memory: Memory, name: str) -> Process | None:
    """Return the process of this service, if it is alive."""
    started = memory.record.services.get(name)
    return started.process if started and started.process.alive() else None


def stop(memory: Memory, name: str, number: signal.Signals, limit: float) -> bool:
    """End a service; False when it had to be killed. One that does not run is stopped already."""
    process = running(memory, name)
    willing = process is None or process.end(number, limit)
    sweep(memory)
    return willing


def sweep(memory: Memory) -> None:
    """Kill what services that have ended left behind: workers of a killed nginx would go on holding its port."""
    holder = memory.record.holder
    if holder is None or not holder.alive():
        return
    for started in list(memory.record.services.values()):
        if not started.process.alive():
            for left in session_within(holder, started.process):
                left.end_now()


def _hint(service: Service) -> str:
    return f"the lines above are {service.name}'s own; `deploy/demo up` tries again from where it is, `down` clears it away."


def _quietly(ready: Callable[[], bool]) -> Callable[[], bool]:
    """Take a probe that fails for a service that is not ready yet."""

    def probe() -> bool:
        try:
            return ready()
        except (OSError, Trouble):
            return False

    return probe

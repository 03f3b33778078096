"""A real slapd, strangers who misbehave, and directories on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from gateway.config import Directory as Settings
from gateway.signin.directory import LdapDirectory
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.slapd import SERVICE, Slapd

Make = Callable[..., LdapDirectory]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    process, server = slapd.start(tmp_path_factory.mktemp("slapd"))
    yield server
    process.terminate()
    process.wait(10)


@pytest.fixture
async def make(server: Slapd) -> AsyncIterator[Make]:
    """Makes directories on the server, closed at the end of the test; what is given is laid over the settings."""
    made: list[LdapDirectory] = []

    def directory(**changes: object) -> LdapDirectory:
        made.append(LdapDirectory(settings(server, **changes)))
        return made[-1]

    yield directory
    for one in made:
        one.close()
    await asyncio.sleep(0)  # transports say farewell on the loop


def settings(server: Slapd, **changes: object) -> Settings:
    return Settings.model_validate(
        {
            "urls": [server.url],
            "allow_plaintext": True,
            "bind_dn": SERVICE,
            "bind_password_file": str(server.password_file),
            "user_base": slapd.BASE,
            "timeout": "5s",
            **changes,
        }
    )


@dataclass(slots=True)
class Stranger:
    """A server that answers each message with the next of ``answers`` and then falls silent, or hangs up when told so."""

    answers: tuple[bytes, ...] = ()
    hangs_up: bool = False
    connections: int = 0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_ones:
            while True:
                connection = open_ones.enter_context(self.listener.accept()[0])
                self.connections += 1
                for answer in self.answers:
                    connection.recv(4096)
                    connection.sendall(answer)
                if self.hangs_up:
                    connection.close()


@pytest.fixture
def strangers() -> Iterator[Callable[..., Stranger]]:
    started: list[tuple[Stranger, threading.Thread]] = []

    def start(*answers: bytes, hangs_up: bool = False) -> Stranger:
        stranger = Stranger(answers, hangs_up)
        thread = threading.Thread(target=stranger.serve)
        thread.start()
        started.append((stranger, thread))
        return stranger

    yield start
    for stranger, thread in started:
        stranger.listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        stranger.listener.close()

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
from gateway.signin.directory.ldap_directory import connect, greet
from gateway.signin.directory.link import Link
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
    heard: list[bytes] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections += 1
                threads.append(threading.Thread(target=self._speak, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join(5)

    def _speak(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            for answer in self.answers:
                self.heard.append(connection.recv(4096))
                connection.sendall(answer)
            if not self.hangs_up:
                while said := connection.recv(4096):
                    self.heard.append(said)


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


@pytest.fixture
async def link(server: Slapd) -> AsyncIterator[Link]:
    """A link on which the service account is bound."""
    link = await connect(server.url, settings(server))
    await greet(link, settings(server))
    yield link
    link.close()
    await asyncio.sleep(0)

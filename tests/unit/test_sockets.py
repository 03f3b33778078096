from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from gateway.config import Endpoint
from gateway.errors import CommandError
from gateway.sockets import bind


def unix(path: Path) -> Endpoint:
    return Endpoint(path=str(path))


def test_a_unix_socket_takes_connections_and_has_its_mode(tmp_path: Path) -> None:
    with bind(unix(tmp_path / "s"), "server.listen", 0o640), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o640


def test_the_umask_is_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        bind(unix(tmp_path / "s"), "server.listen").close()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    bind(unix(tmp_path / "s"), "server.listen").close()
    with bind(unix(tmp_path / "s"), "server.listen"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_a_live_unix_socket_is_left_alone(tmp_path: Path) -> None:
    with bind(unix(tmp_path / "s"), "server.listen"), socket.socket(socket.AF_UNIX) as client:
        with pytest.raises(CommandError, match="something listens there already"):
            bind(unix(tmp_path / "s"), "server.listen")
        client.connect(str(tmp_path / "s"))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, what: str) -> None:
    place = tmp_path / "s"
    if what == "file":
        place.write_text("precious")
    else:
        place.mkdir()
    with pytest.raises(CommandError):
        bind(unix(place), "server.listen")
    assert place.exists()


def test_a_folder_that_is_not_there_is_said_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=rf"^server\.listen: cannot listen on unix:{tmp_path}/no/s: No such file or directory$"):
        bind(unix(tmp_path / "no" / "s"), "server.listen")


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_tcp_socket_takes_connections(host: str, family: socket.AddressFamily) -> None:
    with bind(Endpoint(host=host, port=0), "server.listen") as listener, socket.socket(family) as client:
        client.connect(listener.getsockname()[:2])
        assert listener.family == family


def test_a_port_that_is_taken_is_said() -> None:
    with bind(Endpoint(host="127.0.0.1", port=0), "server.listen") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CommandError, match=rf"^server\.admin_listen: cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            bind(Endpoint(host="127.0.0.1", port=port), "server.admin_listen")


def test_a_unix_socket_whose_queue_is_full_is_live(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as full, contextlib.ExitStack() as waiting:
        full.bind(str(tmp_path / "s"))
        full.listen(0)
        for _ in range(2):  # the queue holds one
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            refused = client.connect_ex(str(tmp_path / "s"))
        started = time.monotonic()
        with pytest.raises(CommandError, match=r"^server\.listen: cannot listen on "):
            bind(unix(tmp_path / "s"), "server.listen")
        assert (refused, time.monotonic() - started < 5) == (errno.EAGAIN, True)
        full.accept()[0].close()  # it is still the one that is there

"""Binding the sockets that the workers share; a stale unix socket is replaced, a live one is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from gateway.config import Endpoint
from gateway.errors import CommandError

BACKLOG = 1024


def bind(endpoint: Endpoint, key: str, mode: int = 0o660) -> socket.socket:
    """Return a listening socket at ``endpoint``; raise CommandError when the place is taken or not to be had."""
    try:
        if endpoint.path is not None:
            return _bind_unix(Path(endpoint.path), mode)
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        return socket.create_server((endpoint.host, endpoint.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CommandError(
            f"{key}: cannot listen on {endpoint}: {error.strerror or error}", "Is a gateway running there already? Else name another place."
        ) from None


def _bind_unix(path: Path, mode: int) -> socket.socket:
    if path.is_socket():
        _remove_if_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Between bind and chmod nobody but us may connect.
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(umask)
    return listener


def _remove_if_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)  # a listener whose queue is full does not answer, but is alive
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (TimeoutError, BlockingIOError):  # Linux does not wait for room in the queue of a unix socket
            pass
    raise OSError(None, "something listens there already")

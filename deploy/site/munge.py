"""munge: how Slurm's daemons and commands know each other's users."""

from __future__ import annotations

import secrets

from .files import owned_directory, owned_file
from .layout import Layout
from .namespace import Namespace
from .services import ANSWER_LIMIT, Service


def prepare(layout: Layout, ids: dict[str, int]) -> None:
    """Make its directories and, once, its key."""
    owner = ids["munge"]
    owned_directory(layout.munge, owner)
    owned_directory(layout.munge_socket.parent, owner, mode=0o755)
    key = layout.munge / "munge.key"
    if not key.exists():
        owned_file(key, secrets.token_bytes(128), owner)


def service(layout: Layout, space: Namespace) -> Service:
    """Return the server; ready when it makes a credential."""
    home, run = layout.munge, layout.munge_socket.parent
    options = {
        "socket": layout.munge_socket,
        "key-file": home / "munge.key",
        "seed-file": home / "munge.seed",
        "log-file": home / "munged.log",
        "pid-file": run / "munged.pid",
    }
    return Service(
        name="munge",
        user="munge",
        argv=("/usr/sbin/munged", "--foreground", *(f"--{name}={path}" for name, path in options.items())),
        umask=0o022,
        socket=layout.munge_socket,
        ready=lambda: bool(space.run(["munge", "-n", "-S", layout.munge_socket], "root", limit=ANSWER_LIMIT)),
    )

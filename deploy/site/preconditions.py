"""May a demo run here? Each refusal is one sentence and one hint, before anything is touched."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .layout import Layout
from .ports import is_free
from .release import Release
from .trouble import Trouble

DEFAULT_PORT = 8443
_SAFE_PATH = re.compile(r"[A-Za-z0-9/._+-]+")
_ELSEWHERE = "choose another directory, for example --state /var/lib/slurm-gateway-demo"


def check_root() -> None:
    """Namespaces, other users and packages are root's."""
    if os.geteuid() != 0:
        raise Trouble("deploy/demo needs root.", hint="run it again as root, for example with sudo.")


def check_place(layout: Layout) -> None:
    """Other users must reach into the directory, sockets in it must have short enough names, and nobody may swap it."""
    root = layout.root
    if not _SAFE_PATH.fullmatch(str(root)):
        raise Trouble(
            f"The state directory {str(root)!r} has characters that configuration files would misread.",
            hint=f"use letters, digits and . _ + - only; {_ELSEWHERE}",
        )
    if len(bytes(root)) > layout.longest_root():
        raise Trouble(
            f"The state directory's path has {len(bytes(root))} characters; unix sockets in it allow {layout.longest_root()}.", hint=_ELSEWHERE
        )
    for parent in reversed(root.parents):
        if parent.exists():
            _check_parent(parent, root)
    nearest = next(place for place in (root, *root.parents) if place.exists())
    if os.statvfs(nearest).f_flag & os.ST_NOEXEC:
        raise Trouble(f"{root} lies on a file system that runs no programs (noexec).", hint=_ELSEWHERE)


def _check_parent(parent: Path, root: Path) -> None:
    status = parent.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise Trouble(f"{parent} is not a directory.", hint=_ELSEWHERE)
    if not status.st_mode & stat.S_IXOTH:
        raise Trouble(f"{root} lies under {parent}, which other users cannot traverse, and the site's services are other users.", hint=_ELSEWHERE)
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    if status.st_uid != 0 or shared:
        raise Trouble(f"{root} lies under {parent}, which someone else than root may change.", hint=_ELSEWHERE)


def check_seen(layout: Layout, release: Release) -> None:
    """Slurm's programs must see the directory; those of another Debian see its /usr in place of the one that lies here."""
    if release.usr and layout.root.is_relative_to("/usr"):
        raise Trouble(f"{layout.root} lies in /usr, which the Slurm of {release.name} does not see.", hint=_ELSEWHERE)


def check_ours(layout: Layout) -> None:
    """Never write into a directory that holds something else."""
    root = layout.root
    if root.exists() and not root.is_dir():
        raise Trouble(f"{root} is not a directory.", hint=_ELSEWHERE)
    if root.is_dir() and any(root.iterdir()) and not layout.marker.exists():
        raise Trouble(f"{root} holds something that is not a demo's.", hint=_ELSEWHERE)


def check_port(port: int) -> None:
    """Refuse a public port that is not free; the caller knows that it is not the site's own nginx that has it."""
    if not is_free(port):
        raise Trouble(
            f"Port {port} on 127.0.0.1 is taken.",
            hint=f"choose another one, for example --port {9443 if port == DEFAULT_PORT else DEFAULT_PORT}; who has it: ss -ltnp 'sport = :{port}'",
        )

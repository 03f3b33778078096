"""The namespaces that the whole site lives in: its own mounts (so its own /etc), process numbers and host name."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .commands import environment, run, run_logged
from .holder import READY, STAY
from .layout import Layout
from .processes import Process, child_of, wait_until, within
from .trouble import Trouble

HOST_NAME = "demo"
"""What the site's machine is called inside; its own /etc/hosts says 127.0.0.1 for it, so Slurm binds there."""

_HINT = "it needs a machine that lets root make namespaces: a virtual machine, or a container with CAP_SYS_ADMIN (for example --privileged)."


@dataclass(frozen=True, slots=True)
class Namespace:
    """The running holder, and how to run something beside it."""

    layout: Layout
    holder: Process
    usr: Path | None = None
    """The programs and libraries that are seen there as /usr; None: the host's."""

    def seeing(self, usr: Path | None) -> Namespace:
        """Return the same place with this /usr."""
        return replace(self, usr=usr)

    def command(self, argv: Sequence[str | Path], user: str) -> list[str]:
        """Return the words that run `argv` inside, as this user, unable to gain rights."""
        words = ["nsenter", f"--target={self.holder.pid}", "--mount", "--uts", "--pid", "--wdns=/"]
        return [*words, "--", *seeing(self.usr), *_as(user), *map(str, argv)]

    def run(self, argv: Sequence[str | Path], user: str, *, env: Mapping[str, str] | None = None, stdin: str = "", limit: float = 60) -> str:
        """Run a program inside to its end; returns what it wrote."""
        return run(self.command(argv, user), env=env, stdin=stdin, limit=limit)

    def run_logged(self, argv: Sequence[str | Path], user: str, log: Path, *, limit: float = 60) -> None:
        """Do the same with a log that keeps all it says."""
        run_logged(self.command(argv, user), log, limit=limit)

    def start(
        self,
        argv: Sequence[str | Path],
        user: str,
        prefix: Sequence[str] = (),
        *,
        env: Mapping[str, str],
        umask: int,
        log: Path,
        number: Path,
    ) -> Process:
        """Start a program inside that stays when this command has ended; it writes its inner number to the file `number`."""
        number.unlink(missing_ok=True)
        script = f'umask {umask:03o}; echo $$ >"$1.new"; mv "$1.new" "$1"; shift; exec "$@" </dev/null'
        inside = ["setsid", "--fork", "sh", "-c", script, "sh", str(number), *prefix, *_as(user), *map(str, argv)]
        run_logged(self.command(inside, "root"), log, env=env, limit=20)
        process = within(self.holder, int(number.read_text())) if wait_until(number.exists, 10) else None
        if process is None:
            raise Trouble(f"{Path(argv[0]).name} ended at once.", hint="the lines above say why.", log=log)
        return process

    def end(self) -> None:
        """Kill the holder: the kernel ends all that is left inside before it lets the holder go."""
        self.holder.end_now()


def seeing(usr: Path | None) -> list[str]:
    """Return the words that give a program, and what it starts, mounts of its own that end with them: /usr holds all that a Debian runs from."""
    if usr is None:
        return []
    script = 'mount --bind -o ro "$1" /usr; shift 2; exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(usr), "--"]


def _as(user: str) -> list[str]:
    if user == "root":
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all", "--no-new-privs"]


def open_namespace(layout: Layout, note: Callable[[Process], None]) -> Namespace:
    """Start a holder, which stays once `note` has written down which process it is. DIR/etc must be there."""
    layout.host_etc.mkdir(parents=True, exist_ok=True)
    log = layout.log("namespace")
    ours, theirs = socket.socketpair()
    apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    program = ["/usr/bin/python3", "-IBS", str(Path(__file__).with_name("holder.py")), str(theirs.fileno()), HOST_NAME]
    places = ["/etc", str(layout.host_etc), str(layout.etc), "/etc"]
    with log.open("a") as output:
        parent = subprocess.Popen(
            [*apart, *program, *places],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    theirs.close()
    with ours:
        ours.settimeout(20)
        holder = child_of(parent.pid) if _received(ours) == READY else None
        if holder is None:
            parent.kill()
            raise Trouble("The site's namespaces could not be made.", hint=_HINT, log=log)
        note(holder)
        ours.sendall(STAY)
    return Namespace(layout, holder)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(len(READY))
    except OSError:
        return b""


def reopen_namespace(layout: Layout, holder: Process | None) -> Namespace | None:
    """Return the namespace that is still there from an earlier command, if it is."""
    return Namespace(layout, holder) if holder is not None and holder.alive() else None

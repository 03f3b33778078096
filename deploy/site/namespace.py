"""The namespaces that the whole site lives in: its own mounts (so its own /etc), process numbers and host name."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import environment, run, run_logged
from .layout import Layout
from .processes import Process, child_of, wait_until, within
from .trouble import Trouble

HOST_NAME = "demo"
"""What the site's machine is called inside; its own /etc/hosts says 127.0.0.1 for it, so Slurm binds there."""

_HINT = (
    "it needs a machine that lets root make namespaces: a virtual machine, or a container with CAP_SYS_ADMIN "
    "(for example --privileged)."
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """The running holder, and how to run something beside it."""

    layout: Layout
    holder: Process

    def command(self, argv: Sequence[str | Path], user: str) -> list[str]:
        """The words that run `argv` inside, as this user, unable to gain rights."""
        words = ["nsenter", f"--target={self.holder.pid}", "--mount", "--uts", "--pid", "--wdns=/"]
        return [*words, "--", *_as(user), *map(str, argv)]

    def run(
        self,
        argv: Sequence[str | Path],
        user: str,
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        limit: float = 60,
    ) -> str:
        """Run a program inside to its end; returns what it wrote."""
        return run(self.command(argv, user), env=env, stdin=stdin, limit=limit)

    def run_logged(self, argv: Sequence[str | Path], user: str, log: Path, *, limit: float = 60) -> None:
        """The same with a log that keeps all it says."""
        run_logged(self.command(argv, user), log, limit=limit)

    def start(
        self, argv: Sequence[str | Path], user: str, *, env: Mapping[str, str], umask: int, log: Path, number: Path
    ) -> Process:
        """Start a program inside that stays when this command has ended; it writes its inner number to the file `number`."""
        number.unlink(missing_ok=True)
        script = f'umask {umask:03o}; echo $$ >"$1.new"; mv "$1.new" "$1"; shift; exec "$@"'
        inside = ["setsid", "--fork", "sh", "-c", script, "sh", str(number), *_as(user), *map(str, argv)]
        with log.open("a") as output:
            subprocess.run(
                self.command(inside, "root"), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(env), cwd="/", timeout=20, check=True,
            )
        wait_until(number.exists, 10)
        process = within(self.holder, int(number.read_text()))
        if process is None:
            raise Trouble(f"{Path(argv[0]).name} ended at once.", hint="the lines above say why.", log=log)
        return process

    def end(self) -> None:
        """Kill the holder: the kernel ends all that is left inside before it lets the holder go."""
        self.holder.end_now()


def _as(user: str) -> list[str]:
    if user == "root":
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all", "--no-new-privs"]


def open_namespace(layout: Layout) -> Namespace:
    """Start a holder. DIR/etc must be there."""
    layout.host_etc.mkdir(parents=True, exist_ok=True)
    log = layout.log("namespace")
    reading, writing = os.pipe()
    places = ["/etc", str(layout.host_etc), str(layout.etc), "/etc"]
    unshare = [
        "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
        "/usr/bin/python3", "-IBS", str(Path(__file__).with_name("holder.py")), str(writing), HOST_NAME, *places,
    ]  # fmt: skip
    with log.open("a") as output:
        parent = subprocess.Popen(
            unshare, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(), cwd="/",
            pass_fds=[writing], start_new_session=True,
        )  # fmt: skip
    os.close(writing)
    is_ready = bool(select.select([reading], [], [], 20)[0]) and os.read(reading, 5) == b"ready"
    os.close(reading)
    holder = child_of(parent.pid) if is_ready else None
    if holder is None:
        parent.kill()
        raise Trouble("The site's namespaces could not be made.", hint=_HINT, log=log)
    return Namespace(layout, holder)


def reopen_namespace(layout: Layout, holder: Process | None) -> Namespace | None:
    """The namespace that is still there from an earlier command, if it is."""
    return Namespace(layout, holder) if holder is not None and holder.alive() else None


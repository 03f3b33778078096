"""A real terminal: a tmux of its own, of a size, in which a person types commands and sees what the screen shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tests.system.people import Person
from tests.system.support import wait_for

LIMIT = 30.0
_PROMPT = "$ "
_DONE = re.compile(r"^\[(\d+)\]$", re.MULTILINE)
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """One window of a private tmux; ``socket`` is its server's."""

    socket: Path
    environment: Mapping[str, str]
    folder: Path

    def type(self, text: str) -> None:
        """Type a line, and the key that ends it."""
        self._tmux("send-keys", "-l", "--", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys, as tmux calls them: ``Enter``, ``C-c``."""
        self._tmux("send-keys", *keys)

    def screen(self, *, colours: bool = False, scrolled: bool = False) -> str:
        """Return what the screen shows, without the spaces and empty lines that nobody sees.

        With ``colours``, also their escape sequences; with ``scrolled``, also what has left the screen at its top.
        """
        shown = self._tmux("capture-pane", "-p", *(("-e",) if colours else ()), *(("-S", "-") if scrolled else ()))
        return "\n".join(line.rstrip() for line in shown.splitlines()).rstrip()

    def wait(self, shows: str | Callable[[str], bool], limit: float = LIMIT) -> str:
        """Wait until the screen shows a text (a regular expression), or what makes the function true; return the screen."""
        found = shows if callable(shows) else lambda screen: re.search(shows, screen, re.MULTILINE) is not None
        last = ""

        def seen() -> str:
            nonlocal last
            last = self.screen()
            return last if found(last) else ""

        try:
            return wait_for(seen, limit, "what was waited for")
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen shows:\n{last}") from None

    def run(self, *words: object, limit: float = LIMIT) -> tuple[int, str]:
        """Run our command on an empty screen to its end; return its exit code, and all that it showed."""
        self.start(*words)
        return self.ended(limit)

    def start(self, *words: object) -> None:
        """Start our command on an empty screen."""
        self._tmux("send-keys", "-R", "C-l")
        self._tmux("clear-history")
        self.wait(lambda screen: screen.strip() in {"", _PROMPT.strip()})
        self.type(shlex.join(["slurm-gateway", *map(str, words)]))

    def ended(self, limit: float = LIMIT) -> tuple[int, str]:
        """Wait for the end of what was started; return its exit code, and all that it showed."""
        self.wait(_DONE.pattern, limit)
        screen = self.screen(scrolled=True)
        said = _DONE.search(screen)
        assert said is not None
        lines = screen[: said.start()].splitlines()
        first = next((index for index, line in enumerate(lines) if line.startswith(_PROMPT)), -1)
        return int(said.group(1)), "\n".join(lines[first + 1 :]).rstrip()

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size, as somebody does who pulls at its corner."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *words]
        done = subprocess.run(command, env=dict(self.environment), cwd=self.folder, capture_output=True, text=True, check=False, timeout=LIMIT)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@contextmanager
def terminal(person: Person, *, columns: int = 80, lines: int = 24, environment: Mapping[str, str] = _NONE) -> Iterator[Terminal]:
    """Open a terminal at which ``person`` sits; ``slurm-gateway`` is the command of this tree, and ``[CODE]`` follows what has ended."""
    tools = person.folder / "bin"
    tools.mkdir(exist_ok=True)
    command = tools / "slurm-gateway"
    command.write_text(f'#!/bin/sh\ntrap : INT\n{shlex.quote(sys.executable)} -m gateway "$@"\ncode=$?\nprintf "[%s]\\n" $code\nexit $code\n')
    command.chmod(0o755)
    theirs = person.environment
    told = {**theirs, "PATH": f"{tools}:{theirs['PATH']}", "TERM": "xterm-256color", "TZ": "UTC", **environment}
    # Not in the person's folder: the name of a socket has 107 bytes at most (unix(7)).
    with tempfile.TemporaryDirectory(prefix="tmux-") as short:
        (shell := Path(short) / "rc").write_text(f"PS1={shlex.quote(_PROMPT)}\n")
        opened = Terminal(socket=Path(short) / "s", environment=told, folder=person.folder)
        opened._tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), f"bash --noprofile --rcfile {shell}")
        try:
            opened._tmux("set-option", "-g", "status", "off", ";", "set-option", "-g", "window-size", "manual")
            opened.resize(columns, lines)
            opened.wait(re.escape(_PROMPT.strip()))
            yield opened
        finally:
            opened._tmux("kill-server")


def masked(screen: str, **patterns: str) -> str:
    """Return a screen with all that ``patterns`` match replaced by their names, filled up to the same width: ``masked(screen, JOB=r"\\d{2,}")``."""
    for name, pattern in patterns.items():
        screen = re.sub(pattern, partial(_mask, name), screen, flags=re.MULTILINE)
    return screen


def _mask(name: str, found: re.Match[str]) -> str:
    return name.ljust(len(found.group()), "_")

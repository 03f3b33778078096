"""Commands in a terminal of their own, for tests of what they ask and what they show there: a pseudoterminal (pty(7)) that is theirs alone."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

LIMIT = 20.0
# A session leader that opens a terminal has it for its controlling one, so that /dev/tty is it, wherever the three streams lead.
_TAKE_TERMINAL = 'exec 9<>"$0"; {streams}exec 9>&-; exec "$@"'
_TO_TERMINAL = {"stdin": "exec 0<&9; ", "stdout": "exec 1>&9; ", "stderr": "exec 2>&9; "}


class Terminal:
    """A command in a terminal: wait for what it shows, type, wait for its end.

    ``stdin``, ``stdout`` and ``stderr`` lead elsewhere than to the terminal where they are given. ``shown`` is all that the terminal was sent.

    >>> with Terminal([sys.executable, "-m", "gateway", "login"], environment) as terminal:
    ...     terminal.answer("User: ", "alice")
    ...     assert terminal.ended() == 0
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        size: tuple[int, int] = (24, 80),
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        given = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        streams = "".join(command for name, command in _TO_TERMINAL.items() if given[name] is None)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _TAKE_TERMINAL.format(streams=streams), os.ttyname(theirs), *words],
            env={"TERM": "xterm", **environment},
            cwd=cwd,
            start_new_session=True,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
        )
        # Kept open here until the command has ended, or the terminal would hang up before the command has taken it.
        self._theirs = theirs
        self._bytes = bytearray()
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(LIMIT)
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def shown(self) -> str:
        """What the command has written to its terminal up to now, and what was typed as far as it was echoed."""
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str, limit: float = LIMIT) -> None:
        """Wait until ``text`` is shown, after what was waited for before; fail if the command ends or ``limit`` seconds pass first."""
        wanted, deadline = text.encode(), time.monotonic() + limit
        while (found := self._bytes.find(wanted, self._seen)) < 0:
            over = self.process.poll() is not None
            if not self._read(0.0 if over else 0.05) and over:
                raise AssertionError(f"it ended with {self.process.returncode} before it showed {text!r}:\n{self.shown}")
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not show {text!r} within {limit} s:\n{self.shown}")
        self._seen = found + len(wanted)

    def type(self, text: str) -> None:
        """Type ``text`` as it is: ``"\\n"`` is the Enter key, ``"\\x03"`` Ctrl-C, ``"\\x04"`` Ctrl-D."""
        os.write(self._ours, text.encode())

    def answer(self, question: str, text: str, limit: float = LIMIT) -> None:
        """Wait for ``question``, then type ``text`` and Enter."""
        self.wait_for(question, limit)
        self.type(f"{text}\n")

    def ended(self, limit: float = LIMIT) -> int:
        """Return the exit code, when the command has ended and all that it showed was read; fail after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while self.process.poll() is None:
            self._read(0.05)
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end within {limit} s:\n{self.shown}")
        while self._read(0.0):
            pass
        return self.process.returncode

    def is_echoing(self) -> bool:
        """Tell whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def _read(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._ours], [], [], seconds)
        if not readable:
            return False
        piece = os.read(self._ours, 65536)
        self._bytes += piece
        return bool(piece)

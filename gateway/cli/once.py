"""What is said once in a terminal: a note that is true of every job is read the first time, and in the way from then on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gateway.client import files
from gateway.client.errors import GatewayError

_MOST = 50


def unsaid(notes: Iterable[str], file: Path) -> list[str]:
    """Return the notes, each of one line, that this terminal has not shown yet, and remember them in ``file``; all where there is no terminal.

    The next terminal is told anew. That nothing can be remembered is no reason to fail.
    """
    told = list(notes)
    if not told or not sys.stderr.isatty():
        return told
    terminal = f"{os.ttyname(sys.stderr.fileno())} {os.getsid(0)}"
    before: list[str] = []
    with suppress(OSError, UnicodeDecodeError):
        first, *before = file.read_text().splitlines() or [""]
        before = before if first == terminal else []
    new = [note for note in told if note not in before]
    if new:
        with suppress(GatewayError):
            files.replace({file: "\n".join([terminal, *[*before, *new][-_MOST:], ""]).encode(errors="replace")})
    return new

"""Asking a person at a terminal, and telling them; standard output is for what a command is for, so this is not it.

Questions go to the controlling terminal (``/dev/tty``, tty(4)), so that somebody can be asked while standard input is a job file and standard
error a log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from gateway.client.errors import printable
from gateway.errors import CommandError
from gateway.secret import Secret

_TERMINAL = "/dev/tty"
_MOST = 4096
_NOBODY = "Run this again at a terminal, and answer the question."


def is_there() -> bool:
    """Tell whether somebody can be asked."""
    try:
        with _open():
            return True
    except OSError:
        return False


def draws(stream: TextIO) -> bool:
    """Tell whether a stream leads to a terminal on which something can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def say(text: str) -> None:
    """Tell the person something, in a line, on standard error; that nobody reads it is no reason to fail."""
    with suppress(OSError):
        sys.stderr.write(f"{_shown(text)}\n")
        sys.stderr.flush()


def tell(text: str) -> None:
    """Tell the person something, in a line, where questions are asked."""
    with _asking() as (_, writing):
        _write(writing, f"{text}\n")


def line(question: str, default: str | None = None) -> str:
    """Ask for a line; an empty one is ``default``, where there is one. Raise CommandError where nothing was typed."""
    with _asking() as (reading, writing):
        return _text(_answer(reading, writing, question)).strip() or _something(default)


def agrees(question: str) -> bool:
    """Ask for a yes, which Enter is; what is not understood is a no."""
    with _asking() as (reading, writing):
        typed = _answer(reading, writing, f"{question} [Y/n] ")
        return typed.endswith(b"\n") and _text(typed).strip().lower() in {"", "y", "yes"}


def hidden(question: str) -> Secret:
    """Ask for a line that is not shown; raise CommandError where nothing was typed."""
    import termios  # noqa: PLC0415 - few commands ask

    with _asking() as (reading, writing):
        try:
            shown = termios.tcgetattr(reading)
            dark = shown[:]
            dark[3] &= ~termios.ECHO
            try:
                # What was typed before the question was there is not its answer, and was echoed.
                termios.tcsetattr(reading, termios.TCSAFLUSH, dark)
                _write(writing, question)
                typed = _typed(reading, writing)
            finally:
                termios.tcsetattr(reading, termios.TCSAFLUSH, shown)
                _write(writing, "\n")
        except termios.error as error:
            raise CommandError("the terminal does not hide what is typed", _NOBODY) from error
        return Secret(_something(_text(typed)).encode())


def _something(typed: str | None) -> str:
    if not typed:
        raise CommandError("nothing was typed", _NOBODY)
    return typed


def _text(typed: bytes) -> str:
    try:
        return typed.decode(sys.getfilesystemencoding()).removesuffix("\n")
    except UnicodeDecodeError:
        raise CommandError("what was typed is no text", "Set LANG to what your terminal sends: C.UTF-8 for most.") from None


def _answer(reading: int, writing: int, question: str) -> bytes:
    """Return the line that was typed and shown; whoever interrupts the question finds the shell's prompt at the beginning of a line."""
    try:
        _write(writing, question)
        return _typed(reading, writing)
    except KeyboardInterrupt:
        _write(writing, "\n")
        raise


def _typed(reading: int, writing: int) -> bytes:
    """Return the line that was typed; at the end of the input, what there is of one."""
    typed = b""
    while not typed.endswith(b"\n") and len(typed) < _MOST:
        piece = os.read(reading, _MOST)
        if not piece:
            _write(writing, "\n")
            break
        typed += piece
    return typed


def _shown(text: str) -> str:
    """Return ``text``, which may have come from anywhere, with its lines, and without what a terminal might act upon."""
    return "\n".join(map(printable, text.split("\n")))


def _write(writing: int, text: str) -> None:
    os.write(writing, _shown(text).encode(sys.getfilesystemencoding(), errors="replace"))


@contextmanager
def _asking() -> Iterator[tuple[int, int]]:
    """Give the terminal's descriptors, or raise CommandError."""
    try:
        with _open() as both:
            yield both
    except OSError as error:
        raise CommandError("there is no terminal to ask at", _NOBODY) from error


@contextmanager
def _open() -> Iterator[tuple[int, int]]:
    """Give descriptors to read from the terminal and to write to it; raise OSError where there is none, or where we are in its background."""
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        # A terminal that is not the controlling one, as in some containers.
        if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        yield sys.stdin.fileno(), sys.stderr.fileno()
        return
    try:
        # A process in the background would be stopped as it asks, for good if nobody looks (SIGTTIN and SIGTTOU).
        if os.tcgetpgrp(terminal) != os.getpgrp():
            raise BlockingIOError("in the background")
        yield terminal, terminal
    finally:
        with suppress(OSError):
            os.close(terminal)

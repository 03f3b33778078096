"""What went wrong, said in a way that leads on."""

from __future__ import annotations

from pathlib import Path

LOG_LINES = 15
LINE_WIDTH = 240


class Trouble(Exception):  # noqa: N818 - what a person has, not what a program made wrong
    """A command cannot go on: one sentence, one hint, and the log that says more."""

    def __init__(self, sentence: str, *, hint: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.log = log

    def report(self) -> str:
        """Return the text for stderr, the log's last lines included."""
        lines = [f"error: {self.sentence}"]
        if self.log is not None:
            lines.append(f"the last lines of {self.log}:")
            lines += [f"  | {line[:LINE_WIDTH]}" for line in last_lines(self.log)] or ["  | (nothing was written)"]
        return "\n".join([*lines, f"hint: {self.hint}"])


def last_lines(log: Path, count: int = LOG_LINES) -> list[str]:
    """Return the end of a log, read without taking in a big file whole."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 400 * count))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []

"""How a queue shows itself: its story on standard output, notes and a progress bar on standard error, or JSON for programs."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from gateway.cli import terminal
from gateway.cli.table import stamp
from gateway.client import hints
from gateway.client.cluster import NOT_LAUNCHED
from gateway.client.errors import printable
from gateway.client.queue import story

if TYPE_CHECKING:
    from rich.progress import Progress

    from gateway.client.queue import QueueEvent


_SCRIPTS = (".sh", ".sbatch", ".slurm")


class Screen(Protocol):
    """Shows events as they come."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End, so that what comes next begins on a line of its own."""
        ...

    def show(self, event: QueueEvent) -> None:
        """Show an event."""
        ...

    def make_room(self) -> None:
        """Leave the terminal to somebody else until the next event."""
        ...


def screen(*, as_json: bool) -> Screen:
    """Return what fits the streams: a bar needs somebody who watches."""
    if as_json:
        return Json()
    return Bar() if terminal.draws(sys.stderr) else Plain()


class Json:
    """A line of JSON an event, on standard output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, event: QueueEvent) -> None:
        """Print an event."""
        sys.stdout.write(json.dumps({**event.tree(), "at": stamp(event.at)}) + "\n")
        sys.stdout.flush()

    def make_room(self) -> None:
        """Do nothing: there is nothing in the way."""


class _Notes:
    """What a person is told beside the story; of what was changed in many files, each thing once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def of(self, event: QueueEvent) -> str | None:
        """Return what there is to say of an event."""
        if event.kind == "ended" and event.reason == NOT_LAUNCHED and NOT_LAUNCHED not in self._said:
            self._said.add(NOT_LAUNCHED)
            return f"{story.note(event)}\nhint: {hints.NOT_LAUNCHED}"
        if event.kind != "submitted":
            return story.note(event)
        from gateway.cli import repairs  # noqa: PLC0415 - after an answer has come

        # Nobody has seen the form that a script was given, so what was repaired in it is nothing to anybody.
        repaired = () if (event.file or "").endswith(_SCRIPTS) else event.repaired or ()
        said = [printable(note) for note in (*(event.notes or ()), *repairs.sentences(repaired))]
        new = [note for note in said if note not in self._said]
        self._said.update(new)
        return "\n".join(f"{printable(event.file or '')}: {note}" for note in new) or None


class Plain:
    """The story on standard output, notes on standard error."""

    def __init__(self) -> None:
        self._notes = _Notes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, event: QueueEvent) -> None:
        """Print what there is to say of an event."""
        line, note = story.line(event), self._notes.of(event)
        if line is not None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        if note is not None:
            terminal.say(note)

    def make_room(self) -> None:
        """Do nothing: there is nothing in the way."""


class Bar:
    """The same above a bar that stays the last line of the terminal; it is drawn when something happens, and never while something is asked."""

    def __init__(self) -> None:
        self._notes = _Notes()
        self._bar: Progress | None = None
        self._done = 0
        self._total = 0
        self._jobs: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.make_room()

    def make_room(self) -> None:
        """Take the bar away; the next event draws it again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, event: QueueEvent) -> None:
        """Print what there is to say of an event, above the bar."""
        for text, stream in ((story.line(event), sys.stdout), (self._notes.of(event), sys.stderr)):
            if text is not None and self._bar is not None and stream.isatty():
                self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            elif text is not None:
                stream.write(f"{text}\n")
                stream.flush()
        self._count(event)
        self._draw()

    def _count(self, event: QueueEvent) -> None:
        if event.counts is not None:
            self._total = sum(event.counts.values())
            self._done = sum(event.counts.get(name, 0) for name in ("completed", "failed", "set_aside", "unknown"))
        if event.kind in {"submitted", "in_progress"} and event.job_id is not None:
            self._jobs.add(event.job_id)
        elif event.kind == "ended":
            self._jobs.discard(event.job_id or 0)
            self._done += 1
        elif event.kind == "set_aside":
            self._done += 1
        elif event.kind == "retrying":
            self._done -= 1

    def _draw(self) -> None:
        if self._bar is None:
            from rich.console import Console  # noqa: PLC0415 - takes longer to load than the first answer to come
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 - likewise

            columns = (TextColumn("Jobs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[in_slurm]} in Slurm"))
            drawn = Console(stderr=True)
            self._bar = Progress(*columns, console=drawn, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
            self._bar.add_task("", total=self._total, in_slurm=0)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], total=max(self._total, self._done), completed=self._done, in_slurm=len(self._jobs))
        self._bar.refresh()

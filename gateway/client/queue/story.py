"""A queue's story: the lines that this project's seed printed, word by word, and notes on what it knew nothing of (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.client.errors import printable
from gateway.client.queue.folder import ASIDE
from gateway.client.queue.telling import QueueEvent

# Of hundreds of files, each of hundreds of lines would name all: the last ones say enough.
_MOST = 20
_MOST_OTHERS = 3
WORDS: Mapping[str, str] = {
    "completed": "completed",
    "failed": "failed",
    "set_aside": "set aside",
    "unknown": "not known",
    "in_slurm": "in Slurm",
    "sending": "being submitted",
    "waiting": "waiting",
}
"""What people are told of where a file is."""


def line(event: QueueEvent) -> str | None:
    """Return the story's line for an event, None for one that the story leaves out."""
    write = _LINES.get(event.kind)
    return None if write is None else write(event)


def note(event: QueueEvent) -> str | None:
    """Return what a person is told of an event beside the story; a second line is a hint."""
    write = _NOTES.get(event.kind)
    return None if write is None else write(event)


def summary(counts: Mapping[str, int]) -> str:
    """Return how many files are where, in a line."""
    return ", ".join(f"{counts[name]} {word}" for name, word in WORDS.items() if counts.get(name)) or "no job files"


def _list(files: tuple[str, ...], total: int) -> list[str]:
    shown = [printable(file) for file in files[-_MOST:]]
    more = max(total, len(files)) - len(shown)
    return [f"... {more} more", *shown] if more else shown


def _name(event: QueueEvent) -> str:
    return printable(event.file or "")


def _started(event: QueueEvent) -> str | None:
    others = event.files or ()
    if not others:
        return None
    named = ", ".join(printable(other) for other in others[:_MOST_OTHERS])
    more = f" and {len(others) - _MOST_OTHERS} more" if len(others) > _MOST_OTHERS else ""
    return f"No job files by their names, and left alone: {named}{more}"


def _ended(event: QueueEvent) -> str | None:
    if event.state == "COMPLETED" and not event.exit_code:
        return None
    if event.state == "UNKNOWN":
        return f"Job {event.job_id} ({_name(event)}) is known to nobody any more; how it ended is not known"
    code = "" if event.exit_code is None else f", exit code {event.exit_code}"
    why = "" if event.reason is None else f" ({printable(event.reason)})"
    return f"Job {event.job_id} ({_name(event)}) ended: {event.state}{why}{code}"


def _set_aside(event: QueueEvent) -> str:
    what = "Not known whether it was submitted" if event.reason == "unknown" else "Set aside"
    return f"{what}: {_name(event)} is {ASIDE}/{printable(event.to or '')} now: {_reason(event)}\nhint: {event.hint}"


def _reason(event: QueueEvent) -> str:
    """Return why a file was set aside, which is named before it already."""
    message, name = event.message or "", event.file or ""
    return message.removeprefix(f"{name} ") if message.startswith(f"{name} ") else message.removeprefix(f"{name}:").lstrip()


def _waiting(event: QueueEvent) -> str:
    return f"Waiting: {event.message}; asking again in {event.seconds or 0:.0f} s\nhint: {event.hint}"


def _stopped(event: QueueEvent) -> str:
    going = len(event.jobs or ())
    jobs = {0: "No job is in Slurm", 1: "1 job goes on in Slurm"}.get(going, f"{going} jobs go on in Slurm")
    maybe = event.files or ()
    if maybe:
        what = printable(maybe[0]) if len(maybe) == 1 else f"{len(maybe)} files"
        jobs += f", and {what} may be there too" if going else f", but {what} may be"
    return f"Stopped. {jobs}.\nhint: Start the queue again: it goes on where it was."


_LINES: Mapping[str, Callable[[QueueEvent], str]] = {
    "check": lambda _: "Routine check",
    "in_progress": lambda event: f"Job still in progress: {event.job_id}",
    "submitting": lambda event: f"Submitting job: {_name(event)}",
    "submitted": lambda event: f"Job Submitted: Job ID : {event.job_id}",
    "taken": lambda event: f"Completed Jobs/Already Submitted {_list(event.files or (), event.total or 0)}",
    "empty": lambda _: "No more jobs in queue",
}
_NOTES: Mapping[str, Callable[[QueueEvent], str | None]] = {
    "started": _started,
    "ended": _ended,
    "retrying": lambda event: f"{_name(event)} is submitted again, for the {_ordinal(event.attempt or 0)} time",
    "set_aside": _set_aside,
    "waiting": _waiting,
    "recovered": lambda _: "Going on",
    "limited": lambda event: f"Slurm takes no more jobs for now: {event.message}; {_name(event)} waits for one to end",
    "changed": lambda event: (
        f"{_name(event)} was written to after it had been submitted, and is not submitted again\nhint: Give it another name to have it submitted."
    ),
    "halted": lambda event: f"Nothing more is submitted, since {_name(event)} failed",
    "stopped": _stopped,
}


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")

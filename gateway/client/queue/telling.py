"""What a queue tells while it runs: one event after the other, for people (``story``) and programs alike (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvent:
    """Something happened; ``at`` is in Unix seconds, what does not belong to the ``kind`` is None.

    ``started``: the queue goes on as ``username``; ``counts`` say how many files are where, ``files`` which are no job files by their names.
    ``check``: it looks at its jobs and its folder; ``counts`` as before, and for ``taken``.
    ``in_progress``: ``job_id`` of ``file`` is in Slurm still, ``state`` is Slurm's word.
    ``submitting``: ``file`` is sent, for the ``attempt``-th time as a new job. ``submitted``: it is ``job_id``; ``notes`` say what was made of the
    file, ``repaired`` what the gateway changed.
    ``taken``: ``files`` are the last hundred of the ``total`` that were submitted up to now, in that order.
    ``ended``: ``job_id`` has ended with ``state`` and ``exit_code``; ``reason`` is Slurm's word for why, where it tells more.
    ``retrying``: so ``file`` is submitted again.
    ``set_aside``: ``file`` lies in set-aside/ as ``to``, for the ``message``; ``reason`` is a word for programs, ``unknown`` or ``refused``.
    ``waiting``: nothing goes on just now, for the ``message``; it is tried again in ``seconds``. ``recovered``: it goes on.
    ``limited``: Slurm takes no more jobs of this user for now. ``changed``: ``file`` is another since it was submitted.
    ``halted``: no more is submitted, since a job failed. ``empty``: no job is left. ``stopped``: the queue was told to stop; ``jobs`` go on in Slurm,
    and of ``files`` nobody knows yet whether they have become jobs.
    ``finished``: the last event; ``counts`` say how many files are where.
    """

    kind: str
    at: float = 0.0
    file: str | None = None
    job_id: int | None = None
    state: str | None = None
    exit_code: int | None = None
    attempt: int | None = None
    to: str | None = None
    reason: str | None = None
    message: str | None = None
    hint: str | None = None
    seconds: float | None = None
    username: str | None = None
    files: tuple[str, ...] | None = None
    total: int | None = None
    jobs: tuple[int, ...] | None = None
    notes: tuple[str, ...] | None = None
    repaired: tuple[str, ...] | None = None
    counts: Mapping[str, int] | None = None

    def tree(self) -> dict[str, Any]:
        """Return what ``--json`` prints: what belongs to the kind, and nothing else."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"event": told.pop("kind"), **{name: value for name, value in told.items() if value is not None}}

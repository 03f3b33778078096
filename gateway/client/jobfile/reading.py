"""A job file becomes the body of a submission, whatever it was written in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.client.errors import JobFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """What to submit: ``body`` is JSON for ``POST …/job/submit``, ``name`` the job's, ``notes`` is what was made of the file, a line each."""

    body: bytes = field(repr=False)
    name: str | None = None
    notes: tuple[str, ...] = ()


def read(content: bytes, filename: str, *, changes: Sequence[tuple[str, str]] = (), directory: str | None = None) -> JobFile:
    """Return what the file ``filename`` with this ``content`` asks for; raise JobFileError.

    ``changes`` are fields to set, by name and value as typed; ``directory`` is where a batch script without one of its own runs.
    """
    del changes, directory
    try:
        tree = json.loads(content)
    except ValueError as error:
        raise JobFileError(f"{filename} is no JSON: {error}", hint="Correct it.") from error
    return JobFile(body=json.dumps(tree).encode())

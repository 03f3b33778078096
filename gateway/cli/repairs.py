"""What the gateway has repaired in a job file, in words (the names are those of X-Gateway-Repaired)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_SENTENCES = {
    "job": "'jobs' was one job, so it is called 'job'.",
    "jobs": "'job' was a list of jobs, so it is called 'jobs'.",
    "script": "The script was put where this version looks for it, beside the job.",
    "environment": "The environment was written as this version takes it.",
    "environment-default": "The job has no environment, so it got PATH=/usr/local/bin:/usr/bin:/bin.",
    "flags": "Some fields have become flags, or flags fields.",
    "shared": "'exclusive' or 'oversubscribe' is called 'shared'.",
    "content-type": "",  # of the request, not of the file
}


def sentences(names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each kind of repair, and one for all fields that have other names or forms in the version that the cluster serves."""
    fields = []
    for name in names:
        if name not in _SENTENCES:
            fields.append(name)
        elif _SENTENCES[name]:
            yield f"Brought up to the cluster's version: {_SENTENCES[name]}"
    if fields:
        yield f"Brought up to the cluster's version: {', '.join(fields)}."

"""Lists as slurmrestd sends them: the shapes of each version, with the blanks and the escapes that it writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Item = dict[str, Any]

# The last versions of each shape, and the newest there is.
STRINGS = 38
NUMBERS = 39
LISTS = 40
VERSIONS = range(36, 47)


def number(version: int, value: int | None) -> Any:
    if version < NUMBERS:
        return value
    return {"set": value is not None, "infinite": False, "number": value or 0}


def words(version: int, *told: str) -> str | list[str]:
    return told[0] if version < LISTS else list(told)


def job(version: int, job_id: int, *states: str, **more: Any) -> Item:
    """A job of /slurm/…/jobs; v0.0.36 does not tell the name of its user."""
    told = {
        "account": "demo",
        "array_job_id": number(version, 0),
        "array_task_id": number(version, None),
        "array_task_string": "",
        "job_id": job_id,
        "job_resources": {"nodes": "n1", "allocated_nodes": [{"cores": {"0": "allocated"}}]},
        "job_state": words(version, *(states or ("RUNNING",))),
        "name": f"job-{job_id}",
        "partition": "main",
        "billable_tres": 1.0,
        "priority": number(version, 4294901759),
        "time_limit": number(version, None),
        "standard_output": f"/home/alice/{job_id}.out",
        "user_id": 70001,
        "user_name": "" if version == 36 else "alice",
    }
    return told | more


def node(version: int, name: str, *states: str, **more: Any) -> Item:
    """A node: its base state in lower case and the flags beside it up to v0.0.38, a list after."""
    told: Item = {"architecture": "x86_64", "name": name, "cpus": 32, "partitions": ["main"]}
    if version < NUMBERS:
        told |= {"state": states[0].lower(), "state_flags": list(states[1:])}
    else:
        told["state"] = list(states)
    if version == 36:
        del told["partitions"], told["state_flags"]
    return told | more


def accounted(version: int, job_id: int, *states: str, submission: int = 1795695895, **more: Any) -> Item:
    """A job of /slurmdb/…/jobs."""
    told = {
        "account": "demo",
        "association": {"account": "demo", "cluster": "demo", "partition": None, "user": "alice"},
        "cluster": "demo",
        "job_id": job_id,
        "name": f"job-{job_id}",
        "partition": "main",
        "state": {"current": words(version, *(states or ("COMPLETED",))), "reason": "None"},
        "time": {"elapsed": 0, "submission": submission, "start": submission + 1, "limit": number(version, None)},
        "user": "alice",
    }
    return told | more


def answer(version: int, key: str, items: Sequence[Item], errors: Sequence[Item] = (), **more: Any) -> bytes:
    """The whole answer, printed as json-c prints it."""
    meta = {"plugin": {"type": f"openapi/v0.0.{version}"}, "Slurm": {"release": "22.05.8"}}
    told = {"meta": meta, "errors": list(errors), key: list(items)}
    if version >= LISTS:
        told |= {"warnings": [], "last_update": number(version, 1795695966)}
    return json.dumps(told | more, indent=2, ensure_ascii=False).replace("/", "\\/").encode()

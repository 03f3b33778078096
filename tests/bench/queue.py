"""A long queue: held jobs, which wait until somebody releases them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

from tests.bench.client import Client
from tests.bench.servers import Bench, Person

SUBMIT = "/slurm/v0.0.38/job/submit"
_CONNECTIONS = 8


def job(name: str) -> bytes:
    """Return the body of a submission of a held job."""
    description = {
        "name": name,
        "partition": "main",
        "hold": True,
        "current_working_directory": "/tmp",
        "standard_output": "/dev/null",
        "environment": {"PATH": "/bin:/usr/bin"},
    }
    return json.dumps({"job": description, "script": "#!/bin/sh\ntrue\n"}).encode()


@contextlib.contextmanager
def filled(bench: Bench, count: int) -> Iterator[None]:
    """Have ``count`` jobs in the queue."""
    asyncio.run(_fill(bench.site.told["slurmrestd"], bench.people[0], count))
    try:
        yield
    finally:
        bench.inside("scancel", f"--user={bench.people[0].name}")


async def _fill(address: str, person: Person, count: int) -> None:
    async def some(number: int) -> None:
        client = Client(address)
        for serial in range(number, count, _CONNECTIONS):
            answer = await client.ask("POST", SUBMIT, person.direct() | {"Content-Type": "application/json"}, job(f"queued-{serial:05}"))
            if answer.status != 200:
                raise SystemExit(f"slurmrestd does not take jobs: {answer.body!r}")
        client.close()

    await asyncio.gather(*map(some, range(_CONNECTIONS)))


async def submit_now_and_then(address: str, headers: dict[str, str], every: float) -> None:
    """Submit a job every so many seconds until cancelled."""
    client, number = Client(address), 0
    try:
        while True:
            number += 1
            answer = await client.ask("POST", SUBMIT, headers | {"Content-Type": "application/json"}, job(f"changing-{number}"))
            if answer.status != 200:
                raise RuntimeError(f"a job was not taken: {answer.body!r}")
            await asyncio.sleep(every)
    finally:
        client.close()

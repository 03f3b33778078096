"""The first job: alice signs in through TLS with both factors, submits, and her job writes a file that is hers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import one_time
from .https import Answer, Client
from .layout import Layout
from .processes import wait_until
from .record import Memory
from .release import RELEASES
from .trouble import Trouble
from .unix_http import OK, UNAUTHORIZED

FIRST_NEWER = 41
"""From v0.0.41 on the script stands in the job; the list that an environment is came two versions earlier."""
PERSON = "alice"
SCRIPT = '#!/bin/sh\necho "Hello from $(id -un) on $(hostname): job $SLURM_JOB_ID"\n'
_HINT = "the gateway's log says why; `deploy/demo status` shows what runs."
_FINISHED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"}


@dataclass(frozen=True, slots=True)
class FirstJob:
    """What came of it."""

    number: int
    output: Path
    text: str


def description(home: Path, api: str, name: str = "first") -> dict[str, Any]:
    """Return the body of job/submit in a version's shape: Slurm wants an environment, and writes the output where it is told to."""
    newer = int(api.rpartition(".")[2]) >= FIRST_NEWER
    job: dict[str, Any] = {
        "name": name,
        "environment": ["PATH=/usr/bin:/bin"] if newer else {"PATH": "/usr/bin:/bin"},
        "current_working_directory": str(home),
        "standard_output": f"{home}/{name}-%j.out",
        "standard_error": f"{home}/{name}-%j.out",
    }
    return {"job": {**job, "script": SCRIPT}} if newer else {"job": job, "script": SCRIPT}


class NotLetInError(Trouble):
    """The gateway refused the password and code that this site knows."""


def run_first(memory: Memory) -> FirstJob:
    """Sign in, submit, wait for COMPLETED, read the output."""
    layout, record = memory.layout, memory.record
    client = Client(record.port, layout.ca)
    bearer = _session(client, memory)
    home = layout.home(PERSON)
    api = RELEASES[record.release].first_job_api
    answer = client.ask("POST", f"/slurm/{api}/job/submit", description(home, api), bearer)
    number = _document(answer, layout, "The job was not taken").get("job_id")
    if not isinstance(number, int) or number <= 0:
        raise _refused("The job got no number", answer, layout)
    _wait(client, layout, f"/slurm/{api}/job/{number}", bearer)
    output = home / f"first-{number}.out"
    if not wait_until(lambda: output.exists() and output.stat().st_size > 0, 10):
        raise Trouble(f"{output} was not written.", hint="slurmd says why:", log=layout.log("slurmd"))
    if output.stat().st_uid != record.ids[PERSON]:
        raise Trouble(f"{output} is not {PERSON}'s.", hint="the job ran as somebody else: tell the gateway's authors.")
    return FirstJob(number, output, output.read_text().strip())


def _session(client: Client, memory: Memory) -> dict[str, str]:
    """Return the header of a new session; of the last one if it still holds and a new one would have to wait for its code."""
    layout, record = memory.layout, memory.record
    step, wait = one_time.next_step(time.time(), one_time.last_step(layout.gateway_store, PERSON))
    known = {"Authorization": f"Bearer {record.secrets.get('session', 'none')}"}
    if wait and client.ask("GET", "/auth/session", headers=known).status == OK:
        return known
    wait_until(lambda: time.time() >= (step - one_time.AHEAD) * one_time.STEP_SECONDS, wait + 1)
    code = one_time.code(record.totp[PERSON], step)
    credentials = {"username": PERSON, "password": record.passwords[PERSON], "otp": code}
    answer = client.ask("POST", "/auth/login", credentials)
    if answer.status == UNAUTHORIZED:
        raise NotLetInError(f"{PERSON} is not let in with the password and code that this site knows.", hint=_HINT, log=layout.log("gateway"))
    token = str(_document(answer, layout, f"{PERSON} could not sign in")["token"])
    with memory.change():
        record.secrets["session"] = token
    return {"Authorization": f"Bearer {token}"}


def _wait(client: Client, layout: Layout, path: str, bearer: dict[str, str]) -> None:
    state, number = "PENDING", path.rpartition("/")[2]

    def finished() -> bool:
        nonlocal state
        answer = client.ask("GET", path, headers=bearer)
        said = _document(answer, layout, f"Job {number} could not be asked for")["jobs"][0]["job_state"]
        state = str(said[0] if isinstance(said, list) else said)  # a list from v0.0.40 on: the state, then its flags
        return state in _FINISHED

    wait_until(finished, 30)
    if state != "COMPLETED":
        raise Trouble(f"Job {number} is {state} after 30 s, not COMPLETED.", hint="slurmctld says why.", log=layout.log("slurmctld"))


def _document(answer: Answer, layout: Layout, sentence: str) -> dict[str, Any]:
    try:
        if answer.status == OK:
            return answer.json()
    except ValueError:
        pass
    raise _refused(sentence, answer, layout)


def _refused(sentence: str, answer: Answer, layout: Layout) -> Trouble:
    said = answer.body.decode(errors="replace").strip()[:400] or "nothing more"
    return Trouble(f"{sentence}: {answer.status}, {said}", hint=_HINT, log=layout.log("gateway"))

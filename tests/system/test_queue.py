"""The queue on the real sites: the seed's session, and that nothing is lost or done twice whatever is killed, restarted or cut off."""

from __future__ import annotations

import json
import random
import secrets
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.system.people import Person, signed_in

USER = "carol"
LIMIT = 60.0
FILES, IN_FLIGHT, KILLS = 200, 8, 20


@pytest.fixture(params=["site", "trixie"])
def person(request: pytest.FixtureRequest, tmp_path: Path) -> Person:
    """Carol at Slurm 22.05, and at 24.11."""
    return signed_in(request.getfixturevalue(request.param), USER, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for job files."""
    made = tmp_path / "jobs"
    made.mkdir()
    return made


def job(person: Person, name: str, script: str = "true") -> str:
    """Return a job file in the shape of the oldest API that any of the sites serves."""
    home = str(person.site.home(person.user))
    wanted = {"name": name, "current_working_directory": home, "environment": {"PATH": "/bin:/usr/bin"}, "standard_output": "/dev/null"}
    return json.dumps({"job": wanted, "script": f"#!/bin/sh\n{script}\n"})


def in_slurm(person: Person, names: str) -> Counter[str]:
    """Return how many jobs Slurm itself has under each name that begins so, by slurmctld's list and through the site's own door."""
    answer = person.site.call(person.user, "GET", "/slurm/latest/jobs?fields=job_id,name", timeout=60)
    assert answer.status == 200, answer.body
    return Counter(job["name"] for job in answer.json["jobs"] if job["name"].startswith(names))


def on_record(person: Person, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the queue says of each file."""
    told = json.loads(person.run("queue", folder, "--status", "--json").stdout)
    return {line["file"]: line for line in told["files"]}


def test_200_files_are_submitted_once_each_though_the_queue_is_killed_20_times(person: Person, folder: Path) -> None:
    names = f"kill-{secrets.token_hex(4)}-"
    for number in range(FILES):
        (folder / f"job{number}.json").write_text(job(person, f"{names}{number}"))
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(KILLS):
        process = person.start("queue", folder, "--in-flight", IN_FLIGHT)
        try:
            process.wait(moments.uniform(0.2, 3.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = person.run("queue", folder, "--in-flight", IN_FLIGHT, timeout=120)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "No more jobs in queue"), ended.stderr
    assert in_slurm(person, names) == Counter({f"{names}{number}": 1 for number in range(FILES)})
    told = on_record(person, folder)
    assert {file: line["status"] for file, line in told.items()} == {f"job{number}.json": "completed" for number in range(FILES)}
    assert len({line["job_id"] for line in told.values()}) == FILES

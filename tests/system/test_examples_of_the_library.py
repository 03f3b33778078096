"""The examples of the library, run as their readers would run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.people import Person, signed_in
from tests.system.support import ROOT, Site, wait_for

EXAMPLES = ROOT / "deploy" / "examples"
USER = "adele"
_MOST_LINES = 40


@pytest.fixture
def person(either: Site, tmp_path: Path) -> Person:
    return signed_in(either, USER, tmp_path)


def command(example: str, *words: object) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / example), *map(str, words)]


def job_file(person: Person, script: str) -> Path:
    file = person.folder / "job.json"
    site = person.site
    file.write_text(json.dumps(site.submission(site.api, USER, f"#!/bin/sh\n{script}\n", name="example")))
    return file


def run(person: Person, example: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(example, *words), env=person.environment, capture_output=True, text=True, check=False, timeout=90)


@pytest.mark.parametrize(("script", "code", "state"), [("true", 0, "COMPLETED"), ("exit 5", 5, "FAILED")])
def test_a_job_file_is_submitted_and_its_exit_code_is_the_programs(person: Person, script: str, code: int, state: str) -> None:
    done = run(person, "submit_and_wait.py", job_file(person, script))
    assert done.returncode == code, done.stderr
    first, last = done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    assert first.startswith("submitted as job ")
    assert last == f"job {first.split()[-1]} (example): {state}, exit code {code}"


def test_what_goes_wrong_is_a_line_and_a_hint(person: Person) -> None:
    done = run(person, "submit_and_wait.py", person.folder / "nothing.json")
    assert done.returncode == 1
    assert done.stderr == f"{person.folder / 'nothing.json'} cannot be read: No such file or directory\nhint: Look at its name and its rights.\n"


def test_jobs_are_watched_until_the_last_has_ended(person: Person) -> None:
    person.run("cancel", "--all", "--yes")  # what other tests have left would be watched for ever
    job_id = person.site.submit(USER, "#!/bin/sh\nsleep 4\n", name="watched")
    lines: list[str] = []
    with subprocess.Popen(command("watch_jobs.py"), env=person.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            assert watching.stderr is not None
            lines.append(watching.stdout.readline())
            wait_for(lambda: person.site.state_of(USER, job_id) == "COMPLETED", 60, "the end of the job")
            out, err = watching.communicate(timeout=60)
            lines += out.splitlines()
        finally:
            watching.kill()
    assert (watching.returncode, err) == (0, "")
    assert lines[0].startswith("under way: ")
    assert f"job {job_id} watched COMPLETED" in lines


@pytest.mark.parametrize("example", ["submit_and_wait.py", "watch_jobs.py"])
def test_an_example_fits_a_screen(example: str) -> None:
    assert len((EXAMPLES / example).read_text().splitlines()) <= _MOST_LINES

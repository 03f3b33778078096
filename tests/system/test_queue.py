"""The queue on the real sites: the seed's session, and that nothing is lost or done twice whatever is killed, restarted or cut off."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.client.sites import Site as Known
from gateway.client.sites import Sites
from gateway.secret import Secret
from tests.system.people import Person, signed_in
from tests.system.relay import Relay
from tests.system.slurm_commands import inside
from tests.system.support import Site, wait_for
from tests.system.tmux import terminal

USER = "carol"
LIMIT = 60.0
# What was on its way when a connection broke is known after a token's life and a while (slurm.token_lifetime, submissions.settle).
LONG = 150.0
FILES, IN_FLIGHT, KILLS = 200, 8, 20


@pytest.fixture(scope="module", autouse=True)
def nobody_else_minds(site: Site, trixie: Site) -> Iterator[None]:
    """Leave carol as she was, without a second factor: others look at how she comes to one."""
    yield
    for place in (site, trixie):
        place.gateway("disenroll", USER, check=False)


@pytest.fixture
def carol(site: Site, tmp_path: Path) -> Person:
    """Carol at Slurm 22.05."""
    return signed_in(site, USER, tmp_path)


@pytest.fixture
def person(either: Site, tmp_path: Path) -> Person:
    """Carol at Slurm 22.05, and at 24.11."""
    return signed_in(either, USER, tmp_path)


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


def new_seed() -> int:
    """Return what random moments come from, and show it, so that a failure can be had again."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    return seed


def fill(person: Person, folder: Path, number: int, script: str = "true") -> str:
    """Put so many job files into a folder; return what their jobs' names begin with."""
    names = f"queue-{secrets.token_hex(4)}-"
    for index in range(1, number + 1):
        (folder / f"job{index}.json").write_text(job(person, f"{names}{index}", script))
    return names


class Running:
    """A queue that runs, and what it has said up to now."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True) for pair in ((process.stdout, self.lines), (process.stderr, self.notes))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line.removesuffix("\n"))  # noqa: PERF401 - others see each at once

    def wait_for(self, what: Callable[[str], bool], *, after: int = 0, notes: bool = False) -> int:
        """Wait for such a line; return the place behind it."""
        said = self.notes if notes else self.lines

        def found() -> int:
            return next((place + 1 for place, line in enumerate(said[after:], start=after) if what(line)), 0)

        return wait_for(found, LIMIT, f"a line in {self.lines} {self.notes}")

    def ended(self, limit: float = LIMIT) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(limit)
        for reader in self._readers:
            reader.join(limit)
        return code


@contextmanager
def running(person: Person, *words: object) -> Iterator[Running]:
    """Run a queue until the end of the block."""
    process = person.start("queue", *words)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait(LIMIT)


def through(person: Person, cable: Relay) -> None:
    """Have a person go through a cable."""
    sites = Sites(person.folder / "slurm-gateway")
    token = sites.token("default")
    assert token is not None
    sites.keep("default", Known(url=cable.url, ca=person.site.told["ca_file"], username=person.user), Secret(token.reveal()))


def test_the_seeds_session_word_by_word(person: Person, folder: Path) -> None:
    gate = person.site.home(USER) / f"gate-{secrets.token_hex(4)}"
    for number in (1, 2, 3):
        script = f"until [ -e {gate}-{number} ]; do sleep 0.1; done"
        (folder / f"slurm-job{number}.json").write_text(job(person, f"seed{number}", script))
    with running(person, folder, "--interval", "1s") as queue:
        ids, place = [], 0
        for number in (1, 2, 3):
            place = queue.wait_for(lambda line: line.startswith("Job Submitted: "), after=place)
            ids.append(queue.lines[place - 1].rpartition(" ")[2])
            place = queue.wait_for(lambda line: line == f"Job still in progress: {ids[-1]}", after=place)
            Path(f"{gate}-{number}").touch()
        assert queue.ended() == 0
    # How often it looks is a matter of time.
    told = [line for place, line in enumerate(queue.lines) if queue.lines[place : place + 2] != queue.lines[place - 2 : place]]
    told = [line for place, line in enumerate(told) if line not in told[max(0, place - 2) : place] or line == "Routine check"]
    assert (
        "\n".join(told)
        == f"""\
Routine check
Submitting job: slurm-job1.json
Job Submitted: Job ID : {ids[0]}
Completed Jobs/Already Submitted ['slurm-job1.json']
Routine check
Job still in progress: {ids[0]}
Routine check
Submitting job: slurm-job2.json
Job Submitted: Job ID : {ids[1]}
Completed Jobs/Already Submitted ['slurm-job1.json', 'slurm-job2.json']
Routine check
Job still in progress: {ids[1]}
Routine check
Submitting job: slurm-job3.json
Job Submitted: Job ID : {ids[2]}
Completed Jobs/Already Submitted ['slurm-job1.json', 'slurm-job2.json', 'slurm-job3.json']
Routine check
Job still in progress: {ids[2]}
Routine check
No more jobs in queue"""
    )
    assert [note for note in queue.notes if not note.startswith("slurm-job1.json: Brought up to the cluster's version: ")] == []


@pytest.mark.timeout(240)
def test_200_files_are_submitted_once_each_though_the_queue_is_killed_20_times(site: Site, trixie: Site, tmp_path: Path) -> None:
    """On both sites side by side, for most of it is waiting for Slurm."""
    seed = new_seed()
    people = [signed_in(where, USER, tmp_path / where.told["release"]) for where in (site, trixie)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(_killed_20_times, person, seed + place) for place, person in enumerate(people)]:
            done.result()


def _killed_20_times(person: Person, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    folder = person.folder / "jobs"
    folder.mkdir(parents=True)
    names = fill(person, folder, FILES)
    for _ in range(KILLS):
        process = person.start("queue", folder, "--in-flight", IN_FLIGHT)
        try:
            process.wait(moments.uniform(0.2, 3.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = person.run("queue", folder, "--in-flight", IN_FLIGHT, timeout=120)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "No more jobs in queue"), ended.stderr
    assert in_slurm(person, names) == Counter({f"{names}{number}": 1 for number in range(1, FILES + 1)})
    told = on_record(person, folder)
    assert {file: line["status"] for file, line in told.items()} == {f"job{number}.json": "completed" for number in range(1, FILES + 1)}
    assert len({line["job_id"] for line in told.values()}) == FILES


@pytest.mark.timeout(240)
def test_the_gateway_and_slurmrestd_are_restarted_under_way(person: Person, folder: Path) -> None:
    names = fill(person, folder, 8)
    with running(person, folder, "--in-flight", "2") as queue:
        place = 0
        for service in ("slurmrestd", "gateway", "slurmrestd", "gateway"):
            place = queue.wait_for(lambda line: line.startswith("Job Submitted: "), after=place)
            person.site.demo("restart", service)
        assert queue.ended(LONG) == 0, queue.notes
    assert in_slurm(person, names) == Counter({f"{names}{number}": 1 for number in range(1, 9)})


@pytest.mark.timeout(240)
def test_the_network_is_lost_at_random_moments(person: Person, folder: Path) -> None:
    moments = random.Random(new_seed())  # noqa: S311 - moments, not secrets
    names = fill(person, folder, 20)
    with Relay(person.site) as cable:
        through(person, cable)
        with running(person, folder, "--in-flight", "4") as queue:
            queue.wait_for(lambda line: line.startswith("Submitting job: "))
            for _ in range(8):
                # In the middle of something: so many bytes later.
                until = cable.passed + moments.randrange(6000)
                wait_for(lambda: cable.passed >= until, LIMIT, "more")  # noqa: B023 - asked at once
                cable.cut()
                time.sleep(moments.uniform(0.0, 0.5))
                cable.mend()
            assert queue.ended(LONG) == 0, queue.notes
    assert in_slurm(person, names) == Counter({f"{names}{number}": 1 for number in range(1, 21)})


def test_a_session_that_ends_under_way_ends_the_queue_and_the_next_one_goes_on(person: Person, folder: Path) -> None:
    names = fill(person, folder, 2, "sleep 2")
    with running(person, folder, "--interval", "1s") as queue:
        queue.wait_for(lambda line: line.startswith("Job Submitted: "))
        person.site.token(USER, younger_than=0)  # ends the one before
        assert queue.ended() == 1
    assert queue.notes[-1].startswith("hint: Sign in again: slurm-gateway login")
    again = signed_in(person.site, USER, person.folder).run("queue", folder)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "No more jobs in queue"), again.stderr
    assert in_slurm(person, names) == Counter({f"{names}1": 1, f"{names}2": 1})


def test_on_a_terminal_a_session_that_ends_is_begun_anew_and_the_queue_goes_on(carol: Person, folder: Path) -> None:
    names = fill(carol, folder, 2, "sleep 2")
    with terminal(carol) as screen:
        screen.start("queue", folder, "--interval", "1s")
        screen.wait("Job Submitted: ")
        code = carol.site.fresh_code(USER)  # ends the session
        screen.wait("^Password of carol:")
        screen.type(carol.site.password(USER))
        screen.wait("^Code:")
        screen.type(code)
        ended, _ = screen.ended(LIMIT)
    assert ended == 0
    signed_in(carol.site, USER, carol.folder)
    assert in_slurm(carol, names) == Counter({f"{names}1": 1, f"{names}2": 1})


def test_a_second_queue_on_a_folder_is_refused_and_looking_is_not(carol: Person, folder: Path) -> None:
    with running(carol, folder, "--follow") as queue:
        queue.wait_for(lambda line: line == "No more jobs in queue")
        second = carol.run("queue", folder)
        status = json.loads(carol.run("queue", folder, "--status", "--json").stdout)
        queue.process.send_signal(signal.SIGTERM)
        assert queue.ended() == 143
    assert second.returncode == 1
    assert f"a queue runs on {folder} already: process {queue.process.pid}" in second.stderr
    assert "hint: " in second.stderr
    assert status["running"]["pid"] == queue.process.pid


def test_broken_files_are_set_aside_and_the_rest_goes_on(person: Person, folder: Path) -> None:
    names = fill(person, folder, 2)
    (folder / "a.json").write_text("{")
    (folder / "b.json").touch()
    with (folder / "c.json").open("wb") as large:
        large.truncate(100 * 1000 * 1000)
    refused = json.loads(job(person, f"{names}refused"))
    refused["job"]["partition"] = "nowhere"
    (folder / "d.json").write_text(json.dumps(refused))
    (folder / "e.json").mkdir()
    os.mkfifo(folder / "f.json")
    (folder / "g.json").symlink_to("nothing")
    (folder / "notes.txt").write_text("no job")
    # A file that cannot be read may be half written, so that it is not given up at once.
    ended = person.run("queue", folder, "--settle", "0.1s", timeout=LIMIT)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-2:] == [
        "slurm-gateway: 2 completed, 7 set aside",
        f"hint: 'slurm-gateway queue {folder} --status' says which, and why.",
    ]
    aside = folder / "set-aside"
    reasons = {name: (aside / f"{name}.json.reason.txt").read_text() for name in "abcdefg"}
    assert all(os.path.lexists(aside / f"{name}.json") and "hint: " in text for name, text in reasons.items())
    assert {name: text.splitlines()[0].partition(".json")[2][:25] for name, text in reasons.items() if name != "d"} == {
        "a": reasons["a"].splitlines()[0].partition(".json")[2][:25],
        "b": " is empty",
        "c": " has 100000000 bytes; 419",
        "e": " is no file",
        "f": " is no file",
        "g": " is a link to nothing",
    }
    assert "artition" in reasons["d"]
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == ["job1.json", "job2.json", "notes.txt", "set-aside"]
    assert in_slurm(person, names) == Counter({f"{names}1": 1, f"{names}2": 1})


def test_files_that_come_while_it_runs_are_taken_when_they_are_whole(carol: Person, folder: Path) -> None:
    names = fill(carol, folder, 1, "sleep 1")
    late = job(carol, f"{names}late")
    with running(carol, folder, "--follow") as queue:
        queue.wait_for(lambda line: line == "No more jobs in queue")
        with (folder / "late.json").open("w") as stream:
            for place in range(0, len(late), 40):
                stream.write(late[place : place + 40])
                stream.flush()
                time.sleep(0.2)
        place = queue.wait_for(lambda line: line == "Submitting job: late.json")
        (folder / "moved.tmp").write_text("#!/bin/bash\n#SBATCH --job-name=moved --output=/dev/null\ntrue\n")
        (folder / "moved.tmp").rename(folder / "moved.sh")
        queue.wait_for(lambda line: line == "Submitting job: moved.sh", after=place)
        queue.wait_for(lambda line: line == "No more jobs in queue", after=place)
        queue.process.send_signal(signal.SIGINT)
        assert queue.ended() == 130
    assert queue.notes[-2:] == ["Stopped. No job is in Slurm.", "hint: Start the queue again: it goes on where it was."]
    assert in_slurm(carol, names) == Counter({f"{names}1": 1, f"{names}late": 1})


def test_a_job_that_is_requeued_is_under_way_still_and_one_that_is_cancelled_has_failed(person: Person, folder: Path) -> None:
    waiting = json.loads(job(person, "again", "sleep 60"))
    waiting["job"]["requeue"] = True
    (folder / "a.json").write_text(json.dumps(waiting))
    (folder / "b.json").write_text(job(person, "never"))
    with running(person, folder, "--on-failure", "stop", "--interval", "1s") as queue:
        place = queue.wait_for(lambda line: line.startswith("Job still in progress: "))
        job_id = queue.lines[place - 1].rpartition(" ")[2]
        wait_for(lambda: person.site.state_of(USER, int(job_id)) == "RUNNING", LIMIT, "the job's start")
        inside(person.site, USER, "scontrol", "requeue", job_id)
        wait_for(lambda: person.site.state_of(USER, int(job_id)) == "PENDING", LIMIT, "the job's return")
        queue.wait_for(lambda line: line == f"Job still in progress: {job_id}", after=len(queue.lines))
        inside(person.site, USER, "scancel", job_id)
        assert queue.ended() == 1
    assert [note for note in queue.notes if note.startswith(f"Job {job_id} ")] == [f"Job {job_id} (a.json) ended: CANCELLED, exit code 0"]
    assert queue.notes[-3:-1] == ["Nothing more is submitted, since a.json failed", "slurm-gateway: 1 failed, 1 waiting"]
    assert "Submitting job: b.json" not in queue.lines


def test_on_a_terminal_of_80_columns_the_story_stands_above_a_bar(carol: Person, folder: Path) -> None:
    gate = carol.site.home(USER) / f"gate-{secrets.token_hex(4)}"
    fill(carol, folder, 2, f"until [ -e {gate} ]; do sleep 0.1; done")
    with terminal(carol) as screen:
        screen.start("queue", folder, "--interval", "1m")
        shown = screen.wait(r"0/2 1 in Slurm$").splitlines()
        gate.touch()
        code, left = screen.ended(LIMIT)
    ids = [line.rpartition(" ")[2] for line in left.splitlines() if line.startswith("Job Submitted")]
    story = f"""\
Routine check
Submitting job: job1.json
Job Submitted: Job ID : {ids[0]}
Completed Jobs/Already Submitted ['job1.json']
Routine check
Submitting job: job2.json
Job Submitted: Job ID : {ids[1]}
Completed Jobs/Already Submitted ['job1.json', 'job2.json']
Routine check
No more jobs in queue"""
    assert shown[-5:] == [*story.splitlines()[:4], "Jobs " + 40 * "\u2501" + " 0/2 1 in Slurm"]
    assert (code, left.splitlines()[-10:]) == (0, story.splitlines())

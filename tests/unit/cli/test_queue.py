"""``slurm-gateway queue``: what people read, what programs read, each error with its hint, and a real process that is killed at each step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client.queue import journal
from gateway.client.queue.records import Intended, Submitted
from tests.saying import TOKEN, Asked, FakeGateway, Says, refuses
from tests.unit.cli.conftest import Desk, Run, failure

LIMIT = 30.0
SUBMIT, JOBS = "POST /slurm/latest/job/submit", "GET /slurm/latest/jobs"


class Slurm:
    """Slurm behind the fake gateway: a key makes one job, each job has ended when it is looked at."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.keys: dict[str, int] = {}
        self.jobs: dict[int, dict[str, Any]] = {}
        self.ends: dict[str, int] = {}
        self.lock = threading.Lock()
        gateway.on(SUBMIT, self.submit)

    @property
    def names(self) -> list[str]:
        return [job["name"] for job in self.jobs.values()]

    def submit(self, asked: Asked) -> Says:
        with self.lock:
            return self.submitted(asked)

    def submitted(self, asked: Asked) -> Says:
        """Make the job of a request, unless its key has made it."""
        key = asked.headers["idempotency-key"]
        if key not in self.keys:
            name = json.loads(asked.body)["job"]["name"]  # of a request that broke off, nothing comes
            job_id = self.keys[key] = 90 + len(self.jobs)
            code = self.ends.get(name, 0)
            self.jobs[job_id] = {
                "job_id": job_id,
                "name": name,
                "job_state": "FAILED" if code else "COMPLETED",
                "exit_code": {"return_code": code},
                "submit_time": int(time.time()),
            }
            self.gateway.on(f"GET /slurm/latest/job/{job_id}", Says(body={"jobs": [self.jobs[job_id]]}))
        return Says(body={"job_id": self.keys[key], "errors": []})


@pytest.fixture
def slurm(gateway: FakeGateway) -> Slurm:
    return Slurm(gateway)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jobs"
    made.mkdir()
    return made


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(json.dumps({"job": {"name": name}, "script": "#!/bin/sh\n"}))


NOW = ("--settle", "0s")


def test_the_seeds_story_is_on_standard_output(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "slurm-job1.json", "slurm-job2.json")
    ran = run("queue", folder, *NOW)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "Routine check\n"
        "Submitting job: slurm-job1.json\n"
        "Job Submitted: Job ID : 90\n"
        "Completed Jobs/Already Submitted ['slurm-job1.json']\n"
        "Routine check\n"
        "Submitting job: slurm-job2.json\n"
        "Job Submitted: Job ID : 91\n"
        "Completed Jobs/Already Submitted ['slurm-job1.json', 'slurm-job2.json']\n"
        "Routine check\n"
        "No more jobs in queue\n"
    )
    assert slurm.names == ["slurm-job1.json", "slurm-job2.json"]


def test_programs_get_a_line_of_json_an_event(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    slurm.ends["a.json"] = 3
    ran = run("queue", folder, "--json", *NOW)
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["event"] for event in told] == ["started", "check", "submitting", "submitted", "taken", "ended", "check", "empty", "finished"]
    assert {"job_id": 90, "file": "a.json", "state": "FAILED", "exit_code": 3}.items() <= told[5].items()
    assert told[-1]["counts"]["failed"] == 1
    assert ran.code == 1


def test_what_did_not_end_well_is_told_with_a_hint(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json", "b.json")
    (folder / "c.json").touch()
    os.utime(folder / "c.json", (0, 0))
    slurm.ends["a.json"] = 3
    ran = run("queue", folder, *NOW, "--max-size", "1k")
    assert ran.code == 1
    assert "Job 90 (a.json) ended: FAILED, exit code 3\n" in ran.err
    assert ran.err.endswith(
        f"slurm-gateway: 1 completed, 1 failed, 1 set aside\nhint: 'slurm-gateway queue {folder} --status' says which, and why.\n"
    )


def test_what_was_changed_in_many_files_is_said_once(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json", "b.json")
    slurm.gateway.on(SUBMIT, lambda asked: Says(body=slurm.submit(asked).body, headers=(("X-Gateway-Repaired", "environment-default"),)))
    ran = run("queue", folder, *NOW)
    assert ran.err == "a.json: Brought up to the cluster's version: The job has no environment, so it got PATH=/usr/local/bin:/usr/bin:/bin.\n"


def test_a_script_runs_where_the_folder_is_unless_it_says_otherwise(run: Run, slurm: Slurm, folder: Path) -> None:
    (folder / "a.sh").write_text("#!/bin/sh\n#SBATCH --job-name=a\ntrue\n")
    run("queue", folder, *NOW)
    [body] = [json.loads(asked.body) for asked in slurm.gateway.asked if asked.method == "POST"]
    assert body["job"]["current_working_directory"] == str(folder)


def test_status_is_a_table_for_people(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    slurm.ends["a.json"] = 3
    run("queue", folder, *NOW)
    write(folder, "b.json")
    asked = len(slurm.gateway.asked)
    ran = run("queue", folder, "--status")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["FILE", "STATUS", "JOB", "STATE", "EXIT", "REASON"],
        ["a.json", "failed", "90", "FAILED", "3", "-"],
        ["b.json", "waiting", "-", "-", "-", "-"],
        ["1", "failed,", "1", "waiting"],
    ]
    assert len(slurm.gateway.asked) == asked


def test_the_table_and_its_sum_say_the_same_of_a_file(run: Run, folder: Path) -> None:
    write(folder, "a.json", "b.json")
    with journal.Journal(folder) as kept:
        for name in ("a.json", "b.json"):
            kept.write(Intended(file=name, key=name, sha256="s", path="/p", name="n", attempt=1, size=1, mtime_ns=2, at=1.0))
        kept.write(Submitted(file="a.json", key="a.json", job_id=90, at=2.0))
    lines = run("queue", folder, "--status").out.splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "a.json in Slurm 90 - - -",
        "b.json being submitted - - - -",
        "1 in Slurm, 1 being submitted",
    ]


def test_status_is_json_for_programs_and_tells_who_runs_it(run: Run, folder: Path) -> None:
    write(folder, "a.json")
    with journal.Journal(folder):
        told = json.loads(run("queue", folder, "--status", "--json").out)
        assert f"Run by process {os.getpid()} on " in run("queue", folder, "--status").out
    assert told["running"]["pid"] == os.getpid()
    assert (told["counts"], [line["file"] for line in told["files"]]) == ({"waiting": 1}, ["a.json"])


def test_a_dry_run_shows_the_order_and_what_would_be_set_aside(run: Run, folder: Path) -> None:
    write(folder, "job10.json", "job9.json")
    (folder / "bad.json").touch()
    os.utime(folder / "job10.json", (0, 0))
    by_name = run("queue", folder, "--dry-run").out.splitlines()
    assert [line.split()[0] for line in by_name[1:4]] == ["bad.json", "job9.json", "job10.json"]
    assert by_name[1].split(None, 6)[6] == "bad.json is empty"
    by_time = run("queue", folder, "--dry-run", "--order", "time").out.splitlines()
    assert by_time[1].split()[0] == "job10.json"
    assert not (folder / journal.FOLDER).exists()


def test_an_empty_folder_is_said_to_be_so(run: Run, folder: Path) -> None:
    assert run("queue", folder, "--status").err == "No job files.\n"


def test_a_retry_is_as_many_times_as_wished(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    slurm.ends["a.json"] = 1
    ran = run("queue", folder, *NOW, "--on-failure", "retry=2")
    assert slurm.names == ["a.json"] * 3
    assert "a.json is submitted again, for the third time\n" in ran.err


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("--in-flight", "0"), "argument --in-flight: '0' is no number from 1 to 100000", "'slurm-gateway queue --help'"),
        (("--in-flight", "many"), "argument --in-flight: 'many' is no number from 1 to 100000", "'slurm-gateway queue --help'"),
        (("--interval", "soon"), "argument --interval: 'soon' is no time such as 30s, 5m or 1h", "'slurm-gateway queue --help'"),
        (("--settle", "-1"), "argument --settle: '-1' is no time such as 30s, 5m or 1h", "'slurm-gateway queue --help'"),
        (("--max-size", "big"), "argument --max-size: 'big' is no size such as 500k or 4m", "'slurm-gateway queue --help'"),
        *(
            (("--max-size", size), f"argument --max-size: '{size}' is not between a byte and 1024m", "'slurm-gateway queue --help'")
            for size in ("0", "9" * 12 + "m")
        ),
        (("--interval", "999999999h"), "argument --interval: '999999999h' is longer than a year", "'slurm-gateway queue --help'"),
        (("--order", "size"), "--order: 'size' is none of name, time", "'slurm-gateway queue --help'"),
        (("--on-failure", "panic"), "--on-failure panic is none of continue, stop and retry=K", "For example: --on-failure retry=2"),
        (("--status", "--dry-run"), "argument --dry-run: not allowed with argument --status", "'slurm-gateway queue --help'"),
    ],
)
def test_a_wrong_option_is_said_with_a_hint(run: Run, folder: Path, words: tuple[str, ...], said: str, hint: str) -> None:
    ran = run("queue", folder, *words)
    assert ran.code == 2
    message, tip = ran.err.splitlines()
    assert message == f"slurm-gateway: {said}"
    assert hint in tip


def test_a_folder_that_is_none_is_said_with_a_hint(run: Run, tmp_path: Path) -> None:
    ran = run("queue", tmp_path / "none")
    assert (ran.code, ran.err) == (
        1,
        f"slurm-gateway: {tmp_path}/none is no folder\nhint: Name a folder with job files: slurm-gateway queue DIR\n",
    )


def test_a_second_queue_is_refused_with_a_hint(run: Run, slurm: Slurm, folder: Path) -> None:
    with journal.Journal(folder):
        ran = run("queue", folder)
    assert ran.code == 1
    assert ran.err.startswith(f"slurm-gateway: a queue runs on {folder} already: process {os.getpid()} on ")
    assert ran.err.endswith(f"hint: It takes what you put into the folder. 'slurm-gateway queue {folder} --status' shows how far it is.\n")
    assert slurm.jobs == {}


@pytest.mark.parametrize("words", [(), ("--status",), ("--dry-run",)])
def test_a_broken_journal_is_said_with_a_hint_and_nothing_is_submitted(run: Run, slurm: Slurm, folder: Path, words: tuple[str, ...]) -> None:
    write(folder, "a.json")
    run("queue", folder, *NOW)
    write(folder, "b.json")
    file = folder / journal.FOLDER / "journal.jsonl"
    file.write_bytes(b"garbage\n" + file.read_bytes())
    ran = run("queue", folder, *words)
    assert ran.code == 1
    hint = (
        f"Look at that line. If the file is beyond repair, move the folder {file.parent} away: "
        "the next queue then submits every job file that is still there anew."
    )
    assert ran.err == failure(f"{file}, line 1, is broken: it is no JSON. Nothing was submitted.", hint)
    assert slurm.names == ["a.json"]


def test_a_folder_that_may_not_be_written_to_is_said_with_a_hint(run: Run, slurm: Slurm, folder: Path) -> None:
    (folder / journal.FOLDER).touch()
    ran = run("queue", folder)
    assert ran.code == 1
    hint = "The queue writes down what it does before it does it. Make room, or let it write there, and start it again: it goes on where it was."
    assert ran.err == failure(f"{folder / journal.FOLDER} cannot be written: File exists", hint)
    assert slurm.jobs == {}


def test_somebody_elses_queue_is_refused_with_a_hint(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    slurm.gateway.on(SUBMIT, refuses(403, "not_permitted", "You may not submit.", "Ask."))
    assert run("queue", folder, *NOW).err == "slurm-gateway: You may not submit.\nhint: Ask.\n"
    slurm.gateway.on("GET /auth/session", Says(body={"username": "bob", "kind": "session"}))
    ran = run("queue", folder, *NOW)
    assert ran.err == (
        f"slurm-gateway: alice has files of this folder under way through {slurm.gateway.url}; you are bob at {slurm.gateway.url}\n"
        f"hint: Go on as alice at {slurm.gateway.url} until they are at their end, or use another folder.\n"
    )


def test_without_a_terminal_a_session_that_has_ended_is_said_with_a_hint(run: Run, slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    slurm.gateway.on(SUBMIT, refuses(401, "token_refused", "The token is unknown, has ended or has expired."))
    ran = run("queue", folder, *NOW)
    assert ran.code == 1
    assert ran.err.startswith("slurm-gateway: The token is unknown, has ended or has expired.\nhint: ")
    slurm.gateway.on(SUBMIT, slurm.submit)
    assert run("queue", folder, *NOW).code == 0
    assert slurm.names == ["a.json"]


# A real process.


@pytest.fixture
def start(folder: Path, gateway: FakeGateway, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a queue on the folder in a process of its own, and kill what is left at the end."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SLURM_GATEWAY_URL": gateway.url,
        "SLURM_GATEWAY_TOKEN": TOKEN,
    }
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gateway", "queue", str(folder), *NOW, *words]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def lines(folder: Path) -> int:
    try:
        return (folder / journal.FOLDER / "journal.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def test_killed_after_each_line_of_its_journal_each_file_is_submitted_once(
    start: Callable[..., subprocess.Popen[str]], slurm: Slurm, folder: Path
) -> None:
    write(folder, "a.json", "c.json")
    (folder / "b.json").touch()
    os.utime(folder / "b.json", (0, 0))
    seen = 0
    while True:
        process = start("--in-flight", "2")
        while process.poll() is None and lines(folder) <= seen:
            time.sleep(0.001)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = lines(folder)
    assert process.returncode in {0, 1}, process.communicate()
    assert Counter(slurm.names) == {"a.json": 1, "c.json": 1}, process.communicate()
    assert {path.name for path in (folder / "set-aside").iterdir()} == {"b.json", "b.json.reason.txt"}
    assert sorted(path.name for path in (folder / journal.FOLDER).iterdir()) == ["journal.jsonl", "lock"]


@pytest.mark.parametrize("made", [False, True])
def test_killed_while_it_waits_for_an_answer_each_file_is_submitted_once(
    start: Callable[..., subprocess.Popen[str]], slurm: Slurm, folder: Path, *, made: bool
) -> None:
    write(folder, "a.json", "b.json")
    killed: list[str] = []

    def kill(asked: Asked) -> Says:
        key = asked.headers["idempotency-key"]
        if made:
            slurm.submit(asked)
        if key not in killed:
            killed.append(key)
            process.kill()
            process.wait()
        return slurm.submit(asked)

    slurm.gateway.on(SUBMIT, kill)
    for _ in range(2):
        process = start()
        assert process.wait(LIMIT) == -signal.SIGKILL
    process = start()
    assert process.wait(LIMIT) == 0
    assert slurm.names == ["a.json", "b.json"]
    assert len(killed) == len(slurm.keys) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_and_says_how_to_go_on(
    start: Callable[..., subprocess.Popen[str]], slurm: Slurm, folder: Path, number: signal.Signals, code: int
) -> None:
    write(folder, "a.json", "b.json")

    def runs(asked: Asked) -> Says:
        answer = slurm.submit(asked)
        slurm.gateway.on("GET /slurm/latest/job/90", Says(body={"jobs": [{**slurm.jobs[90], "job_state": "RUNNING"}]}))
        return answer

    slurm.gateway.on(SUBMIT, runs)
    process = start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Completed Jobs"):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code
    assert err.endswith("Stopped. 1 job goes on in Slurm.\nhint: Start the queue again: it goes on where it was.\n")
    assert slurm.names == ["a.json"]


def test_a_signal_stops_it_well_where_nobody_reads_its_errors(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("--follow")
    assert process.stdout is not None
    assert process.stderr is not None
    assert any(line == "No more jobs in queue\n" for line in process.stdout)
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 143


def test_a_second_signal_while_somebody_is_asked_gives_them_their_terminal_back(desk: Desk, folder: Path) -> None:
    desk.signed_in()
    with desk.types("queue", folder, "--follow", *NOW) as terminal:
        terminal.wait_for("No more jobs in queue")
        desk.fake.known.clear()
        write(folder, "a.json")
        terminal.wait_for("Password of alice:")
        terminal.type("\x03")
        terminal.wait_for("once more, and it stops at once")
        assert not terminal.is_echoing()
        terminal.type("\x03")
        assert terminal.ended() == 130
        assert terminal.is_echoing()


def test_a_second_signal_stops_it_at_once(start: Callable[..., subprocess.Popen[str]], slurm: Slurm, folder: Path) -> None:
    write(folder, "a.json")
    asked_for, over = threading.Event(), threading.Event()

    def hang(asked: Asked) -> Says:
        asked_for.set()
        over.wait(LIMIT)
        return slurm.submit(asked)

    slurm.gateway.on(SUBMIT, hang)
    try:
        process = start()
        assert asked_for.wait(LIMIT)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("once more, and it stops at once" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130
    finally:
        over.set()

"""``submit``: what it prints, what it sends, and what it says when that is not possible."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cli import person, submit
from gateway.client.calls import Submitted
from gateway.client.cluster import Job
from gateway.client.errors import JobForgottenError, SlurmRefusedError, UnreachableError
from tests.unit.cli.conftest import Run, failure

SCRIPT = "#!/bin/sh\n#SBATCH -n2\nid\n"


class Gateway:
    """Takes jobs, or raises what it was told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.answer: Submitted | BaseException = Submitted(job_id=7)
        self.ends: Job | BaseException = Job(id=7, name="hello", user="alice", state="FAILED", exit_code=3)
        self.person, self.token = None, None

    def accounted(self, job_id: int) -> list[Job]:
        raise JobForgottenError(f"accounting knows no job {job_id}", hint="")

    def submit(self, body: bytes) -> Submitted:
        self.sent.append(body)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def wait(self, *_: int, **__: Any) -> list[Job]:
        if isinstance(self.ends, BaseException):
            raise self.ends
        return [self.ends]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()

    @contextmanager
    def given(*_: object, **__: object) -> Iterator[Gateway]:
        yield made

    monkeypatch.setattr(person, "gateway_of", given)
    monkeypatch.setattr(person, "PersonsGateway", given)
    monkeypatch.setattr(submit, "replace", lambda *_, **__: None)
    monkeypatch.setattr(person, "renew_if_short", lambda *_: None)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (path := tmp_path / "hello.sh").write_text(SCRIPT)
    return path


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (path := tmp_path / "job.json").write_text('{"job": {"name": "a"}}')
    return path


def test_a_script_is_submitted_and_its_number_printed(run: Run, gateway: Gateway, file: Path) -> None:
    ran = run("submit", file)
    assert (ran.code, ran.out) == (0, "Submitted job 7 (hello.sh)\n")
    assert json.loads(gateway.sent[0])["job"]["tasks"] == 2
    assert "--chdir names another folder" in ran.err


def test_what_was_repaired_is_said_of_files_that_people_wrote_so(run: Run, gateway: Gateway, file: Path, job: Path) -> None:
    gateway.answer = Submitted(job_id=7, repaired=("environment-default", "time_limit"), warnings=("Slow day", "Expected OpenAPI type=string"))
    told = run("submit", job).err.splitlines()
    assert told == [
        "Brought up to the cluster's version: The job has no environment, so it got PATH=/usr/local/bin:/usr/bin:/bin.",
        "Brought up to the cluster's version: time_limit.",
        "Slurm: Slow day",
    ]
    assert "Brought up" not in run("submit", file).err


def test_programs_are_told_everything(run: Run, gateway: Gateway, job: Path) -> None:
    gateway.answer = Submitted(job_id=7, repaired=("time_limit",), warnings=("Expected OpenAPI type=string",))
    told = json.loads(run("submit", job, "--json").out)
    assert told == {"job_id": 7, "name": "a", "repaired": ["time_limit"], "warnings": ["Expected OpenAPI type=string"]}


def test_fields_are_set_and_a_job_held(run: Run, gateway: Gateway, job: Path) -> None:
    assert run("submit", job, "--set", "partition=debug", "--set", "environment.A=b=c", "--hold").code == 0
    assert json.loads(gateway.sent[0]) == {"job": {"name": "a", "partition": "debug", "environment": {"A": "b=c"}, "hold": True}}


def test_a_dry_run_prints_the_body_and_sends_nothing(run: Run, gateway: Gateway, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    ran = run("submit", job, "--dry-run", "--cluster", "other")
    assert (ran.code, ran.out, gateway.sent) == (0, '{"job": {"name": "a"}}\n', [])
    assert ran.err == "Would be sent to the gateway/clusters/other/slurm/latest/job/submit:\n"


def test_a_dry_run_says_where_to_it_would_go(run: Run, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person, "person_of", lambda _: SimpleNamespace(site=SimpleNamespace(url="https://gateway.example.org")))
    assert "to https://gateway.example.org/slurm/latest/job/submit:" in run("submit", job, "--dry-run").err


def test_a_job_may_come_from_standard_input(run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SCRIPT.encode())))
    assert run("submit", "-").out == "Submitted job 7 (sbatch)\n"
    assert json.loads(gateway.sent[0])["job"]["script"] == SCRIPT


@pytest.mark.usefixtures("gateway")
def test_the_exit_code_is_the_jobs(run: Run, file: Path) -> None:
    ran = run("submit", file, "--wait")
    assert (ran.code, ran.out) == (3, "Submitted job 7 (hello.sh)\nJob 7 (hello) FAILED, exit code 3\n")
    ran = run("submit", file, "--wait", "--json")
    assert [json.loads(line)["job_id"] for line in ran.out.splitlines()] == [7, 7]


def test_to_stop_waiting_is_not_to_stop_the_job(run: Run, gateway: Gateway, file: Path) -> None:
    gateway.ends = KeyboardInterrupt()
    ran = run("submit", file, "--wait")
    assert ran.code == 130
    assert "Job 7 goes on. 'slurm-gateway wait 7' waits for it again, 'slurm-gateway cancel 7' ends it." in ran.err


def test_where_nobody_knows_whether_it_was_submitted_that_is_said(run: Run, gateway: Gateway, job: Path) -> None:
    look = "It may have been submitted: look for it with 'slurm-gateway jobs' before you submit it again."
    gateway.answer = KeyboardInterrupt()
    ran = run("submit", job)
    assert (ran.code, look in ran.err, ran.out) == (130, True, "")
    gateway.answer = UnreachableError("it broke off", hint="Check.", sent=True)
    ran = run("submit", job)
    assert (ran.code, f"hint: {look}" in ran.err) == (1, True)
    gateway.answer = UnreachableError("it is away", hint="Check.", sent=False)
    assert "hint: Check." in run("submit", job).err


@pytest.mark.parametrize("said", ['Unknown key "tasks"', 'Disabled key: "tasks"', 'Unable to process key "tasks"'])
def test_a_field_that_slurm_does_not_know_is_the_option_that_asked_for_it(said: str, run: Run, gateway: Gateway, file: Path) -> None:
    gateway.answer = SlurmRefusedError(said, hint="h", status=400, request_id=None, errors=({"description": said},))
    ran = run("submit", file)
    assert ran.code == 1
    hint = "Take it out of the script, or use sbatch on a login node."
    assert failure(f"--ntasks, {file}:2: the REST API of this cluster does not take it: {said}", hint) in ran.err


def test_another_refusal_is_slurms_own(run: Run, gateway: Gateway, file: Path) -> None:
    gateway.answer = SlurmRefusedError("Invalid partition", hint="sinfo", status=400, request_id=None, errors=({"description": "Invalid partition"},))
    assert "slurm-gateway: Invalid partition\nhint: sinfo\n" in run("submit", file).err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--set", "partition"], 2, "'partition' is not NAME=VALUE"),
        (["--set", "=x"], 2, "'=x' is not NAME=VALUE"),
        (["--max-size", "0"], 2, "argument --max-size: '0' is not between a byte and 1024m\nhint: 'slurm-gateway submit --help'"),
        (["--patience", "long"], 2, "argument --patience: 'long' is no time such as 30s, 5m or 1h\nhint: 'slurm-gateway submit --help'"),
        (["--set", "partion=x"], 1, "there is no field partion\nhint: Did you mean partition?"),
    ],
)
def test_what_cannot_be_meant_is_said_with_a_hint(words: list[str], code: int, says: str, run: Run, gateway: Gateway, job: Path) -> None:
    ran = run("submit", job, *words)
    assert (ran.code, says in ran.err, "hint: " in ran.err, gateway.sent) == (code, True, True, [])


def test_a_file_that_is_not_there_or_no_job_is_said_with_a_hint(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    ran = run("submit", tmp_path / "none.json")
    assert (ran.code, "cannot be read: No such file or directory\nhint: Look at its name" in ran.err) == (1, True)
    (tmp_path / "bad.sh").write_text("#!/bin/sh\n#SBATCH --partion=x\nid\n")
    ran = run("submit", tmp_path / "bad.sh")
    assert (ran.code, "bad.sh:2: there is no option --partion\nhint: Did you mean --partition?" in ran.err) == (1, True)
    (tmp_path / "large.json").write_bytes(b" " * (1024 * 1024 + 1))
    ran = run("submit", tmp_path / "large.json", "--max-size", "1m")
    assert (ran.code, "is larger than 1 MiB" in ran.err, gateway.sent) == (1, True, [])


@pytest.mark.usefixtures("gateway")
def test_a_folder_that_is_gone_is_said(run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ran = run("submit", file)
    assert (ran.code, ran.err) == (1, failure("the current folder is gone", "Go to a folder that is there."))

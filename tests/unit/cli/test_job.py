"""One job in full, and the tasks and parts of one that is several."""

from __future__ import annotations

import json
import re

import pytest

from tests.saying import FakeGateway, Says, recorded, refuses
from tests.unit.cli.conftest import Run

RELEASES = ("22.05", "24.11")
NOT_FOUND = Says(status=404, body={"errors": [{"description": "Unable to find JobId=9", "error_number": 2017}], "hint": "GET /slurm/…/jobs"})


@pytest.mark.parametrize("release", RELEASES)
def test_a_job_is_shown_in_full(run: Run, gateway: FakeGateway, release: str) -> None:
    gateway.on("GET /slurm/latest/job/7", recorded(release, "job-failed"))
    ran = run("job", 7)
    told = dict(line.split(maxsplit=1) for line in ran.out.replace("Time limit", "Limit").replace("Exit code", "Exit").splitlines())
    assert ran.code == 0
    assert (told["Name"], told["User"], told["State"], told["Reason"], told["Exit"], told["Limit"]) == (
        *("analyse", "alice", "FAILED", "NonZeroExitCode", "3", "5:00"),
    )
    assert told["Folder"] == "/srv/home/alice"


@pytest.mark.parametrize("release", RELEASES)
def test_a_job_that_runs_has_no_end_and_no_exit_code(run: Run, gateway: FakeGateway, release: str) -> None:
    gateway.on("GET /slurm/latest/job/7", recorded(release, "job-run"))
    out = run("job", 7).out
    assert ("Ended" in out, "Exit code" in out, "Ran for" in out, "1:30:00" in out) == (False, False, True, True)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("name", "count"), [("job-array", 2), ("job-het", 2)])
def test_what_is_several_jobs_is_a_list(run: Run, gateway: FakeGateway, release: str, name: str, count: int) -> None:
    gateway.on("GET /slurm/latest/job/7", recorded(release, name))
    lines = run("job", 7).out.splitlines()
    assert len(lines) == count + 1
    assert lines[1].split()[0][-2:] in {"_1", "+0"}


@pytest.mark.parametrize(("written", "name", "label"), [("7_2", "job-array", "_2"), ("7+1", "job-het", "+1")])
def test_a_task_or_a_part_is_shown_by_itself(run: Run, gateway: FakeGateway, written: str, name: str, label: str) -> None:
    gateway.on("GET /slurm/latest/job/7", recorded("22.05", name))
    lines = run("job", written).out.splitlines()
    assert lines[0].startswith("Job ")
    assert lines[0].endswith(label)


def test_a_task_that_waits_is_found_among_those_that_do(run: Run, gateway: FakeGateway) -> None:
    waits = {"job_id": 7, "name": "x", "job_state": "PENDING", "array_job_id": 7, "array_task_string": "3-9%2"}
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [waits]}))
    assert json.loads(run("job", "7_4", "--json").out)["jobs"][0]["task"] == "7_[3-9%2]"


def test_a_task_that_is_not_there_is_refused_with_those_that_are(run: Run, gateway: FakeGateway) -> None:
    waits = {"job_id": 7, "name": "x", "job_state": "PENDING", "array_job_id": 7, "array_task_string": "3-9%2"}
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [waits]}))
    ran = run("job", "7_10")
    assert (ran.code, ran.err) == (1, "slurm-gateway: Slurm shows no job 7_10\nhint: There is 7_[3-9%2]: 'slurm-gateway job 7' shows it.\n")


def test_an_unknown_job_is_refused_with_where_else_it_may_be_known(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/9", NOT_FOUND)
    gateway.on("GET /slurmdb/latest/job/9", Says(body={"jobs": []}))
    ran = run("job", 9)
    assert (ran.code, ran.err.splitlines()[0].startswith("slurm-gateway: Slurm knows no job 9")) == (1, True)
    assert ran.err.splitlines()[1].startswith("hint: Slurm forgets a job some minutes after its end")


def test_a_job_that_is_only_in_accounting_is_shown(run: Run, gateway: FakeGateway) -> None:
    record = {
        "job_id": 9,
        "name": "old",
        "user": "alice",
        "partition": "main",
        "nodes": "n1",
        "state": {"current": ["FAILED"], "reason": "NonZeroExitCode"},
        "exit_code": {"status": ["ERROR"], "return_code": {"set": True, "infinite": False, "number": 3}},
        "time": {"submission": 100, "start": 110, "end": 170, "limit": {"set": True, "infinite": False, "number": 5}},
        "working_directory": "/home/alice",
    }
    gateway.on("GET /slurm/latest/job/9", NOT_FOUND)
    gateway.on("GET /slurmdb/latest/job/9", Says(body={"jobs": [record]}))
    out = run("job", 9).out
    assert re.findall(r"^(Name|State|Exit code|Ran for|Folder) +(.*)$", out, re.MULTILINE) == [
        ("Name", "old"),
        ("State", "FAILED"),
        ("Exit code", "3"),
        ("Ran for", "1:00"),
        ("Folder", "/home/alice"),
    ]


def test_what_else_is_refused_is_told_as_it_was(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/9", refuses(403, "not_permitted", "This account may not.", "Ask for it."))
    assert run("job", 9).err == "slurm-gateway: This account may not.\nhint: Ask for it.\n"


@pytest.mark.parametrize("written", ["x", "0", "7_", "7+", "-7", "7_3_4", "٣", "99999999999", "7;rm"])
def test_what_is_no_job_is_usage(run: Run, gateway: FakeGateway, written: str) -> None:
    ran = run("job", written)
    assert (ran.code, ran.err.splitlines()[1]) == (2, "hint: 'slurm-gateway job --help' tells how it is used.")
    assert gateway.asked == []

"""A job's output is not ours to fetch, but it is said where it is."""

from __future__ import annotations

import pytest

from tests.saying import FakeGateway, Says, recorded
from tests.unit.cli.conftest import Run, failure

ARRAY = {"job_id": 7, "name": "x", "job_state": "PENDING", "array_job_id": 7, "array_task_string": "3-9", "current_working_directory": "/home/alice/"}


@pytest.mark.parametrize("release", ["22.05", "24.11"])
def test_it_is_said_where_the_output_is(run: Run, gateway: FakeGateway, release: str) -> None:
    gateway.on("GET /slurm/latest/job/7", recorded(release, "job-run"))
    ran = run("output", 7)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == "slurm-gateway: the gateway carries Slurm's API, and no files: a job's output is out of its scope"
    assert ran.err.splitlines()[1].startswith("hint: It is on the cluster, in /srv/home/alice/slurm-")


@pytest.mark.parametrize(("written", "file"), [("7_4", "slurm-7_4.out"), ("7", "slurm-7_%a.out")])
def test_the_output_of_a_task_that_waits_has_its_number(run: Run, gateway: FakeGateway, written: str, file: str) -> None:
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [ARRAY]}))
    assert f"in /home/alice/{file}: fetch" in run("output", written).err


def test_what_slurm_makes_of_a_task_that_has_no_number_is_not_shown(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [{**ARRAY, "standard_output": "/home/alice/slurm-7_4294967294.out"}]}))
    assert "in /home/alice/slurm-7_%a.out: fetch" in run("output", 7).err


@pytest.mark.parametrize(("named", "file"), [("hello.out", "/home/alice/hello.out"), ("logs/x", "/home/alice/logs/x"), ("/srv/x", "/srv/x")])
def test_a_name_that_was_asked_for_is_told_with_its_folder(run: Run, gateway: FakeGateway, named: str, file: str) -> None:
    told = {"job_id": 7, "name": "x", "job_state": "RUNNING", "current_working_directory": "/home/alice/", "standard_output": named}
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [told]}))
    assert f"in {file}: fetch" in run("output", 7).err


def test_where_slurm_does_not_tell_the_job_does(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/job/7", Says(body={"jobs": [{"job_id": 7, "name": "x", "job_state": "RUNNING"}]}))
    hint = "It is on the cluster, where the job's --output says: fetch it with scp or your site's data service."
    assert run("output", 7).err == failure("the gateway carries Slurm's API, and no files: a job's output is out of its scope", hint)

"""Lists of jobs, as both shapes of Slurm's answers tell them."""

from __future__ import annotations

import json

import pytest

from tests.saying import FakeGateway, Says, recorded, refuses
from tests.unit.cli.conftest import Run

RELEASES = ("22.05", "24.11")


@pytest.mark.parametrize("release", RELEASES)
def test_my_jobs_are_listed_as_they_were_submitted(run: Run, gateway: FakeGateway, release: str) -> None:
    gateway.on("GET /slurm/latest/jobs", recorded(release, "jobs"))
    ran = run("jobs")
    heading, *lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == ["JOB", "NAME", "PARTITION", "STATE", "TIME", "SUBMITTED", "NODES", "(WHY)"]
    shown = [(words[1], words[3], words[-1]) for words in map(str.split, lines)]
    assert shown == [
        ("fold", "COMPLETED", "demo"),
        ("analyse", "FAILED", "3"),
        ("sweep", "COMPLETED", "demo"),
        ("sweep", "COMPLETED", "demo"),
        ("train", "RUNNING", "demo"),
        ("later", "PENDING", "(JobHeldUser)"),
        ("grid", "PENDING", "(JobHeldUser)"),
        ("couple", "PENDING", "(JobHeldUser)"),
        ("couple", "PENDING", "(JobHeldUser)"),
    ]
    assert "[3-9%2]" in lines[6]
    assert [line.split()[0].partition("+")[2] for line in lines[7:]] == ["0", "1"]


@pytest.mark.parametrize("release", RELEASES)
def test_json_has_names_that_stay_and_times_for_programs(run: Run, gateway: FakeGateway, release: str) -> None:
    gateway.on("GET /slurm/latest/jobs", recorded(release, "jobs"))
    jobs = json.loads(run("jobs", "--json").out)["jobs"]
    failed, runs, waits = (next(job for job in jobs if job["name"] == name) for name in ("analyse", "train", "later"))
    assert {key: failed[key] for key in ("user", "partition", "state", "exit_code", "nodes", "time_limit", "array_job_id")} == {
        "user": "alice",
        "partition": "main",
        "state": "FAILED",
        "exit_code": 3,
        "nodes": "demo",
        "time_limit": 5,
        "array_job_id": None,
    }
    assert failed["ended_at"].endswith("Z")
    assert sorted(failed) == sorted(
        [
            "job_id",
            "task",
            "name",
            "user",
            "partition",
            "state",
            "flags",
            "reason",
            "nodes",
            "exit_code",
            "submitted_at",
            "started_at",
            "ended_at",
            "time_limit",
            "array_job_id",
            "het_job_id",
        ]
    )
    # What Slurm tells of the end of one that runs is when its time is over.
    assert (runs["state"], runs["ended_at"], runs["exit_code"], runs["time_limit"]) == ("RUNNING", None, None, 90)
    assert (waits["started_at"], waits["reason"], waits["nodes"]) == (None, "JobHeldUser", None)


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ((), {"user": "alice"}),
        (("--all",), {}),
        (("--user", "bob"), {"user": "bob"}),
        (("--state", "R, PD"), {"user": "alice", "state": "R,PD"}),
        (("--all", "--partition", "main,debug"), {"partition": "main,debug"}),
    ],
)
def test_what_is_chosen_is_asked_for(run: Run, gateway: FakeGateway, words: tuple[str, ...], query: dict[str, str]) -> None:
    gateway.on("GET /slurm/latest/jobs", Says(body={"jobs": []}))
    assert run("jobs", *words).code == 0
    asked = dict(gateway.asked[-1].query)
    assert asked.pop("fields").startswith("job_id,")
    assert asked == query


def test_others_jobs_say_whose_they_are(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", recorded("22.05", "jobs"))
    assert run("jobs", "--all").out.splitlines()[0].split()[2] == "USER"


def test_no_jobs_are_said_beside_the_output(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", Says(body={"jobs": []}))
    ran = run("jobs")
    assert (ran.code, ran.out, ran.err) == (0, "", "No jobs.\n")
    assert run("jobs", "--json").out == '{"jobs": []}\n'


def test_another_cluster_is_asked_by_its_name(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /clusters/big/slurm/latest/jobs", Says(body={"jobs": []}))
    assert run("jobs", "--cluster", "big").code == 0


def test_a_state_that_is_none_is_refused_with_those_that_there_are(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", refuses(400, "bad_request", "One of the states is none of Slurm's.", "The states are PENDING, RUNNING."))
    ran = run("jobs", "--state", "RUNING")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "slurm-gateway: One of the states is none of Slurm's.\nhint: The states are PENDING, RUNNING.\n"


def test_all_and_user_exclude_each_other(run: Run, gateway: FakeGateway) -> None:
    ran = run("jobs", "--all", "--user", "bob")
    assert (ran.code, ran.err.splitlines()[1]) == (2, "hint: 'slurm-gateway jobs --help' tells how it is used.")
    assert gateway.asked == []


def test_what_a_name_would_do_to_a_terminal_is_not_done(run: Run, gateway: FakeGateway) -> None:
    job = {"job_id": 1, "name": "a\x1b]0;x\x07\u202eb", "user_name": "alice", "job_state": "RUNNING", "partition": "main"}
    gateway.on("GET /slurm/latest/jobs", Says(body={"jobs": [job]}))
    assert "a?]0;x??b" in run("jobs").out
    assert "\x1b" not in run("jobs", "--json").out

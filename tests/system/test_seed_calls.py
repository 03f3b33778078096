"""The fourteen calls of the program that this project grew from, through nginx and the gateway, on real Slurm with slurmdbd."""

from __future__ import annotations

import json

import pytest

from tests.system.support import Site, wait_for

V = "v0.0.36"


@pytest.fixture(scope="module")
def held_job(site: Site) -> int:
    return site.submit("alice", "#!/bin/sh\nsleep 60\n", hold=True)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"/slurm/{V}/diag", "statistics"),
        (f"/slurm/{V}/ping", "pings"),
        (f"/slurm/{V}/jobs", "jobs"),
        (f"/slurm/{V}/nodes", "nodes"),
        (f"/slurm/{V}/partitions", "partitions"),
    ],
)
def test_a_read_of_the_cluster_answers(site: Site, path: str, key: str) -> None:
    answer = site.call("alice", "GET", path)
    assert answer.status == 200
    assert answer.json[key]
    assert answer.json["errors"] == []


def test_a_job_can_be_read(site: Site, held_job: int) -> None:
    answer = site.call("alice", "GET", f"/slurm/{V}/job/{held_job}")
    assert (answer.status, answer.json["jobs"][0]["job_id"]) == (200, held_job)


@pytest.mark.parametrize("kind", ["node", "partition"])
def test_one_of_a_kind_can_be_read_by_its_name(site: Site, kind: str) -> None:
    name = site.call("alice", "GET", f"/slurm/{V}/{kind}s").json[f"{kind}s"][0]["name"]
    answer = site.call("alice", "GET", f"/slurm/{V}/{kind}/{name}")
    assert (answer.status, answer.json[f"{kind}s"][0]["name"]) == (200, name)


def test_a_submitted_job_runs_as_its_submitter_and_writes_its_output(site: Site) -> None:
    output = site.home("alice") / "seed.out"
    job_id = site.submit("alice", "#!/bin/sh\nid -un\n", standard_output=str(output))
    wait_for(lambda: site.state_of("alice", job_id) == "COMPLETED", 60, "the job's end")
    assert wait_for(output.read_text, 10, "output") == "alice\n"
    assert output.stat().st_uid == site.call("alice", "GET", f"/slurm/{V}/job/{job_id}").json["jobs"][0]["user_id"]


def test_the_audit_trail_names_the_job_that_a_submission_made(site: Site) -> None:
    job_id = site.submit("alice", "#!/bin/sh\ntrue\n")
    (line,) = site.audit_lines(job_id=job_id)
    assert (line["event"], line["user"], line["method"], line["status"]) == ("request", "alice", "POST", 200)


def test_a_job_can_be_changed(site: Site, held_job: int) -> None:
    answer = site.call("alice", "POST", f"/slurm/{V}/job/{held_job}", {"comment": "changed", "time_limit": 7})
    assert answer.status == 200, answer.body
    job = site.call("alice", "GET", f"/slurm/{V}/job/{held_job}").json["jobs"][0]
    assert (job["comment"], job["time_limit"]) == ("changed", 7)


def test_a_job_can_be_cancelled(site: Site) -> None:
    job_id = site.submit("alice", "#!/bin/sh\nsleep 60\n", hold=True)
    assert site.call("alice", "DELETE", f"/slurm/{V}/job/{job_id}").status == 200
    wait_for(lambda: site.state_of("alice", job_id) == "CANCELLED", 20, "cancellation")


def test_an_administrator_of_slurmdbd_can_make_a_cluster(site: Site) -> None:
    answer = site.call("adele", "POST", f"/slurmdb/{V}/clusters", {"clusters": [{"name": "seed"}]})
    assert answer.status == 200, answer.body


def test_an_administrator_of_slurmdbd_can_make_a_wckey(site: Site) -> None:
    answer = site.call("adele", "POST", f"/slurmdb/{V}/wckeys", {"wckeys": [{"name": "seed", "cluster": site.told["cluster"], "user": "alice"}]})
    assert answer.status == 200, answer.body
    assert "seed" in [wckey["name"] for wckey in site.call("adele", "GET", f"/slurmdb/{V}/wckeys").json["wckeys"]]


def test_the_singular_wckey_that_slurm_does_not_take_is_refused_in_its_own_words(site: Site) -> None:
    answer = site.call("adele", "POST", f"/slurmdb/{V}/wckey", {"wckeys": []})
    assert (answer.status, "Requested REST method is not defined at URL" in answer.json["detail"]) == (405, True)


def test_an_administrator_of_slurmdbd_can_delete_an_account(site: Site) -> None:
    made = site.call("adele", "POST", f"/slurmdb/{V}/accounts", {"accounts": [{"name": "passing", "description": "d", "organization": "o"}]})
    assert made.status == 200, made.body
    answer = site.call("adele", "DELETE", f"/slurmdb/{V}/account/passing")
    assert answer.status == 200, answer.body
    assert "passing" not in [account["name"] for account in site.call("adele", "GET", f"/slurmdb/{V}/accounts").json["accounts"]]


def test_what_slurmdbd_refuses_comes_in_its_own_words(site: Site) -> None:
    answer = site.call("alice", "POST", f"/slurmdb/{V}/clusters", {"clusters": [{"name": "mine"}]})
    assert answer.status >= 400
    assert "denied" in json.dumps(answer.json["errors"]).lower()
    assert "slurm-gateway" not in json.dumps(answer.json["errors"])


def test_what_slurmctld_refuses_comes_in_its_own_words(site: Site) -> None:
    answer = site.call("alice", "POST", f"/slurm/{V}/job/submit", {"job": site.job("alice", partition="nowhere"), "script": "#!/bin/sh\ntrue\n"})
    assert answer.status == 400
    assert "Invalid partition name specified" in json.dumps(answer.json["errors"])


def test_nobody_changes_somebody_elses_job(site: Site, held_job: int) -> None:
    answer = site.call("bob", "DELETE", f"/slurm/{V}/job/{held_job}")
    assert answer.status == 403
    assert site.state_of("alice", held_job) == "PENDING"


@pytest.mark.parametrize("path", ["/openapi", "/openapi.json", "/openapi.yaml", "/openapi/v3"])
def test_the_openapi_documents_come_through(site: Site, path: str) -> None:
    answer = site.call("alice", "GET", path)
    assert answer.status == 200
    assert len(answer.body) == int(answer.headers["Content-Length"]) > 400_000


def test_a_named_cluster_is_the_same_as_the_default_one(site: Site) -> None:
    answer = site.call("alice", "GET", f"/clusters/{site.told['cluster']}/slurm/{V}/ping")
    assert (answer.status, bool(answer.json["pings"])) == (200, True)

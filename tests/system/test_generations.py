"""What every version of Slurm's API must do through the gateway, on both Slurms, and what the demo promises for the second one."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.support import Answer, Site, job_state, wait_for
from tests.system.test_demo import processes_of
from tests.system.test_minting import Gateway, foreign_key, gateway_with

RELEASES = {"site": ("v0.0.36", "v0.0.37", "v0.0.38"), "trixie": ("v0.0.40", "v0.0.41", "v0.0.42")}
VERSIONS = [(release, api) for release, versions in RELEASES.items() for api in versions]
SLURM = {"site": "22.05", "trixie": "24.11"}
NOBODYS = 999_999
SLEEPS = "#!/bin/sh\nsleep 300\n"


@pytest.fixture(params=VERSIONS, ids=lambda pair: pair[1], scope="module")
def spoken(request: pytest.FixtureRequest) -> tuple[Site, str]:
    """A site, and a version of the API that it serves."""
    release, api = request.param
    site = request.getfixturevalue(release)
    assert isinstance(site, Site)
    return site, api


# Each site says truly what it is.


@pytest.mark.parametrize("release", RELEASES)
def test_the_site_tells_programs_whose_slurm_it_has(request: pytest.FixtureRequest, release: str) -> None:
    told = request.getfixturevalue(release).told
    assert (told["slurm_version"].rpartition(".")[0], tuple(told["api_versions"])) == (SLURM[release], RELEASES[release])


def test_slurmrestd_serves_the_versions_that_the_site_tells_and_no_other(either: Site) -> None:
    answer = either.call("alice", "GET", "/openapi/v3")
    assert answer.status == 200
    served = {path.split("/")[2] for path in answer.json["paths"] if path.startswith(("/slurm/", "/slurmdb/"))}
    assert served == set(either.told["api_versions"])


# Reading.


@pytest.mark.parametrize(
    ("path", "list_name"), [("ping", "pings"), ("diag", "statistics"), ("jobs", "jobs"), ("nodes", "nodes"), ("partitions", "partitions")]
)
def test_slurm_is_read(spoken: tuple[Site, str], path: str, list_name: str) -> None:
    site, api = spoken
    answer = site.call("alice", "GET", f"/slurm/{api}/{path}")
    assert (answer.status, answer.headers.get_content_type()) == (200, "application/json"), answer.body
    assert answer.json["errors"] == []
    assert answer.json[list_name] or path == "jobs"


@pytest.mark.parametrize(("path", "list_name"), [("jobs", "jobs"), ("users", "users"), ("associations", "associations")])
def test_accounting_is_read(spoken: tuple[Site, str], path: str, list_name: str) -> None:
    site, api = spoken
    answer = site.call("alice", "GET", f"/slurmdb/{api}/{path}")
    assert (answer.status, answer.json["errors"], bool(answer.json[list_name])) == (200, [], True), answer.body


# A job from its submission to its end.


def jobs_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["jobs"]
    return found


def test_a_job_is_submitted_read_and_cancelled(spoken: tuple[Site, str]) -> None:
    site, api = spoken
    name = f"generation-{api}"
    answer = site.call("bob", "POST", f"/slurm/{api}/job/submit", site.submission(api, "bob", SLEEPS, name=name))
    assert (answer.status, answer.json["errors"], answer.json.get("warnings", [])) == (200, [], []), answer.body
    job_id = answer.json["job_id"]
    [job] = jobs_of(site.call("bob", "GET", f"/slurm/{api}/job/{job_id}"))
    assert (job["job_id"], job["name"], job["user_id"]) == (job_id, name, site.uid("bob"))
    assert job_state(job) in {"PENDING", "RUNNING"}
    # Somebody else's list may be a second old.
    wait_for(lambda: job_id in {job["job_id"] for job in jobs_of(site.call("alice", "GET", f"/slurm/{api}/jobs"))}, 5, "the job in the list")
    assert site.call("bob", "DELETE", f"/slurm/{api}/job/{job_id}").status == 200
    wait_for(lambda: site.state_of("bob", job_id) == "CANCELLED", 20, "the job's end")


def test_a_job_runs_as_its_user_and_sees_the_machine_of_its_slurm(either: Site) -> None:
    output = either.home("bob") / "generation.out"
    output.unlink(missing_ok=True)
    job_id = either.submit("bob", "#!/bin/sh\nid -un\nslurmd -V\n", standard_output=str(output), environment={"PATH": "/bin:/usr/bin:/usr/sbin"})
    wait_for(lambda: either.state_of("bob", job_id) == "COMPLETED", 20, "the job's end")
    assert output.read_text().split()[0] == "bob"
    assert either.told["slurm_version"] in output.read_text()
    assert output.stat().st_uid == either.uid("bob")


def test_someone_elses_job_goes_on_whatever_the_answer_to_its_cancelling_says(spoken: tuple[Site, str]) -> None:
    site, api = spoken
    job_id = site.submit("alice", SLEEPS, hold=True)
    answer = site.call("bob", "DELETE", f"/slurm/{api}/job/{job_id}")
    assert answer.status in {200, 403}
    assert site.state_of("alice", job_id) == "PENDING"
    site.call("alice", "DELETE", f"/slurm/{site.api}/job/{job_id}")


# Refusals.


def test_a_job_that_is_not_there_is_not_found_whatever_slurm_calls_it(spoken: tuple[Site, str]) -> None:
    site, api = spoken
    answer = site.call("alice", "GET", f"/slurm/{api}/job/{NOBODYS}")
    assert answer.status == 404
    assert b"999999" in answer.body or b"Invalid job id" in answer.body


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Site], Gateway]]:
    """Return the gateway in front of a site's Slurm whose key is not Slurm's."""
    started: dict[Path, Gateway] = {}
    with ExitStack() as stack:

        def at(site: Site) -> Gateway:
            if site.state not in started:
                folder = tmp_path_factory.mktemp("stranger")
                started[site.state] = stack.enter_context(gateway_with(site, folder, jwt_key_file=str(foreign_key(folder))))
            return started[site.state]

        yield at


REFUSED = ("/slurm/{}/diag", "/slurm/{}/jobs", "/slurm/{}/nodes", "/slurmdb/{}/jobs", "/slurmdb/{}/users")


@pytest.mark.parametrize("path", REFUSED)
def test_a_token_that_slurm_refuses_is_the_gateways_fault(spoken: tuple[Site, str], stranger: Callable[[Site], Gateway], path: str) -> None:
    site, api = spoken
    status, tree = stranger(site).ask(path.format(api), site.token("alice"))
    assert (status, tree.get("reason")) == (502, "slurm_refused_gateway"), tree


def test_a_ping_under_such_a_token_never_says_that_slurm_is_up(spoken: tuple[Site, str], stranger: Callable[[Site], Gateway]) -> None:
    """24.11 itself answers it with 200 and "DOWN", as it does for a slurmctld that is not there."""
    site, api = spoken
    status, tree = stranger(site).ask(f"/slurm/{api}/ping", site.token("alice"))
    assert (status, tree.get("reason")) == (502, "slurm_refused_gateway"), tree


def test_a_submission_under_a_token_that_slurm_refuses_is_the_gateways_fault_too(
    spoken: tuple[Site, str], stranger: Callable[[Site], Gateway]
) -> None:
    site, api = spoken
    connection = http.client.HTTPConnection("127.0.0.1", stranger(site).port, timeout=30)
    body = json.dumps(site.submission(api, "alice", SLEEPS))
    connection.request(
        "POST", f"/slurm/{api}/job/submit", body, {"Authorization": f"Bearer {site.token('alice')}", "Content-Type": "application/json"}
    )
    response = connection.getresponse()
    assert (response.status, json.load(response)["reason"]) == (502, "slurm_refused_gateway")
    connection.close()


# What the demo promises for its own Slurm, it keeps for the other one.


def up_again(site: Site) -> str:
    """Raise what is down, and have the site know its new processes."""
    done = site.demo("up", "--python", str(Path(site.told["command"][0]).parent / "python"), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site.read_again()
    return done.stdout


def test_up_on_a_site_of_the_other_slurm_that_is_well_changes_nothing(trixie: Site) -> None:
    before = trixie.told["pids"]
    assert "up already, and every service answers" in up_again(trixie)
    assert trixie.told["pids"] == before


def test_a_site_is_not_given_another_slurm(trixie: Site) -> None:
    done = trixie.demo("up", "--release", "bookworm", check=False)
    assert (done.returncode, done.stderr.splitlines()[1][:6]) == (1, "hint: ")
    assert "has the Slurm of trixie, not of bookworm" in done.stderr


def test_nothing_of_the_other_debian_is_mounted_for_anybody_else(trixie: Site) -> None:
    here = Path("/proc/self/mountinfo").read_text()
    inside = Path(f"/proc/{trixie.told['pids']['slurmctld']}/mountinfo").read_text()
    assert [line.split()[4] for line in inside.splitlines() if "slurm-gateway-demo/trixie" in line.split()[3]] == ["/usr"]
    assert "slurm-gateway-demo/trixie" not in here


def test_killed_daemons_of_the_other_slurm_are_raised_again_and_the_rest_stays(trixie: Site) -> None:
    before, killed = trixie.told["pids"], {"slurmdbd", "slurmctld", "slurmd", "slurmrestd"}
    for name in killed:
        os.kill(before[name], signal.SIGKILL)
    up_again(trixie)
    assert {name for name, pid in trixie.told["pids"].items() if before[name] != pid} == killed


def test_a_site_of_the_other_slurm_comes_back_when_every_process_was_killed(trixie: Site) -> None:
    os.kill(json.loads((trixie.state / "site.json").read_text())["holder"]["pid"], signal.SIGKILL)
    wait_for(lambda: not processes_of(trixie.state), 20, "the end of all processes")
    assert trixie.demo("status", check=False).returncode == 1
    assert "COMPLETED" in up_again(trixie)

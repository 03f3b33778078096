"""One gateway in front of two clusters, each with a Slurm and a key of its own, and of a third one that does not answer."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.support import START, Answer, Site, free_port, job_state, wait_for
from tests.system.test_minting import as_toml, private_copy

SLEEPS = "#!/bin/sh\nsleep 300\n"


class Door:
    """The gateway; people are those of the first site, which it shares the store with."""

    def __init__(self, port: int, people: Site, clusters: dict[str, Site]) -> None:
        self.port = port
        self.people = people
        self.clusters = clusters

    def ask(self, method: str, path: str, user: str = "alice", tree: object = None, token: str | None = None) -> Answer:
        """Call Slurm as ``user``, with JSON if there is any."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token or self.people.token(user)}"}
        if tree is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if tree is None else json.dumps(tree), headers)
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=response.read())
        finally:
            connection.close()

    def submit(self, cluster: str, user: str, **job: Any) -> int:
        """Submit a job to a cluster that waits to be cancelled."""
        site = self.clusters[cluster]
        answer = self.ask("POST", f"/clusters/{cluster}/slurm/{site.api}/job/submit", user, site.submission(site.api, user, SLEEPS, **job))
        assert answer.status == 200, answer.body
        return int(answer.json["job_id"])

    def job(self, cluster: str, job_id: int) -> dict[str, Any] | None:
        """Return a job of a cluster as it is seen there, at the site's own door."""
        site = self.clusters[cluster]
        answer = site.call("alice", "GET", f"/slurm/{site.api}/jobs")
        assert answer.status == 200, answer.body
        return next((job for job in answer.json["jobs"] if job["job_id"] == job_id), None)


@pytest.fixture(scope="module")
def door(site: Site, trixie: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Start it, with cluster ``old`` as the one that is meant when none is named."""
    folder = tmp_path_factory.mktemp("door")
    clusters = {"old": site, "new": trixie}
    tables = {name: {"url": one.told["slurmrestd"], "jwt_key_file": _key(one, folder / name)} for name, one in clusters.items()}
    tables["away"] = {"url": f"unix:{folder}/nobody.sock", "jwt_key_file": tables["new"]["jwt_key_file"]}
    with _gateway(site, folder, tables) as port:
        yield Door(port, site, clusters)


def _key(site: Site, folder: Path) -> str:
    folder.mkdir()
    return str(private_copy(site.told["jwt_key"], folder))


@contextmanager
def _gateway(site: Site, folder: Path, clusters: dict[str, dict[str, str]]) -> Iterator[int]:
    """Run a gateway on the site's store and directory; it is root's, who reaches into both sites."""
    port = free_port()
    tree = tomllib.loads(Path(site.told["config"]).read_text())
    tree["server"] = {"listen": f"127.0.0.1:{port}"}
    tree["audit"] = {"file": str(folder / "audit.jsonl")}
    tree["slurm"]["default_cluster"] = "old"
    tree["clusters"] = clusters
    config, log = folder / "gateway.toml", folder / "log"
    config.write_text(as_toml(tree))
    with log.open("wb") as stream:
        process = subprocess.Popen([*site.told["command"], "--config", str(config), "serve"], stderr=stream)
    try:
        wait_for(lambda: b'"serving"' in log.read_bytes() or process.poll() is not None, START, "the gateway's start")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def release(answer: Answer) -> str:
    """Return the release of the Slurm that answered."""
    assert answer.status == 200, answer.body
    meta = answer.json["meta"]
    return str(meta.get("slurm", meta.get("Slurm"))["release"])


@pytest.mark.parametrize("name", ["old", "new"])
def test_each_cluster_is_reached_by_its_name_in_every_version_that_it_serves(door: Door, name: str) -> None:
    told = door.clusters[name].told
    assert {release(door.ask("GET", f"/clusters/{name}/slurm/{api}/diag")) for api in told["api_versions"]} == {told["slurm_version"]}
    assert {release(door.ask("GET", f"/clusters/{name}/slurmdb/{api}/users")) for api in told["api_versions"]} == {told["slurm_version"]}


def test_without_a_name_the_default_cluster_is_meant(door: Door) -> None:
    assert release(door.ask("GET", "/slurm/v0.0.36/ping")).startswith("22.05")
    assert door.ask("GET", "/slurm/v0.0.42/ping").status in {404, 410}


def test_each_cluster_has_its_own_description(door: Door) -> None:
    for name, site in door.clusters.items():
        answer = door.ask("GET", f"/clusters/{name}/openapi/v3")
        assert {path.split("/")[2] for path in answer.json["paths"] if path.startswith("/slurm/")} == set(site.told["api_versions"])


def test_a_name_that_no_cluster_has_is_not_found(door: Door) -> None:
    answer = door.ask("GET", "/clusters/elsewhere/slurm/v0.0.36/ping")
    assert (answer.status, answer.reason) == (404, "not_found")


@pytest.mark.parametrize(("name", "other"), [("old", "new"), ("new", "old")])
def test_a_job_is_submitted_where_it_was_sent_and_as_the_one_who_sent_it(door: Door, name: str, other: str) -> None:
    site = door.clusters[name]
    job_id = door.submit(name, "bob", name=f"for-{name}")
    found = wait_for(lambda: door.job(name, job_id), 5, "the job in a list that may be a second old")
    assert found is not None
    assert (found["name"], found["user_id"]) == (f"for-{name}", site.uid("bob"))
    elsewhere = door.job(other, job_id)
    assert elsewhere is None or elsewhere["name"] != f"for-{name}"
    door.ask("DELETE", f"/clusters/{name}/slurm/{site.api}/job/{job_id}", "bob")


def test_a_job_is_cancelled_where_it_was_meant_though_the_other_has_one_of_that_number(door: Door) -> None:
    numbers = {name: door.submit(name, "bob", hold=True) for name in door.clusters}
    behind = min(numbers, key=lambda name: numbers[name])
    while numbers[behind] < max(numbers.values()):
        numbers[behind] = door.submit(behind, "bob", hold=True)
    [job_id] = set(numbers.values())
    assert door.ask("DELETE", f"/clusters/new/slurm/{door.clusters['new'].api}/job/{job_id}", "bob").status == 200
    wait_for(lambda: job_state(door.job("new", job_id) or {"job_state": "gone"}) == "CANCELLED", 20, "the end of the job at the new cluster")
    left = door.job("old", job_id)
    assert left is not None
    assert job_state(left) == "PENDING"
    for name, site in door.clusters.items():
        mine = [job for job in site.call("bob", "GET", f"/slurm/{site.api}/jobs").json["jobs"] if job_state(job) == "PENDING"]
        for job in mine:
            door.ask("DELETE", f"/clusters/{name}/slurm/{site.api}/job/{job['job_id']}", "bob")


def test_nobody_acts_as_someone_else_at_any_of_them(door: Door) -> None:
    for name, site in door.clusters.items():
        job_id = door.submit(name, "alice", hold=True)
        door.ask("DELETE", f"/clusters/{name}/slurm/{site.api}/job/{job_id}", "bob")
        assert site.state_of("alice", job_id) == "PENDING"
        assert door.ask("DELETE", f"/clusters/{name}/slurm/{site.api}/job/{job_id}", "alice").status == 200


def test_a_cluster_that_does_not_answer_costs_the_others_nothing(door: Door) -> None:
    answer = door.ask("GET", "/clusters/away/slurm/v0.0.42/diag")
    assert answer.status in {502, 503}
    assert answer.reason == "upstream_unreachable"
    for name, site in door.clusters.items():
        assert release(door.ask("GET", f"/clusters/{name}/slurm/{site.api}/diag")) == site.told["slurm_version"]


def test_a_session_that_has_ended_is_known_at_none_of_them(door: Door) -> None:
    token = str(door.people.login("bob", door.people.fresh_code("bob")).json["token"])
    paths = [f"/clusters/{name}/slurm/{site.api}/ping" for name, site in door.clusters.items()]
    assert [door.ask("GET", path, token=token).status for path in paths] == [200, 200]
    assert door.ask("DELETE", "/auth/session", token=token).status == 204
    assert [door.ask("GET", path, token=token).status for path in paths] == [401, 401]

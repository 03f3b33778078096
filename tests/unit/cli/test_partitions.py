"""The list of partitions, as both shapes of Slurm's answers tell them."""

from __future__ import annotations

import json

import pytest

from tests.saying import FakeGateway, Says, recorded, refuses
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(("release", "name"), [("22.05", "main*"), ("24.11", "main")])
def test_partitions_are_listed(run: Run, gateway: FakeGateway, release: str, name: str) -> None:
    gateway.on("GET /slurm/latest/partitions", recorded(release, "partitions"))
    ran = run("partitions")
    heading, line = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == ["PARTITION", "STATE", "NODES", "CPUS", "TIME", "LIMIT", "NODE", "LIST"]
    assert line.split() == [name, "UP", "1", "32", "none", "demo"]


@pytest.mark.parametrize(("release", "default"), [("22.05", True), ("24.11", None)])
def test_json_has_the_same_of_every_version(run: Run, gateway: FakeGateway, release: str, default: bool | None) -> None:
    gateway.on("GET /slurm/latest/partitions", recorded(release, "partitions"))
    assert json.loads(run("partitions", "--json").out) == {
        "partitions": [
            {"name": "main", "default": default, "states": ["UP"], "nodes": "demo", "total_nodes": 1, "total_cpus": 32, "time_limit": None}
        ]
    }


def test_a_limit_is_written_as_slurm_does(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/partitions", Says(body={"partitions": [{"name": "short", "state": "UP", "max_time_limit": 1500}]}))
    assert "1-01:00:00" in run("partitions").out


def test_no_partitions_are_said_beside_the_output(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/partitions", Says(body={"partitions": []}))
    ran = run("partitions")
    assert (ran.code, ran.out, ran.err) == (0, "", "No partitions.\n")


def test_a_refusal_is_told_with_its_hint(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/partitions", refuses(403, "not_permitted", "Not for you.", "Ask for it."))
    ran = run("partitions")
    assert (ran.code, ran.err) == (1, "slurm-gateway: Not for you.\nhint: Ask for it.\n")

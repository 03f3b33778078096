"""The list of nodes, as both shapes of Slurm's answers tell them."""

from __future__ import annotations

import json

import pytest

from tests.saying import FakeGateway, Says, recorded, refuses
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(("release", "allocated"), [("22.05", 10), ("24.11", 2)])
def test_nodes_are_listed(run: Run, gateway: FakeGateway, release: str, allocated: int) -> None:
    gateway.on("GET /slurm/latest/nodes", recorded(release, "nodes"))
    ran = run("nodes")
    heading, line = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == ["NODE", "STATE", "CPUS", "LOAD", "MEMORY", "PARTITIONS", "REASON"]
    name, state, cpus, *_ = line.split()
    assert (name, state.split("+")[0], cpus) == ("demo", "MIXED", f"{allocated}/32")


@pytest.mark.parametrize(("release", "allocated"), [("22.05", 10), ("24.11", 2)])
def test_json_has_the_same_of_every_version(run: Run, gateway: FakeGateway, release: str, allocated: int) -> None:
    gateway.on("GET /slurm/latest/nodes", recorded(release, "nodes"))
    (node,) = json.loads(run("nodes", "--json").out)["nodes"]
    assert {key: node[key] for key in ("name", "cpus", "cpus_allocated", "memory", "partitions", "reason")} == {
        "name": "demo",
        "cpus": 32,
        "cpus_allocated": allocated,
        "memory": 1,
        "partitions": ["main"],
        "reason": None,
    }
    assert node["states"][0] == "MIXED"
    assert 0 < node["load"] < 100
    assert node["memory_free"] > 1000


def test_states_are_asked_for(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/nodes", Says(body={"nodes": []}))
    ran = run("nodes", "--state", "idle,drain")
    assert (ran.code, ran.out, ran.err, gateway.asked[-1].query) == (0, "", "No nodes.\n", {"state": "idle,drain"})


def test_why_a_node_is_down_is_told(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/nodes", Says(body={"nodes": [{"name": "n1", "state": ["DOWN", "DRAIN"], "reason": "fan \x1b[1mbroken"}]}))
    assert "DOWN+DRAIN" in (out := run("nodes").out)
    assert "fan ?[1mbroken" in out


def test_a_refusal_is_told_with_its_hint(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/nodes", refuses(400, "bad_request", "No such state.", "The states are IDLE, DOWN."))
    ran = run("nodes", "--state", "x")
    assert (ran.code, ran.err) == (1, "slurm-gateway: No such state.\nhint: The states are IDLE, DOWN.\n")


def test_what_is_no_list_of_nodes_is_told(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/nodes", Says(body={}))
    ran = run("nodes")
    assert (ran.code, ran.err) == (1, "slurm-gateway: the answer has no list of nodes\nhint: Is this Slurm's API?\n")

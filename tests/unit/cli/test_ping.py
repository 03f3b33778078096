"""Whether Slurm answers, in the shapes in which the versions tell."""

from __future__ import annotations

import json

import pytest

from tests.saying import FakeGateway, Says, recorded, refuses
from tests.unit.cli.conftest import Run

DOWN = "slurm-gateway: no controller of Slurm answers\nhint: Ask your administrators: slurmctld is down, or slurmrestd cannot reach it.\n"
OLD_UP, OLD_DOWN = (
    {"hostname": name, "ping": said, "status": 0, "mode": mode} for name, said, mode in (("a", "UP", "primary"), ("b", "DOWN", "backup1"))
)
NEW_DOWN = {"hostname": "a", "pinged": "DOWN", "responding": False, "latency": 12, "mode": "primary", "primary": True}


@pytest.mark.parametrize(("release", "told"), [("22.05", "22.05.8"), ("24.11", "24.11.5")])
def test_a_controller_that_answers_is_shown(run: Run, gateway: FakeGateway, release: str, told: str) -> None:
    gateway.on("GET /slurm/latest/ping", recorded(release, "ping"))
    ran = run("ping")
    heading, line = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == ["CONTROLLER", "ROLE", "STATE", "LATENCY", "SLURM"]
    assert (line.split()[:3], line.split()[-1]) == (["demo", "primary", "UP"], told)


@pytest.mark.parametrize(("release", "has_latency"), [("22.05", False), ("24.11", True)])
def test_json_has_the_same_of_every_version(run: Run, gateway: FakeGateway, release: str, has_latency: bool) -> None:
    gateway.on("GET /slurm/latest/ping", recorded(release, "ping"))
    tree = json.loads(run("ping", "--json").out)
    (controller,) = tree["controllers"]
    assert tree["slurm"].startswith(release)
    assert (controller["host"], controller["role"], controller["up"]) == ("demo", "primary", True)
    assert (controller["latency"] is not None) == has_latency
    assert controller["latency"] is None or 0 < controller["latency"] < 1


@pytest.mark.parametrize("pings", [[OLD_DOWN], [NEW_DOWN], [OLD_DOWN, NEW_DOWN], []])
def test_when_none_answers_that_is_a_failure(run: Run, gateway: FakeGateway, pings: list[dict[str, object]]) -> None:
    gateway.on("GET /slurm/latest/ping", Says(body={"pings": pings}))
    ran = run("ping")
    assert (ran.code, ran.err.removeprefix("No controllers.\n")) == (1, DOWN)
    assert ran.out.count("DOWN") == len(pings)
    assert run("ping", "--json").code == 1


def test_one_that_answers_is_enough(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/ping", Says(body={"pings": [OLD_DOWN, OLD_UP]}))
    assert run("ping").code == 0


def test_what_does_not_answer_at_all_is_told_with_its_hint(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/ping", refuses(502, "upstream_unusual", "Slurm's REST daemon is away.", "Try again in a minute."))
    ran = run("ping")
    assert (ran.code, ran.err) == (1, "slurm-gateway: Slurm's REST daemon is away.\nhint: Try again in a minute.\n")

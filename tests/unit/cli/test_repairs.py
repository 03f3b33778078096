"""What was repaired, in words."""

from __future__ import annotations

from gateway.cli import repairs
from gateway.slurm.repair.fields import RULES


def test_each_repair_is_said_and_fields_are_named_together() -> None:
    said = list(repairs.sentences(["content-type", "script", "environment", "time_limit", "mail_type"]))
    assert said == [
        "Brought up to the cluster's version: The script was put where this version looks for it, beside the job.",
        "Brought up to the cluster's version: The environment was written as this version takes it.",
        "Brought up to the cluster's version: time_limit, mail_type.",
    ]
    assert list(repairs.sentences(["content-type"])) == []


def test_whatever_the_gateway_repairs_is_said() -> None:
    for rule in RULES:
        assert list(repairs.sentences([rule.name]))

from __future__ import annotations

import json
import re

import pytest

from gateway.slurm.repair.fields import KNOWN, OLD, RULES, Fields, Rule, repair_fields
from gateway.slurm.repair.values import Ambiguous, Raw


def fields(**values: object) -> Fields:
    return {name.replace("__", " "): Raw(json.dumps(value).encode()) for name, value in values.items()}


def repaired(version: int, **values: object) -> tuple[dict[str, object], list[str]]:
    job = fields(**values)
    names = list(repair_fields(job, version))
    return {name: json.loads(bytes(value)) for name, value in job.items()}, names


@pytest.mark.parametrize(
    ("version", "before", "after", "names"),
    [
        (36, {"ntasks": 2, "standard_out": "/o"}, {"ntasks": 2, "standard_out": "/o"}, []),
        (37, {"standard_out": "/o", "standard_in": "/i"}, {"standard_output": "/o", "standard_input": "/i"}, ["standard_input", "standard_output"]),
        (38, {"ntasks": 2}, {"ntasks": 2}, []),
        (39, {"ntasks": 2}, {"tasks": 2}, ["tasks"]),
        (42, {"ntasks": 2, "tasks": 2}, {"tasks": 2}, ["tasks"]),
        (42, {"ntasks_per_node": 2, "cwd": "/", "job_name": "n"}, {"tasks_per_node": 2, "current_working_directory": "/", "name": "n"}, None),
        (42, {"nodelist": "a,b", "exclude_nodes": "c"}, {"required_nodes": "a,b", "excluded_nodes": "c"}, ["required_nodes", "excluded_nodes"]),
        (38, {"required_nodes": ["a", "b"], "excluded_nodes": "c"}, {"nodelist": "a,b", "exclude_nodes": "c"}, ["required_nodes", "excluded_nodes"]),
        (36, {"time_minimum": 5}, {"time minimum": 5}, ["time_minimum"]),
        (38, {"time_minimum": 5}, {"time_minimum": 5}, []),
        (38, {"time__minimum": 5}, {"time_minimum": 5}, ["time_minimum"]),
        (37, {"time_minimum": {"set": True, "infinite": False, "number": 5}}, {"time minimum": 5}, ["time_minimum", "time_minimum"]),
        (42, {"time_limit": 60, "memory_per_cpu": 100}, {"time_limit": 60, "memory_per_cpu": 100}, []),
        (42, {"time_limit": "1:00:00"}, {"time_limit": 60}, ["time_limit"]),
        (38, {"memory_per_node": {"set": True, "infinite": False, "number": 9}}, {"memory_per_node": 9}, ["memory_per_node"]),
        (38, {"priority": {"set": False, "infinite": False, "number": 0}}, {}, ["priority"]),
        (38, {"priority": {"set": False, "infinite": True, "number": 0}}, {"priority": {"set": False, "infinite": True, "number": 0}}, []),
        (39, {"begin_time": {"set": True, "number": 7}}, {"begin_time": 7}, ["begin_time"]),
        (38, {"begin_time": {"set": True, "number": 1900000000}}, {"begin_time": "uts1900000000"}, ["begin_time"]),
        (42, {"begin_time": "now+1hour"}, {"begin_time": "now+1hour"}, []),
        (40, {"exclusive": "user"}, {"exclusive": "user"}, []),
        (40, {"exclusive": "exclusive"}, {"shared": ["none"]}, ["shared"]),
        (42, {"exclusive": "user"}, {"shared": ["user"]}, ["shared"]),
        (42, {"oversubscribe": True}, {"shared": ["oversubscribe"]}, ["shared"]),
        (36, {"oversubscribe": True}, {"exclusive": "oversubscribe"}, ["oversubscribe"]),
        (36, {"shared": ["none"]}, {"exclusive": "exclusive"}, ["shared"]),
        (38, {"requeue": False}, {"no_requeue": True}, ["requeue"]),
        (42, {"requeue": False}, {"requeue": False}, []),
        (42, {"gpus": "2"}, {"tres_per_job": "gres/gpu:2"}, ["tres_per_job"]),
        (42, {"gres": "gpu:2", "memory_per_gpu": 10}, {"tres_per_node": "gres/gpu:2", "memory_per_tres": "gres/gpu:10"}, None),
        (39, {"gpus": "2"}, {"gpus": "2"}, []),
        (38, {"tres_per_job": "gres/gpu:2"}, {"tres_per_job": "gres/gpu:2"}, []),
        (
            42,
            {"kill_on_invalid_dependency": True, "spread_job": True},
            {"flags": ["KILL_INVALID_DEPENDENCY", "SPREAD_JOB"]},
            ["flags"],
        ),
        (42, {"minimum_nodes": True, "flags": ["X"]}, {"flags": ["X", "PREFER_MINIMUM_NODE_COUNT"]}, ["flags"]),
        (42, {"minimum_nodes": 2}, {"minimum_nodes": 2}, []),
        (38, {"flags": ["NO_KILL_INVALID_DEPENDENCY", "GRES_BINDING_DISABLED"]}, None, ["flags"]),
        (38, {"flags": ["TOP_PRIORITY_JOB"]}, {"flags": ["TOP_PRIORITY_JOB"]}, []),
        (38, {"flags": "SPREAD_JOB"}, {"flags": "SPREAD_JOB"}, []),
        (38, {"minimum_nodes": 2, "maximum_nodes": 4}, {"nodes": "2-4"}, ["nodes"]),
        (38, {"minimum_nodes": True}, {"minimum_nodes": True}, []),
        (42, {"signal": "USR1"}, None, ["signal"]),
        (42, {"signal": "BUS@90"}, {"signal": "BUS@90"}, []),
        (42, {"signal": "RB:USR1@90"}, None, ["signal"]),
        (
            38,
            {"kill_warning_signal": "USR1", "kill_warning_delay": {"set": True, "number": 90}, "kill_warning_flags": ["RESERVATION_JOB"]},
            {"signal": "R:USR1@90"},
            ["signal"],
        ),
        (38, {"kill_warning_signal": "USR1", "kill_warning_delay": 9, "kill_warning_flags": ["BATCH_JOB"]}, None, []),
        (38, {"kill_warning_signal": "USR1", "kill_warning_delay": {"set": True, "number": 90}}, {"signal": "USR1@90"}, ["signal"]),
        (38, {"kill_warning_signal": "USR1", "kill_warning_delay": 90, "kill_warning_flags": []}, {"signal": "USR1@90"}, ["signal"]),
        (38, {"kill_warning_signal": "USR1"}, {"kill_warning_signal": "USR1"}, []),
        (42, {"no_such_field": {"a": 1}, "comment": None}, {"no_such_field": {"a": 1}, "comment": None}, []),
    ],
)
def test_a_field_is_brought_into_the_form_of_the_version(
    version: int, before: dict[str, object], after: dict[str, object] | None, names: list[str] | None
) -> None:
    job, told = repaired(version, **before)
    assert after is None or job == after
    assert names is None or told == names


def test_flags_become_the_fields_that_older_versions_have_for_them() -> None:
    job, _ = repaired(38, flags=["NO_KILL_INVALID_DEPENDENCY", "GRES_BINDING_DISABLED", "SPREAD_JOB"])
    assert job == {"kill_on_invalid_dependency": False, "gres_flags": "disable-binding", "spread_job": True}


def test_a_signal_becomes_the_fields_that_newer_versions_have_for_it() -> None:
    job, _ = repaired(42, signal="USR1@90")
    assert job == {"kill_warning_signal": "USR1", "kill_warning_delay": {"set": True, "infinite": False, "number": 90}}
    job, _ = repaired(42, signal="rb:USR1@90")
    assert job["kill_warning_flags"] == ["BATCH_JOB", "RESERVATION_JOB"]


@pytest.mark.parametrize(
    ("version", "values"),
    [
        (42, {"ntasks": 2, "tasks": 3}),
        (36, {"ntasks": 2, "tasks": 3}),
        (42, {"gpus_per_node": "1", "gres": "shard:1"}),
        (42, {"exclusive": "user", "shared": ["mcs"]}),
        (42, {"spread_job": True, "flags": "SPREAD_JOB"}),
        (42, {"signal": "USR1", "kill_warning_delay": 9}),
        (38, {"minimum_nodes": 2}),
        (38, {"minimum_nodes": 2, "maximum_nodes": 4, "nodes": "3"}),
        (38, {"flags": ["KILL_INVALID_DEPENDENCY", "NO_KILL_INVALID_DEPENDENCY"]}),
        (38, {"time_limit": {"set": True, "infinite": False, "number": 0}}),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_decided(version: int, values: dict[str, object]) -> None:
    with pytest.raises(Ambiguous):
        repaired(version, **values)


def test_a_repair_has_a_name_that_fits_a_header() -> None:
    assert [rule.name for rule in RULES if not re.fullmatch(r"[a-z_]+", rule.name)] == []


def test_a_rule_that_renames_does_so_for_one_generation() -> None:
    renamings = [rule for rule in RULES if rule.field != rule.to]
    assert [rule for rule in renamings if any(other.field == rule.to and other.to == rule.field and _meet(rule, other) for other in renamings)] == []


def _meet(one: Rule, other: Rule) -> bool:
    return max(one.first, other.first) <= min(one.last, other.last)


def test_every_name_of_a_rule_is_known() -> None:
    assert {rule.field for rule in RULES} | {rule.to for rule in RULES} <= KNOWN


def test_the_generations_part_after_v0_0_38() -> None:
    assert OLD == 38

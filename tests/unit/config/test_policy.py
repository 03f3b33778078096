from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ConfigurationError, parse
from gateway.config.policy import REQUIRED, policy_problems
from gateway.signin import account
from tests.unit.config.test_load import GOOD

RULES = """\
[[policy.rules]]
name = "first"
effect = "allow"
groups = ["required", "ops"]
clusters = ["main"]

[[policy.rules]] # the second
name = "second"
effect = "deny"
"""
WITH_GROUP = GOOD.replace("[slurm]", '[directory.groups]\nops = "cn=ops,dc=demo,dc=example"\n[slurm]')


def problems(source: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(source, "gateway.toml")
    return [str(problem) for problem in caught.value.problems]


def test_rules_that_name_what_there_is_are_taken_in_their_order() -> None:
    rules = parse(WITH_GROUP + RULES, "gateway.toml").policy.rules
    assert rules is not None
    assert [(rule.name, rule.effect) for rule in rules] == [("first", "allow"), ("second", "deny")]


WRONG: dict[str, tuple[str, str, str]] = {
    "a group that there is not": ('"ops"]', '"opps"]', "policy.rules.0.groups.1: is none of directory.groups: ops, required"),
    "a cluster that there is not": ('["main"]', '["main", "gpu"]', "policy.rules.0.clusters.1: is none of clusters: main"),
    "a name twice": ('"second"', '"first"', "policy.rules.1.name: is the name of rule 0 already (counted from 0)"),
    "the name of the last word": ('"second"', '"default"', "policy.rules.1.name: is what the no that follows the last rule is called"),
    "an age on a deny": (
        '"deny"',
        '"deny"\nsecond_factor_within = "5m"',
        "policy.rules.1.second_factor_within: goes with effect = 'allow' only: no second factor is young enough to be denied",
    ),
    "an empty list": ('"deny"', '"deny"\nmethods = []', "policy.rules.1.methods: names nothing; leave it out where all are meant"),
    "a method": ('"deny"', '"deny"\nmethods = ["PUT"]', "policy.rules.1.methods.0: input should be 'GET', 'POST' or 'DELETE'"),
    "a kind": ('"deny"', '"deny"\nkinds = ["jwt"]', "policy.rules.1.kinds.0: input should be 'session', 'token' or 'one_shot'"),
    "a pattern": (
        '"deny"',
        '"deny"\npaths = [\n"/slurm/**",\n"/slurm/v*"]',
        "policy.rules.1.paths.1: could never match: no call has a path so short; did you mean /slurm/v*/**?",
    ),
    "a network": (
        '"deny"',
        '"deny"\nnetworks = ["10.0.0.0/99"]',
        "policy.rules.1.networks.0: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network",
    ),
    "a setting that there is not": ('"deny"', '"deny"\nusers = ["a"]', "policy.rules.1.users: there is no such setting; README.md lists them all"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_rule_that_cannot_be_meant_is_refused_at_its_place(what: str) -> None:
    old, new, expected = WRONG[what]
    source = WITH_GROUP + RULES.replace(old, new)
    key = expected.split(": ")[0].split(".")[3]
    line = max(number for number, text in enumerate(source.splitlines(), start=1) if text.startswith(f"{key} ="))
    assert problems(source) == [f"gateway.toml:{line}: {expected}"]


def test_no_rules_at_all_are_not_written_as_an_empty_list() -> None:
    assert problems(GOOD + "[policy]\nrules = []\n") == ["gateway.toml:19: policy.rules: names nothing; leave it out where all are meant"]


def test_every_problem_of_the_policy_comes_at_once_with_those_of_other_sections() -> None:
    source = GOOD.replace("sqlite:////", "mysql://") + RULES.replace('"deny"', '"perhaps"').replace('"second"', '"first"')
    keys = [problem.split(": ")[1] for problem in problems(source)]
    assert keys == ["store.url", "policy.rules.1.effect", "policy.rules.0.groups.1", "policy.rules.1.name"]


def test_the_required_group_has_its_name_to_itself() -> None:
    assert "is what required_group is called" in problems(WITH_GROUP.replace("ops =", "required ="))[0]


def test_the_required_group_is_called_the_same_where_accounts_are_made() -> None:
    assert account.REQUIRED == REQUIRED


TREES = st.recursive(
    st.none() | st.text(max_size=4) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["policy", "rules", "name", "groups", "clusters", "directory"]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["policy", "directory", "clusters"]), TREES))
def test_whatever_the_file_says_is_looked_at_without_failing(tree: dict[str, Any]) -> None:
    assert all(key[0] in {"policy", "directory"} and text for key, text in policy_problems(tree))

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.config import Policy, Rule
from gateway.errors import BadRequest
from gateway.policy.path import canonical
from gateway.policy.rules import BUILT_IN, DEFAULT, Decision, Request, Rules

NOW = 1_700_000_000.0
PING = Request(
    username="alice",
    groups=frozenset({"required", "staff"}),
    method="GET",
    path="/slurm/v0.0.40/ping",
    cluster="main",
    address="192.0.2.7",
    kind="session",
    second_factor_at=NOW - 3600,
)


def rule(name: str = "r", effect: str = "allow", **criteria: object) -> Rule:
    return Rule.model_validate({"name": name, "effect": effect, **criteria})


def decide(request: Request, *rules: Rule) -> tuple[bool, str]:
    decision = Rules(rules).decide(request, NOW)
    return decision.allowed, decision.rule


CRITERIA: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"groups": ["staff"]}, True),
    ({"groups": ["admins", "staff"]}, True),
    ({"groups": ["admins"]}, False),
    ({"methods": ["GET"]}, True),
    ({"methods": ["POST", "DELETE"]}, False),
    ({"paths": ["/slurm/v*/ping"]}, True),
    ({"paths": ["/slurmdb/**", "/slurm/**"]}, True),
    ({"paths": ["/slurmdb/**"]}, False),
    ({"clusters": ["main"]}, True),
    ({"clusters": ["gpu"]}, False),
    ({"networks": ["192.0.2.0/24"]}, True),
    ({"networks": ["::ffff:192.0.2.0/120"]}, True),
    ({"networks": ["10.0.0.0/8", "2001:db8::/32"]}, False),
    ({"kinds": ["token", "session"]}, True),
    ({"kinds": ["one_shot"]}, False),
    ({"groups": ["staff"], "methods": ["GET"], "paths": ["/slurm/**"], "networks": ["192.0.2.7/32"], "kinds": ["session"]}, True),
    ({"groups": ["staff"], "methods": ["GET"], "paths": ["/slurm/**"], "networks": ["192.0.2.8/32"], "kinds": ["session"]}, False),
]


@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.parametrize(("criteria", "matches"), CRITERIA)
def test_a_rule_decides_when_everything_that_it_names_matches(criteria: dict[str, Any], matches: bool, effect: str) -> None:
    expected = (effect == "allow", "r") if matches else (False, DEFAULT)
    assert decide(PING, rule(effect=effect, **criteria)) == expected


def test_what_no_rule_names_is_denied() -> None:
    assert decide(PING) == (False, DEFAULT)


def test_the_first_rule_that_matches_decides() -> None:
    assert decide(PING, rule("a", methods=["POST"]), rule("b", "deny"), rule("c")) == (False, "b")


@pytest.mark.parametrize("kind", ["enrolment", "", "SESSION", "something new"])
def test_a_kind_that_the_rules_do_not_know_is_let_through_by_none(kind: str) -> None:
    assert decide(replace(PING, kind=kind), rule()) == (False, DEFAULT)


@pytest.mark.parametrize("address", ["local", "unknown", ""])
def test_an_address_that_is_not_known_is_in_no_network(address: str) -> None:
    assert decide(replace(PING, address=address), rule(networks=["0.0.0.0/0", "::/0"])) == (False, DEFAULT)


@pytest.mark.parametrize(("age", "stale"), [(0, False), (300, False), (301, True), (86400, True), (-5, False), (-301, True), (float("nan"), True)])
def test_a_second_factor_older_than_the_rule_allows_is_stale(age: float, stale: bool) -> None:
    decision = Rules([rule(second_factor_within="5m")]).decide(replace(PING, second_factor_at=NOW - age), NOW)
    assert (decision.allowed, decision.stale, decision.stale_after) == (not stale, stale, 300.0 if stale else None)


def test_a_stale_factor_is_the_answer_and_later_rules_are_not_asked() -> None:
    decision = Rules([rule("fresh", second_factor_within="5m"), rule("anybody")]).decide(PING, NOW)
    assert (decision.allowed, decision.rule, decision.stale) == (False, "fresh", True)


def test_a_stale_factor_is_no_matter_to_a_rule_that_does_not_match() -> None:
    assert decide(PING, rule("fresh", groups=["admins"], second_factor_within="5m"), rule("anybody")) == (True, "anybody")


# The built-in rules.

OLD, MEMBER, STRANGER = NOW - 301, frozenset({"required"}), frozenset({"hpc-admins"})
V36, V45 = "/slurm/v0.0.36", "/slurm/v0.0.45"
FREELY = [
    ("GET", f"{V36}/jobs"),
    ("POST", f"{V36}/job/submit"),
    ("POST", f"{V36}/job/7"),
    ("DELETE", f"{V36}/job/7"),
    ("DELETE", f"{V45}/jobs"),
    ("POST", f"{V45}/job/allocate"),
    ("GET", f"{V45}/job/7/requeue"),
    ("GET", f"{V36}/nodes"),
    ("GET", f"{V45}/reservations"),
    ("GET", "/slurmdb/v0.0.36/users"),
    ("GET", "/openapi"),
    ("GET", "/openapi.json"),
    ("GET", "/openapi.yaml"),
    ("GET", "/openapi/v3"),
]
WITH_A_YOUNG_FACTOR = [
    ("POST", "/slurmdb/v0.0.36/accounts"),
    ("DELETE", "/slurmdb/v0.0.36/account/x"),
    ("POST", "/slurmdb/v0.0.36/job/7"),
    ("GET", f"{V45}/reconfigure"),
    ("POST", f"{V45}/reconfigure"),
    ("GET", "/slurm/current/reconfigure"),
    ("POST", f"{V45}/node/n1"),
    ("DELETE", f"{V45}/node/n1"),
    ("POST", f"{V45}/nodes"),
    ("POST", f"{V45}/new/node"),
    ("POST", f"{V45}/reservation"),
    ("DELETE", f"{V45}/reservation/r"),
    ("DELETE", f"{V45}/partition/p"),
    ("POST", f"{V45}/something-new"),
]


def built_in(method: str, path: str, **more: Any) -> Decision:
    return Rules.of(Policy()).decide(replace(PING, **{"method": method, "path": path, "groups": MEMBER, "second_factor_at": OLD, **more}), NOW)


@pytest.mark.parametrize(("method", "path"), FREELY)
def test_members_do_what_slurm_lets_them(method: str, path: str) -> None:
    assert built_in(method, path).allowed


@pytest.mark.parametrize(("method", "path"), WITH_A_YOUNG_FACTOR)
@pytest.mark.parametrize("kind", ["session", "token"])
def test_changes_of_accounting_and_of_the_cluster_need_a_young_second_factor(method: str, path: str, kind: str) -> None:
    old, young = built_in(method, path, kind=kind), built_in(method, path, kind=kind, second_factor_at=NOW - 299)
    assert (old.stale, old.stale_after, young.allowed, young.rule) == (True, 300.0, True, old.rule)


@pytest.mark.parametrize(("method", "path"), [*FREELY, *WITH_A_YOUNG_FACTOR])
@pytest.mark.parametrize("groups", [frozenset(), STRANGER])
def test_who_is_not_in_the_required_group_does_nothing(method: str, path: str, groups: frozenset[str]) -> None:
    decision = built_in(method, path, groups=groups, second_factor_at=NOW)
    assert (decision.allowed, decision.stale, decision.rule) == (False, False, DEFAULT)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_slurm_has_no_call_for_is_denied_to_members_too(method: str) -> None:
    assert built_in(method, "/openapi/v3", second_factor_at=NOW) == Decision(allowed=False, rule=DEFAULT)


def test_a_site_with_rules_of_its_own_has_none_of_the_built_in_ones() -> None:
    rules = Rules.of(Policy(rules=(rule("only", paths=["/openapi*"]),)))
    assert rules.decide(replace(PING, groups=MEMBER), NOW).rule == DEFAULT


# In general.

WORDS = st.sampled_from(["v1", "job", "jobs", "7", "reconfigure", "a%40b", "a@b"])
REQUESTS = st.builds(
    Request,
    username=st.just("alice"),
    groups=st.frozensets(st.sampled_from(["required", "a", "b"])),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.lists(WORDS, min_size=2, max_size=4).map(lambda words: "/slurm/" + "/".join(words)),
    cluster=st.sampled_from(["main", "gpu"]),
    address=st.sampled_from(["192.0.2.7", "::ffff:192.0.2.7", "10.0.0.1", "local"]),
    kind=st.sampled_from(["session", "token", "one_shot", "enrolment"]),
    second_factor_at=st.sampled_from([NOW, NOW - 400]),
)


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


@st.composite
def _rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    choices: dict[str, st.SearchStrategy[Any]] = {
        "groups": some("required", "a", "b"),
        "methods": some("GET", "POST", "DELETE"),
        "paths": some("/slurm/**", "/slurm/*/job/**", "/slurm/v1/*", "/slurm/**/a@b", "/**"),
        "clusters": some("main", "gpu"),
        "networks": some("192.0.2.0/24", "10.0.0.0/8"),
        "kinds": some("session", "token"),
    }
    made = []
    for number in range(draw(st.integers(0, 5))):
        named = draw(st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True))
        criteria = {name: draw(choices[name]) for name in named}
        effect = draw(st.sampled_from(["allow", "deny"]))
        made.append(rule(f"r{number}", effect, **criteria, **({"second_factor_within": "5m"} if effect == "allow" and draw(st.booleans()) else {})))
    return tuple(made)


RULES = _rules()


@given(RULES, REQUESTS)
def test_what_is_explained_is_what_is_decided(rules: tuple[Rule, ...], request_: Request) -> None:
    compiled = Rules(rules)
    assert replace(compiled.explain(request_, NOW), why=()) == compiled.decide(request_, NOW) == compiled.decide(request_, NOW)


@given(RULES, REQUESTS)
def test_the_explanation_names_each_rule_before_the_one_that_decides(rules: tuple[Rule, ...], request_: Request) -> None:
    decision = Rules(rules).explain(request_, NOW)
    names = [*(made.name for made in rules), DEFAULT]
    assert [name for name, _ in decision.why] == names[: names.index(decision.rule)]
    assert all(text for _, text in decision.why)


@given(RULES, REQUESTS)
def test_no_rule_after_the_one_that_decides_changes_anything(rules: tuple[Rule, ...], request_: Request) -> None:
    decision = Rules(rules).decide(request_, NOW)
    assume(decision.rule != DEFAULT)
    until = [made.name for made in rules].index(decision.rule) + 1
    for effect in ("allow", "deny"):
        assert Rules([*rules[:until], rule("further", effect), *rules[until:]]).decide(request_, NOW) == decision


@given(RULES, REQUESTS)
def test_a_deny_in_front_never_lets_more_through(rules: tuple[Rule, ...], request_: Request) -> None:
    assert not Rules([rule("first", "deny"), *rules]).decide(request_, NOW).allowed or request_.kind == "enrolment"


@given(RULES, REQUESTS, st.data())
def test_a_decision_does_not_hang_on_how_the_path_was_spelled(rules: tuple[Rule, ...], request_: Request, data: st.DataObject) -> None:
    spelled = "".join(
        data.draw(st.sampled_from([character, f"%{ord(character):02x}", f"%{ord(character):02X}"])) if character.isalnum() else character
        for character in request_.path.replace("%40", "@")
    ).replace("/", data.draw(st.sampled_from(["/", "//"]))) + data.draw(st.sampled_from(["", "/"]))
    try:
        path = canonical(spelled.replace("@", data.draw(st.sampled_from(["@", "%40"])))).path
    except BadRequest:
        assume(False)
    assert Rules(rules).decide(replace(request_, path=path), NOW) == Rules(rules).decide(request_, NOW)


def test_the_explanation_says_what_did_not_match() -> None:
    rules = [
        rule("a", methods=["POST", "DELETE"], paths=["/slurmdb/**"]),
        rule("b", groups=["admins", "ops"]),
        rule("c", networks=["10.0.0.0/8"], kinds=["token"], clusters=["gpu"]),
    ]
    assert Rules(rules).explain(PING, NOW).why == (
        ("a", "method: GET is not POST or DELETE; path: /slurm/v0.0.40/ping is not /slurmdb/**"),
        ("b", "group: alice is in required, staff, not in admins or ops"),
        ("c", "kind: session is not token; cluster: main is not gpu; network: 192.0.2.7 is not in 10.0.0.0/8"),
    )


def test_the_built_in_rules_have_names_of_their_own() -> None:
    names = [made.name for made in BUILT_IN]
    assert (len(set(names)), DEFAULT in names) == (len(names), False)

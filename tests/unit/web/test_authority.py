from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.config import Rule, Server
from gateway.errors import NotPermitted, Refusal, SecondFactorStale
from gateway.policy.route import Route
from gateway.policy.rules import ASK, BUILT_IN, Rules
from gateway.sessions.sessions import Identity
from gateway.slurm.names import Subject
from gateway.web.authority import Authority
from gateway.web.context import Context, open_context
from tests.unit.web.conftest import Make

V = "/slurm/v0.0.40"
RULES = Rules(BUILT_IN)


def alice(**more: Any) -> Identity:
    later = time.time() + 60
    identity = Identity(
        subject=Subject(username="alice", uid=2001),
        kind="session",
        session_id="s",
        expires_at=later,
        idle_expires_at=later,
        second_factor_at=time.time(),
        groups=frozenset({"required"}),
    )
    return replace(identity, **more)


def opened(make: Make, method: str, address: str = "192.0.2.7") -> Context:
    return open_context(make(method, fields=[("X-Forwarded-For", address)]), Server.model_validate({"listen": "unix:/run/gateway.sock"}))


def refusal(context: Context, identity: Identity, path: str, rules: Rules = RULES, cluster: str = "main") -> Refusal | None:
    try:
        Authority(rules).permit(context, identity, Route(cluster, path))
    except Refusal as refused:
        return refused
    return None


def test_who_may_is_let_through_and_the_rule_is_noted(make: Make) -> None:
    context = opened(make, "GET")
    assert (refusal(context, alice(), f"{V}/ping"), context.rule) == (None, "reads")


def test_who_may_not_is_told_whom_to_ask_and_not_which_rule_it_was(make: Make) -> None:
    context = opened(make, "GET")
    refused = refusal(context, alice(groups=frozenset()), f"{V}/ping")
    assert isinstance(refused, NotPermitted)
    assert (refused.cause, refused.hint, context.rule) == ("policy:default", ASK, "default")
    assert "default" not in refused.detail


def test_who_proved_their_factor_too_long_ago_is_told_how_long_ago_it_may_be(make: Make) -> None:
    context = opened(make, "GET")
    refused = refusal(context, alice(second_factor_at=time.time() - 301), f"{V}/reconfigure")
    assert isinstance(refused, SecondFactorStale)
    assert (refused.cause, context.rule) == ("policy:reconfigure", "reconfigure")
    assert refused.detail.endswith("within the last 5m.")


SCOPES = [
    (("read",), "GET", f"{V}/ping", None),
    (("read",), "GET", f"{V}/reconfigure", "admin"),
    (("read",), "POST", f"{V}/job/submit", "submit"),
    (("submit",), "GET", f"{V}/jobs", "read"),
    (("read", "submit"), "DELETE", f"{V}/job/7", "jobs"),
    (("jobs",), "POST", "/slurmdb/v0.0.40/users", "admin"),
    (("admin",), "POST", "/slurmdb/v0.0.40/users", None),
    ((), "GET", f"{V}/ping", "read"),
]


@pytest.mark.parametrize(("scopes", "method", "path", "needed"), SCOPES)
def test_a_token_is_used_for_what_it_was_made_for_and_the_scope_that_is_missing_is_named(
    make: Make, scopes: tuple[str, ...], method: str, path: str, needed: str | None
) -> None:
    refused = refusal(opened(make, method), alice(kind="token", scopes=scopes), path)
    assert (refused.cause if refused else None) == ("token_scope" if needed else None)
    assert refused is None or f"'{needed}'" in refused.hint


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ({"clusters": ["main"]}, True),
        ({"clusters": ["gpu"]}, False),
        ({"networks": ["192.0.2.7/32"]}, True),
        ({"networks": ["10.0.0.0/8"]}, False),
        ({"kinds": ["session"]}, True),
        ({"kinds": ["token"]}, False),
        ({"groups": ["required"]}, True),
        ({"groups": ["ops"]}, False),
    ],
)
def test_the_rules_see_who_asks_and_from_where(make: Make, criteria: dict[str, object], matches: bool) -> None:
    rules = Rules([Rule.model_validate({"name": "r", "effect": "allow", **criteria})])
    assert (refusal(opened(make, "GET"), alice(), f"{V}/ping", rules) is None) is matches

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Throttle
from gateway.signin.throttle import address_key, code_limits, keys_of, password_limits, refusal, token_limits
from gateway.store.attempts import Exceeded, Limit

SETTINGS = Throttle.model_validate({"window": "5m", "account_address": 7, "account": 10, "address": 100, "site": 500, "tokens": 50})
NOW = 1_700_000_000.0


def exceeded(free_at: float, scope: str = "account") -> Exceeded:
    return Exceeded(limit=Limit(scope=scope, key="alice", allowed=10, window=300), free_at=free_at)


def test_a_password_counts_against_account_and_address_together_and_apart_and_against_the_whole_site() -> None:
    assert password_limits(SETTINGS, "alice", "192.0.2.7", known=False) == (
        Limit(scope="account_address", key="alice|192.0.2.7", allowed=7, window=300),
        Limit(scope="account", key="alice", allowed=10, window=300),
        Limit(scope="address", key="192.0.2.7", allowed=100, window=300),
        Limit(scope="site", key="", allowed=500, window=300),
    )


def test_from_an_address_that_the_owner_uses_only_what_was_tried_from_there_counts() -> None:
    assert password_limits(SETTINGS, "alice", "192.0.2.7", known=True) == (
        Limit(scope="account_address", key="alice|192.0.2.7", allowed=7, window=300),
    )


def test_a_code_counts_within_five_minutes_an_hour_and_a_day() -> None:
    assert [(limit.allowed, limit.window) for limit in code_limits(Throttle(), "alice")] == [(5, 300), (20, 3600), (50, 86400)]
    assert {(limit.scope, limit.key) for limit in code_limits(Throttle(), "alice")} == {("code", "alice")}


def test_a_token_that_nobody_has_counts_against_its_address_alone() -> None:
    assert token_limits(SETTINGS, "192.0.2.7") == (Limit(scope="token", key="192.0.2.7", allowed=50, window=300),)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("local", "local"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_address_counts_as_its_network_for_its_owner_has_all_of_it(address: str, key: str) -> None:
    assert address_key(address) == key


@given(st.text(max_size=200))
def test_whatever_stands_for_an_address_has_a_short_key(text: str) -> None:
    assert len(address_key(text)) <= 64


def test_all_that_is_counted_for_an_account_can_be_found_again() -> None:
    limits = (*password_limits(SETTINGS, "alice", "192.0.2.7", known=False), *code_limits(SETTINGS, "alice"))
    own = {(limit.scope, limit.key.partition("|")[0]) for limit in limits if limit.key.startswith("alice")}
    assert own == {(scope, key.rstrip("|")) for scope, key in keys_of("alice")}


@pytest.mark.parametrize(("wait", "said"), [(299.2, "300"), (1.0, "1"), (0.1, "1"), (0.0, "1"), (-5.0, "1"), (12.0001, "13")])
def test_the_refusal_names_the_whole_seconds_to_wait(wait: float, said: str) -> None:
    assert refusal(exceeded(NOW + wait), NOW).headers == (("Retry-After", said),)


@given(st.floats(0, 1e6))
def test_after_the_wait_there_is_room(wait: float) -> None:
    ((_, said),) = refusal(exceeded(NOW + wait), NOW).headers
    assert NOW + int(said) >= NOW + wait


@pytest.mark.parametrize("scope", ["account", "address", "site"])
def test_the_inside_is_told_which_limit_it_was_and_the_outside_is_not(scope: str) -> None:
    refused = refusal(exceeded(NOW, scope), NOW)
    assert refused.cause == f"throttled_by_{scope}"
    assert scope not in refused.detail + refused.hint


def test_the_refusal_does_not_name_the_account() -> None:
    refused = refusal(exceeded(NOW), NOW)
    assert "alice" not in f"{refused.detail}{refused.hint}{refused.cause}"

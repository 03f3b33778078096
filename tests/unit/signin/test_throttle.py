from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Throttle
from gateway.signin.throttle import limits, refusal
from gateway.store.attempts import Exceeded, Limit

SETTINGS = Throttle.model_validate({"window": "5m", "account": 10, "address": 100})
NOW = 1_700_000_000.0


def exceeded(free_at: float, scope: str = "account") -> Exceeded:
    return Exceeded(limit=Limit(scope=scope, key="alice", allowed=10, window=300), free_at=free_at)


def test_an_attempt_counts_against_its_account_and_its_address() -> None:
    assert limits(SETTINGS, "alice", "192.0.2.7") == (
        Limit(scope="account", key="alice", allowed=10, window=300),
        Limit(scope="address", key="192.0.2.7", allowed=100, window=300),
    )


@pytest.mark.parametrize(("wait", "said"), [(299.2, "300"), (1.0, "1"), (0.1, "1"), (0.0, "1"), (-5.0, "1"), (12.0001, "13")])
def test_the_refusal_names_the_whole_seconds_to_wait(wait: float, said: str) -> None:
    assert refusal(exceeded(NOW + wait), NOW).headers == (("Retry-After", said),)


@given(st.floats(0, 1e6))
def test_after_the_wait_there_is_room(wait: float) -> None:
    ((_, said),) = refusal(exceeded(NOW + wait), NOW).headers
    assert NOW + int(said) >= NOW + wait


@pytest.mark.parametrize("scope", ["account", "address"])
def test_the_inside_is_told_which_limit_it_was_and_the_outside_is_not(scope: str) -> None:
    refused = refusal(exceeded(NOW, scope), NOW)
    assert refused.cause == f"throttled_by_{scope}"
    assert scope not in refused.detail + refused.hint


def test_the_refusal_does_not_name_the_account() -> None:
    refused = refusal(exceeded(NOW), NOW)
    assert "alice" not in f"{refused.detail}{refused.hint}{refused.cause}"

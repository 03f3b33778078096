from __future__ import annotations

import pytest

from gateway.errors import BadRequest
from gateway.policy.networks import allows, parse_networks


def test_networks_are_kept_in_their_one_spelling_each_once() -> None:
    assert parse_networks(["192.0.2.7", "2001:DB8::/32", "192.0.2.7/32", "::ffff:192.0.2.0/120"]) == ("192.0.2.7/32", "2001:db8::/32", "192.0.2.0/24")


@pytest.mark.parametrize("given", [None, "192.0.2.0/24", [1], ["192.0.2.1/24"], ["x"], ["fe80::%eth0"], ["10.0.0.0/8"] * 21])
def test_other_networks_are_refused(given: object) -> None:
    with pytest.raises(BadRequest):
        parse_networks(given)


@pytest.mark.parametrize(("address", "allowed"), [("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("192.0.3.7", False), ("local", False)])
def test_a_token_may_come_from_its_networks(address: str, allowed: bool) -> None:
    assert allows(("192.0.2.0/24",), address) == allowed


def test_a_token_without_networks_may_come_from_everywhere() -> None:
    assert allows((), "local")

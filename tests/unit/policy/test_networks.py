from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.policy.networks import allows, parse_networks, plain, within

NET = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "2001:DB8:0::1"])
def test_an_address_is_in_its_network_however_it_is_written(address: str) -> None:
    assert within(NET, address)


@pytest.mark.parametrize("address", ["192.0.3.7", "::192.0.2.7", "2001:db9::1", "local", "unknown", "", "192.0.2.7:80", "192.0.2.07"])
def test_another_address_and_what_is_none_is_in_no_network(address: str) -> None:
    assert not within(NET, address)


@pytest.mark.parametrize(
    ("network", "expected"),
    [("::ffff:192.0.2.0/120", "192.0.2.0/24"), ("::ffff:0:0/96", "0.0.0.0/0"), ("::/0", "::/0"), ("2001:db8::/32", "2001:db8::/32")],
)
def test_a_network_of_mapped_addresses_is_one_of_ipv4(network: str, expected: str) -> None:
    assert str(plain(ipaddress.ip_network(network))) == expected


def test_networks_are_kept_in_one_spelling_each_once() -> None:
    given_ = ["192.0.2.7", "2001:DB8:0:0::/64", "::ffff:192.0.2.7", "10.0.0.0/8"]
    assert parse_networks(given_) == ("192.0.2.7/32", "2001:db8::/64", "10.0.0.0/8")


@pytest.mark.parametrize(
    "given_",
    [
        None,
        "10.0.0.0/8",
        {"a": 1},
        [1],
        [None],
        [True],
        ["x"],
        [""],
        ["10.0.0.1/8"],
        ["fe80::1%eth0"],
        ["10.0.0.0/33"],
        ["1" * 50],
        ["10.0.0.0/8"] * 21,
    ],
)
def test_what_is_no_list_of_networks_is_refused(given_: object) -> None:
    with pytest.raises(BadRequest):
        parse_networks(given_)


@given(st.lists(st.text(max_size=12) | st.integers(), max_size=3))
def test_whatever_is_given_is_refused_or_read_back_the_same(given_: list[object]) -> None:
    try:
        networks = parse_networks(given_)
    except BadRequest:
        return
    assert parse_networks(list(networks)) == networks


def test_a_token_without_networks_may_be_used_from_everywhere() -> None:
    assert allows((), "unknown")


@pytest.mark.parametrize(("address", "allowed"), [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("local", False)])
def test_a_token_with_networks_may_be_used_from_within_them(address: str, allowed: bool) -> None:
    assert allows(("10.0.0.0/8", "2001:db8::/32"), address) is allowed

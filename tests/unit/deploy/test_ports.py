"""A site keeps its ports while nobody else takes them."""

from __future__ import annotations

import socket

import pytest

from deploy.site.ports import RANGE, answers, choose, is_free


def test_a_known_port_that_is_free_is_kept() -> None:
    assert choose({"ldap": 20500}, {"ldap": False}, free=lambda _: True) == {"ldap": 20500}


def test_a_known_port_that_its_own_server_has_is_kept() -> None:
    assert choose({"ldap": 20500}, {"ldap": True}, free=lambda port: port != 20500) == {"ldap": 20500}


def test_a_known_port_that_a_stranger_has_is_given_up() -> None:
    assert choose({"ldap": 20500}, {"ldap": False}, free=lambda port: port != 20500)["ldap"] in set(RANGE) - {20500}


def test_no_two_servers_get_the_same_port() -> None:
    names = {str(number): False for number in range(20)}
    assert len(set(choose({}, names, free=lambda _: True).values())) == len(names)


@pytest.mark.parametrize("listening", [True, False])
def test_a_port_is_free_when_nobody_listens(listening: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if listening:
            assert (is_free(port), answers(port)) == (False, True)
    if not listening:
        assert (is_free(port), answers(port)) == (True, False)

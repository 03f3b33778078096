from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.signin.directory.servers import Servers


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def servers(clock: Clock) -> Servers:
    return Servers(["a", "b", "c"], 30.0, clock)


def test_servers_are_asked_in_their_order(servers: Servers) -> None:
    assert [servers.turn(), servers.turn()] == [("a", "b", "c")] * 2


def test_one_that_failed_is_asked_last(servers: Servers) -> None:
    servers.failed("a")
    assert servers.turn() == ("b", "c", "a")


def test_when_all_have_failed_all_are_asked(servers: Servers) -> None:
    for url in "bac":
        servers.failed(url)
    assert servers.turn() == ("a", "b", "c")


def test_one_that_failed_is_first_again_after_its_time(servers: Servers, clock: Clock) -> None:
    servers.failed("a")
    clock.now += 29.9
    assert servers.turn() == ("b", "c", "a")
    clock.now += 0.2
    assert servers.turn() == ("a", "b", "c")


def test_only_one_caller_tries_a_server_whose_time_is_over(servers: Servers, clock: Clock) -> None:
    servers.failed("a")
    clock.now += 31
    assert servers.turn() == ("a", "b", "c")
    assert servers.turn() == ("b", "c", "a")


def test_a_server_that_has_answered_is_up_for_everybody(servers: Servers, clock: Clock) -> None:
    servers.failed("a")
    clock.now += 31
    servers.turn()
    servers.answered("a")
    assert servers.turn() == ("a", "b", "c")


def test_a_server_that_fails_again_is_down_again(servers: Servers, clock: Clock) -> None:
    servers.failed("a")
    clock.now += 31
    servers.turn()
    servers.failed("a")
    clock.now += 29
    assert servers.turn() == ("b", "c", "a")

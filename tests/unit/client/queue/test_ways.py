"""What a queue needs of the world is what there is."""

from __future__ import annotations

import time

from gateway.client import Gateway
from gateway.client.queue.ways import Clocks, Ways


def test_a_gateway_is_a_way() -> None:
    way: type[Ways] = Gateway
    assert way is Gateway


def test_the_time_is_the_time() -> None:
    clocks = Clocks()
    assert abs(clocks.wall() - time.time()) < 5
    assert clocks.now() <= clocks.now()

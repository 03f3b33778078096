"""How many failures are borne, and the wait that a refusal names (pure); the counting is the store's."""

from __future__ import annotations

import math

from gateway.config import Throttle
from gateway.errors import Throttled
from gateway.store.attempts import Exceeded, Limit


def limits(settings: Throttle, account: str, address: str) -> tuple[Limit, ...]:
    """Return what an attempt on ``account`` from ``address`` counts against."""
    return (
        Limit(scope="account", key=account, allowed=settings.account, window=settings.window),
        Limit(scope="address", key=address, allowed=settings.address, window=settings.window),
    )


def refusal(exceeded: Exceeded, now: float) -> Throttled:
    """Return the 429 that says how many seconds to wait (RFC 9110 section 10.2.3), at least one."""
    wait = max(1, math.ceil(exceeded.free_at - now))
    return Throttled(f"throttled_by_{exceeded.limit.scope}", headers=(("Retry-After", str(wait)),))

"""One-time codes that a RADIUS server checks: RSA SecurID and the like."""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from gateway.signin.factor.outcome import NotProved, Outcome, Proved
from gateway.signin.radius import Verdict
from gateway.store.spent import SpentStore

# A PIN with the token's digits behind it; the servers that we know take no more (RFC 2865 section 5.2: 128 at the utmost).
_CODE = re.compile(r"[!-~]{1,64}")
_SPENT = "radius"


class Asks(Protocol):
    """Something that asks a RADIUS server."""

    async def ask(self, username: str, code: str, address: str) -> Verdict:
        """Return what the server says of the code; raise FactorUnavailable when none says anything."""
        ...


class RadiusFactor:
    """Everybody is enrolled: the server decides. What it accepted is accepted once, whatever it says of it again."""

    def __init__(self, client: Asks, spent: SpentStore, memory: float) -> None:
        self._client = client
        self._spent = spent
        self._memory = memory

    def could_be(self, code: str) -> bool:
        """Tell whether ``code`` is 1 to 64 printable characters of ASCII without a space."""
        return _CODE.fullmatch(code) is not None

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:
        """Return what the server says, having used up what it accepts for all workers and nodes."""
        verdict = await self._client.ask(username, code, address)
        if verdict is not Verdict.ACCEPT:
            # A challenge wants a second answer, which no request of ours has room for.
            return NotProved("radius_challenge" if verdict is Verdict.CHALLENGE else "radius_rejected")
        digest = hashlib.sha256(f"{username}\0{code}".encode()).digest()
        fresh = await self._spent.spend(_SPENT, digest, now=now, expires_at=now + self._memory)
        return Proved("radius") if fresh else NotProved("code_used")

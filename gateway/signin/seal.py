"""Sealing as signing in needs it: what opens and seals the secrets of authenticators."""

from __future__ import annotations

from typing import Protocol

from gateway.config import Secret


class Seal(Protocol):
    """Something that seals a secret for a row of the store, and opens it again."""

    async def seal(self, plain: bytes, row: str) -> bytes:
        """Return ``plain`` sealed for ``row``."""
        ...

    async def open(self, sealed: bytes, row: str) -> Secret:
        """Return what was sealed for ``row``; raise BrokenSealError when it is not that, or not whole."""
        ...

"""Sealing as signing in needs it: what opens and seals the secrets of authenticators."""

from __future__ import annotations

from typing import Protocol

from gateway.config import Secret
from gateway.store.sealing import KeyRing


class Seal(Protocol):
    """Something that seals a secret for a row of the store, and opens it again."""

    async def seal(self, plain: bytes, row: str) -> bytes:
        """Return ``plain`` sealed for ``row``."""
        ...

    async def open(self, sealed: bytes, row: str) -> Secret:
        """Return what was sealed for ``row``; raise BrokenSealError when it is not that, or not whole."""
        ...


class RingSeal:
    """The keys of one ring, until they are replaced by another."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def replace_ring(self, ring: KeyRing) -> None:
        """Seal and open with ``ring`` from now on."""
        self._ring = ring

    async def seal(self, plain: bytes, row: str) -> bytes:
        """Seal under the newest key."""
        return self._ring.seal(plain, row)

    async def open(self, sealed: bytes, row: str) -> Secret:
        """Open with whichever key it was sealed under."""
        return self._ring.open(sealed, row)

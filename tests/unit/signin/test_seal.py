from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.signin.seal import RingSeal
from gateway.store.sealing import BrokenSealError, KeyRing

ONE, TWO = KeyRing("k1", {"k1": AESGCM(b"1" * 32)}), KeyRing("k2", {"k2": AESGCM(b"2" * 32)})


async def test_what_was_sealed_opens_for_its_row() -> None:
    seal = RingSeal(ONE)
    assert (await seal.open(await seal.seal(b"secret", "row"), "row")).reveal() == b"secret"


async def test_another_ring_takes_the_place_of_the_first() -> None:
    seal = RingSeal(ONE)
    sealed = await seal.seal(b"secret", "row")
    seal.replace_ring(TWO)
    with pytest.raises(BrokenSealError):
        await seal.open(sealed, "row")

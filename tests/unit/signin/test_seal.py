from __future__ import annotations

from pathlib import Path

import pytest

from gateway.signin.seal import Seal
from gateway.store.sealing import BrokenSealError, KeyRingFile, new_key_ring


async def test_the_file_of_keys_seals_and_opens_as_signing_in_needs_it(tmp_path: Path) -> None:
    new_key_ring(tmp_path / "ring")
    seal: Seal = KeyRingFile(tmp_path / "ring")
    sealed = await seal.seal(b"secret", "row")
    assert (await seal.open(sealed, "row")).reveal() == b"secret"
    with pytest.raises(BrokenSealError):
        await seal.open(sealed, "another row")

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import SecretFileError
from gateway.store.sealing import BrokenSealError, KeyRing, load_key_ring, new_key_ring

ROW = "authenticators/1/alice"
OLD, NEW = AESGCM(b"o" * 32), AESGCM(b"n" * 32)
RING = KeyRing("k1", {"k1": OLD})
LINE = b"k1:" + base64.b64encode(b"o" * 32)
NEWER = b"k2:" + base64.b64encode(b"n" * 32)


def ring_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "ring"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_for_a_row_opens_for_it(plain: bytes, row: str) -> None:
    assert RING.open(RING.seal(plain, row), row).reveal() == plain


def test_what_was_sealed_does_not_show(tmp_path: Path) -> None:
    assert b"hunter2" not in RING.seal(b"hunter2", ROW)
    assert repr(load_key_ring(ring_file(tmp_path, LINE))) == "KeyRing(current='k1')"


def test_sealing_twice_makes_two_seals() -> None:
    assert RING.seal(b"secret", ROW) != RING.seal(b"secret", ROW)


@pytest.mark.parametrize(
    "row", ["authenticators/2/alice", "authenticators/1/bob", "authenticators/1/alic", "authenticators/1/alice/", "", ROW.upper()]
)
def test_what_was_moved_to_another_row_does_not_open(row: str) -> None:
    with pytest.raises(BrokenSealError, match="not sealed for this row"):
        RING.open(RING.seal(b"secret", ROW), row)


@given(st.integers(0), st.integers(0, 7))
def test_what_has_one_bit_changed_does_not_open(place: int, bit: int) -> None:
    sealed = bytearray(RING.seal(b"secret", ROW))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(BrokenSealError):
        RING.open(bytes(sealed), ROW)


@given(st.integers(0))
def test_what_was_cut_short_does_not_open(length: int) -> None:
    sealed = RING.seal(b"secret", ROW)
    with pytest.raises(BrokenSealError):
        RING.open(sealed[: length % len(sealed)], ROW)


@given(st.one_of(st.binary(), st.binary().map(b"1:k1:".__add__)))
def test_whatever_the_store_holds_opens_or_is_broken(sealed: bytes) -> None:
    with pytest.raises(BrokenSealError):
        RING.open(sealed, ROW)


def test_what_an_old_key_sealed_opens_under_a_new_ring_that_has_it() -> None:
    assert KeyRing("k2", {"k2": NEW, "k1": OLD}).open(RING.seal(b"secret", ROW), ROW).reveal() == b"secret"


def test_the_newest_key_seals() -> None:
    sealed = KeyRing("k2", {"k2": NEW, "k1": OLD}).seal(b"secret", ROW)
    assert KeyRing("k2", {"k2": NEW}).open(sealed, ROW).reveal() == b"secret"


@pytest.mark.parametrize("ring", [KeyRing("k2", {"k2": NEW}), KeyRing("k2", {"k2": OLD})])
def test_what_was_sealed_under_a_key_that_is_gone_does_not_open(ring: KeyRing) -> None:
    with pytest.raises(BrokenSealError, match="a key that the ring does not have"):
        ring.open(RING.seal(b"secret", ROW), ROW)


def test_another_key_under_the_same_id_does_not_open() -> None:
    with pytest.raises(BrokenSealError, match="changed since"):
        KeyRing("k1", {"k1": NEW}).open(RING.seal(b"secret", ROW), ROW)


def test_a_seal_that_claims_another_key_does_not_open() -> None:
    ring = KeyRing("k2", {"k2": OLD, "k1": OLD})
    with pytest.raises(BrokenSealError, match="changed since"):
        ring.open(RING.seal(b"secret", ROW).replace(b"1:k1:", b"1:k2:"), ROW)


def test_a_ring_is_read_newest_first(tmp_path: Path) -> None:
    ring = load_key_ring(ring_file(tmp_path, NEWER + b"\n" + LINE + b"\n"))
    assert (ring.current, list(ring.keys)) == ("k2", ["k2", "k1"])


def test_a_ring_that_was_read_opens_what_its_keys_sealed(tmp_path: Path) -> None:
    assert load_key_ring(ring_file(tmp_path, NEWER + b"\n" + LINE)).open(RING.seal(b"secret", ROW), ROW).reveal() == b"secret"


@pytest.mark.parametrize(
    "content",
    [
        b"k1",
        b"k1:",
        b"K1:" + base64.b64encode(b"o" * 32),
        b":" + base64.b64encode(b"o" * 32),
        b"k1:" + base64.b64encode(b"o" * 31),
        b"k1:" + base64.b64encode(b"o" * 33),
        b"k1:" + base64.urlsafe_b64encode(b"\xff" * 32),
        b"k" * 17 + b":" + base64.b64encode(b"o" * 32),
        LINE + b"\n" + LINE,
        LINE + b"\n# a note",
        LINE + b"x",
        b"\xff\xfe",
    ],
)
def test_a_ring_that_is_malformed_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretFileError, match=r"line \d+ is no key"):
        load_key_ring(ring_file(tmp_path, content))


def test_a_ring_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="holds no key"):
        load_key_ring(ring_file(tmp_path, b"\n \n"))


def test_a_ring_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="may be used by others"):
        load_key_ring(ring_file(tmp_path, LINE, 0o640))


def test_a_refused_ring_does_not_say_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError) as caught:
        load_key_ring(ring_file(tmp_path, b"k1:hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_new_ring_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert new_key_ring(tmp_path / "ring")
    finally:
        os.umask(before)
    assert [(file.name, file.stat().st_mode & 0o777) for file in tmp_path.iterdir()] == [("ring", 0o600)]


def test_a_new_ring_can_be_read(tmp_path: Path) -> None:
    new_key_ring(tmp_path / "ring")
    assert load_key_ring(tmp_path / "ring").current == "k1"


def test_each_new_ring_has_a_key_of_its_own(tmp_path: Path) -> None:
    new_key_ring(tmp_path / "one")
    new_key_ring(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


def test_a_ring_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = ring_file(tmp_path, LINE)
    assert not new_key_ring(path)
    assert path.read_bytes() == LINE


def test_a_ring_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ring_file(tmp_path, LINE)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert not new_key_ring(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("ring", LINE)]


def test_a_ring_goes_into_no_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        new_key_ring(tmp_path / "absent" / "ring")

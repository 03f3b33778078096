from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import SecretFileError
from gateway.errors import StoreUnavailable
from gateway.store.sealing import BrokenSealError, KeyRing, KeyRingFile, RingEditor, key_of, load_key_ring, new_key_ring

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


def test_a_seal_names_its_key() -> None:
    assert (key_of(RING.seal(b"secret", ROW)), key_of(b""), key_of(b"1:\xff:")) == ("k1", "", "\ufffd")


# The ring as its file has it now.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def follower(tmp_path: Path, clock: Clock) -> KeyRingFile:
    return KeyRingFile(ring_file(tmp_path, LINE), clock)


def replaced(folder: Path, content: bytes) -> None:
    draft = folder / "draft"
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.replace(folder / "ring")


async def test_what_it_seals_it_opens(follower: KeyRingFile) -> None:
    assert (await follower.open(await follower.seal(b"secret", ROW), ROW)).reveal() == b"secret"


async def test_something_is_sealed_under_the_key_that_is_the_first_now(follower: KeyRingFile, tmp_path: Path) -> None:
    replaced(tmp_path, NEWER + b"\n" + LINE)
    assert key_of(await follower.seal(b"secret", ROW)) == "k2"


async def test_what_a_newer_key_sealed_is_opened_at_once(follower: KeyRingFile, tmp_path: Path) -> None:
    for number in range(3):
        key = AESGCM(bytes([number]) * 32)
        replaced(tmp_path, f"n{number}:".encode() + base64.b64encode(bytes([number]) * 32) + b"\n" + LINE)
        assert (await follower.open(KeyRing(f"n{number}", {f"n{number}": key}).seal(b"secret", ROW), ROW)).reveal() == b"secret"


async def test_seals_of_unknown_keys_do_not_have_the_file_read_each_time(
    follower: KeyRingFile, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []

    def load(_: Path) -> KeyRing:
        read.append(clock.now)
        return RING

    monkeypatch.setattr("gateway.store.sealing.load_key_ring", load)
    for clock.now in (0.1, 0.9, 1.0, 1.5, 1.9, 2.0):
        with pytest.raises(BrokenSealError):
            await follower.open(KeyRing("k9", {"k9": NEW}).seal(b"secret", ROW), ROW)
    assert read == [1.0, 2.0]


async def test_what_known_keys_sealed_needs_no_look_at_the_file(follower: KeyRingFile, tmp_path: Path) -> None:
    (tmp_path / "ring").unlink()
    assert (await follower.open(RING.seal(b"secret", ROW), ROW)).reveal() == b"secret"


@pytest.mark.parametrize("content", [None, b"nonsense"])
async def test_a_file_that_cannot_be_read_leaves_the_old_ring_for_opening_and_seals_nothing(
    follower: KeyRingFile, tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        (tmp_path / "ring").unlink()
    else:
        replaced(tmp_path, content)
    with pytest.raises(BrokenSealError):
        await follower.open(KeyRing("k2", {"k2": NEW}).seal(b"secret", ROW), ROW)
    assert (await follower.open(RING.seal(b"secret", ROW), ROW)).reveal() == b"secret"
    with pytest.raises(StoreUnavailable, match="key_ring_file"):
        await follower.seal(b"secret", ROW)


async def test_a_reload_that_fails_says_so_and_keeps_the_old_ring(follower: KeyRingFile, tmp_path: Path) -> None:
    replaced(tmp_path, b"nonsense")
    with pytest.raises(SecretFileError):
        await follower.refresh()
    assert (await follower.open(RING.seal(b"secret", ROW), ROW)).reveal() == b"secret"


def test_without_a_file_there_is_nothing_to_follow(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError):
        KeyRingFile(tmp_path / "ring")


# Changing the file.


def ids(path: Path) -> list[str]:
    return list(load_key_ring(path).keys)


def test_a_staged_key_opens_and_does_not_seal(tmp_path: Path) -> None:
    path = ring_file(tmp_path, LINE)
    with RingEditor(path) as editor:
        assert (editor.staged(), editor.stage(), editor.staged(), editor.ring.current) == (None, "k2", "k2", "k1")
    assert ids(path) == ["k1", "k2"]


def test_the_newest_staged_key_is_the_one_to_use(tmp_path: Path) -> None:
    path = ring_file(tmp_path, NEWER + b"\n" + LINE)
    with RingEditor(path) as editor:
        assert (editor.staged(), editor.stage(), editor.stage(), editor.staged()) == (None, "k3", "k4", "k4")
        editor.promote("k4")
        assert (ids(path), editor.staged()) == (["k4", "k2", "k1", "k3"], None)


def test_a_key_of_another_making_counts_as_old(tmp_path: Path) -> None:
    path = ring_file(tmp_path, LINE + b"\nzebra:" + base64.b64encode(b"z" * 32))
    with RingEditor(path) as editor:
        assert (editor.staged(), editor.stage()) == (None, "k2")


def test_keys_are_taken_out_but_never_the_first(tmp_path: Path) -> None:
    path = ring_file(tmp_path, NEWER + b"\n" + LINE)
    with RingEditor(path) as editor:
        before = editor.drop(["k1", "k2"])
        assert ids(path) == ["k2"]
        editor.restore(before)
    assert ids(path) == ["k2", "k1"]


@pytest.mark.parametrize("owner", [0, 54321])
def test_a_changed_ring_keeps_its_owner_and_is_theirs_alone(tmp_path: Path, owner: int) -> None:
    path = ring_file(tmp_path, LINE)
    if os.geteuid() == 0:
        os.chown(path, owner, owner)
    before = path.stat()
    with RingEditor(path) as editor:
        editor.stage()
    after = path.stat()
    assert (after.st_uid, after.st_mode & 0o777, after.st_ino != before.st_ino) == (before.st_uid, 0o600, True)
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_two_do_not_change_it_at_once(tmp_path: Path) -> None:
    path = ring_file(tmp_path, LINE)
    with RingEditor(path), pytest.raises(BlockingIOError), RingEditor(path):
        pass
    with RingEditor(path) as editor:
        editor.stage()


def test_a_ring_that_is_malformed_is_not_changed(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError), RingEditor(ring_file(tmp_path, b"nonsense")):
        pass


def test_a_change_that_fails_leaves_the_ring_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ring_file(tmp_path, LINE)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with RingEditor(path) as editor, pytest.raises(OSError, match="No space"):
        editor.stage()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("ring", LINE)]


KEY_LINES = st.builds(
    lambda name, key: name + b":" + base64.b64encode(key), st.from_regex(rb"k[0-9]{1,3}", fullmatch=True), st.binary(min_size=31, max_size=33)
)


@given(st.binary(max_size=200) | st.lists(KEY_LINES | st.binary(max_size=8), max_size=4).map(b"\n".join))
def test_whatever_a_ring_file_holds_it_is_a_ring_that_works_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = ring_file(tmp_path_factory.mktemp("ring"), content)
    try:
        ring = load_key_ring(path)
    except SecretFileError:
        return
    assert ring.open(ring.seal(b"secret", ROW), ROW).reveal() == b"secret"

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config.secrets import SecretFileError, read_secret, write_new_secret

OTHER_UID = 54321


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(b"\x00hunter2\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_for_its_owner_alone_is_read(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert read_secret(key_file).reveal() == b"\x00hunter2\n"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610, 0o601])
def test_a_file_that_others_may_use_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(SecretFileError, match=f"mode {mode:04o}"):
        read_secret(key_file)


def test_a_file_that_somebody_else_could_change_is_refused(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = key_file.stat().st_uid
    if owner == 0:
        owner = OTHER_UID
        os.chown(key_file, owner, owner)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SecretFileError, match=f"belongs to uid {owner}"):
        read_secret(key_file)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match=r"absent cannot be read: No such file"):
        read_secret(tmp_path / "absent")


def test_an_empty_file_is_refused(key_file: Path) -> None:
    key_file.write_bytes(b"")
    with pytest.raises(SecretFileError, match="is empty"):
        read_secret(key_file)


def test_a_file_of_64_kib_is_read(key_file: Path) -> None:
    key_file.write_bytes(b"x" * 65536)
    assert len(read_secret(key_file)) == 65536


def test_a_file_that_is_larger_is_refused(key_file: Path) -> None:
    key_file.write_bytes(b"x" * 65537)
    with pytest.raises(SecretFileError, match="larger than 65536"):
        read_secret(key_file)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretFileError, match="not a regular file"):
        read_secret(tmp_path / "pipe")


def test_a_device_is_refused() -> None:
    with pytest.raises(SecretFileError, match="not a regular file"):
        read_secret(Path("/dev/null"))


def test_a_refused_file_does_not_say_what_it_holds(key_file: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(SecretFileError) as caught:
        read_secret(key_file)
    assert "hunter2" not in str(caught.value)


def test_a_folder_is_refused_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="not a regular file"):
        read_secret(tmp_path)


def test_a_new_secret_is_its_owners_alone(tmp_path: Path) -> None:
    assert write_new_secret(tmp_path / "new", b"hunter2")
    assert ((tmp_path / "new").stat().st_mode & 0o777, read_secret(tmp_path / "new").reveal()) == (0o600, b"hunter2")


def test_a_secret_that_is_there_is_kept(key_file: Path) -> None:
    assert not write_new_secret(key_file, b"other")
    assert read_secret(key_file).reveal() == b"\x00hunter2\n"


def test_whoever_comes_second_at_the_same_moment_writes_nothing(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert not write_new_secret(key_file, b"other")
    assert [path.name for path in key_file.parent.iterdir()] == ["key"]

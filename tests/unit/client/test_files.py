from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.client import files
from gateway.client.errors import GatewayError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    files.create(file, b"content")
    return file


def test_what_was_made_can_be_read(file: Path) -> None:
    assert files.read(file) == b"content"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.create(tmp_path / "new", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_nobody_else_can_read_it_at_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    really = os.fdopen

    def look(handle: int, mode: str) -> object:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return really(handle, mode)

    monkeypatch.setattr(os, "fdopen", look)
    before = os.umask(0)
    try:
        files.create(tmp_path / "new", b"x")
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize("there", ["a file", "a link", "a dangling link"])
def test_nothing_is_written_over(tmp_path: Path, file: Path, there: str) -> None:
    taken = tmp_path / "taken"
    if there == "a file":
        taken.write_bytes(b"old")
    else:
        taken.symlink_to(file if there == "a link" else tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        files.create(taken, b"new")
    assert (files.read(file), (tmp_path / "nowhere").exists()) == (b"content", False)


def _link(file: Path, other: Path) -> None:
    file.rename(other)
    file.symlink_to(other)


def _second_name(file: Path, other: Path) -> None:
    other.hardlink_to(file)


def _pipe(file: Path, _other: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _folder(file: Path, _other: Path) -> None:
    file.unlink()
    file.mkdir(0o700)


def _foreign(file: Path, _other: Path) -> None:
    os.chown(file, 12345, -1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_link, "is a symbolic link"),
        (_second_name, "has a second name (a hard link)"),
        (_pipe, "is no file"),
        (_folder, "is no file"),
        pytest.param(_foreign, "belongs to somebody else", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")),
    ],
)
def test_what_somebody_else_may_have_put_there_is_not_read(file: Path, tmp_path: Path, change: object, what: str) -> None:
    change(file, tmp_path / "other")  # type: ignore[operator]
    with pytest.raises(GatewayError) as caught:
        files.read(file)
    assert (str(caught.value), caught.value.reason) == (f"{file} {what}", "bad_file")
    assert caught.value.hint == "Look who put it there, remove it, and sign in again: slurm-gateway login"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_what_others_may_read_or_write_is_not_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(GatewayError, match="may be read by others") as caught:
        files.read(file)
    assert caught.value.hint == f"chmod 600 {file}; then sign in again, for others may have it."


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "nowhere")


def test_a_full_disk_leaves_all_that_was_there_and_nothing_else(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    really = os.fsync

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        really(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GatewayError) as caught:
        files.replace({file: b"new", tmp_path / "second": b"new"}, without=file)
    assert (str(caught.value), caught.value.hint) == (
        f"{file} cannot be written: No space left on device",
        "Set XDG_CONFIG_HOME to a folder of yours that you may write to, and that has room.",
    )
    assert (files.read(file), list(tmp_path.iterdir())) == (b"content", [file])


def test_what_is_replaced_is_replaced_in_order_and_after_the_removal(tmp_path: Path, file: Path) -> None:
    files.replace({tmp_path / "second": b"2", tmp_path / "third": b"3"}, without=file)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "second", tmp_path / "third"]


def test_a_folder_is_made_for_its_owner_alone_and_kept_so(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    files.own(folder)
    folder.chmod(0o755)
    files.own(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_somebody_else_is_none_of_ours(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(GatewayError, match="cannot be written: it belongs to somebody else"):
        files.own(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_told(file: Path) -> None:
    with pytest.raises(GatewayError, match="cannot be written: it is no folder"):
        files.own(file)


def test_two_who_change_the_same_do_it_one_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with files.locked(tmp_path / "lock", patience=5):
            inside.set()
            go_on.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(GatewayError, match="is locked") as caught, files.locked(tmp_path / "lock", patience=0.05):
        pass
    assert caught.value.hint == "Another sign-in is keeping its token: run this again when it has ended."
    go_on.set()
    with files.locked(tmp_path / "lock", patience=10):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_handle: int, _operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)
    with files.locked(tmp_path / "lock", patience=0):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GatewayError, match="cannot be written"), files.locked(tmp_path / "lock", patience=0):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_nothing_is_made_in_the_home_of_somebody_else(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(GatewayError, match=f"{tmp_path} belongs to somebody else"):
        files.own(tmp_path / ".config" / "slurm-gateway")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_behind_is_swept_up(tmp_path: Path) -> None:
    old, young, other = tmp_path / f".default.header.{'a' * 16}", tmp_path / f".default.header.{'b' * 16}", tmp_path / ".default.header.bak"
    for file in (old, young, other):
        files.create(file, b"token")
        os.utime(file, (0, 0) if file != young else None)
    files.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, other])

"""Notes that a terminal is told once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.cli.once import unsaid

NOTES = ["one", "two"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have standard error be a terminal, the first one."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr("os.ttyname", lambda _: "/dev/pts/1")
    monkeypatch.setattr("os.getsid", lambda _: 7)


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_told_a_note_once_and_the_next_terminal_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "told"
    assert unsaid(NOTES, file) == NOTES
    assert unsaid([*NOTES, "three"], file) == ["three"]
    assert unsaid([*NOTES, "three"], file) == []
    assert file.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr("os.getsid", lambda _: 8)
    assert unsaid(NOTES, file) == NOTES


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("there", [b"", b"\xff\xfe", b"/dev/pts/1 7"])
def test_whatever_is_in_the_file_nothing_is_kept_from_anybody(tmp_path: Path, there: bytes) -> None:
    (tmp_path / "told").write_bytes(there)
    assert unsaid(NOTES, tmp_path / "told") == NOTES


@pytest.mark.usefixtures("terminal")
def test_where_nothing_can_be_remembered_it_is_told_each_time(tmp_path: Path) -> None:
    assert [unsaid(NOTES, tmp_path / "none" / "told") for _ in range(2)] == [NOTES, NOTES]


def test_a_log_is_told_each_time(tmp_path: Path) -> None:
    assert [unsaid(NOTES, tmp_path / "told") for _ in range(2)] == [NOTES, NOTES]

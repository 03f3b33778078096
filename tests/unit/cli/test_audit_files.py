from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.audit_files import own_files, shown
from gateway.config import load
from gateway.errors import CommandError
from tests.web import fakes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"),
        ("\x1b[31mred\n", r"\x1b[31mred\n"),
        ("\u202egnp", r"\u202egnp"),
        ("a\\nb", r"a\\nb"),
        (7, "7"),
        ("\udcff", r"\udcff"),
        ("é", "é"),
    ],
)
def test_what_is_shown_moves_no_cursor(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.text())
def test_whatever_it_is_what_is_shown_is_printable(text: str) -> None:
    assert shown(text).isprintable()


def test_a_folder_that_is_not_there_holds_no_trail(tmp_path: Path) -> None:
    opened = own_files(load(fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": f"{tmp_path}/nowhere/a"}})), None)
    assert opened.files == []


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1"))
    (tmp_path / "audit.log.head").symlink_to(tmp_path / "audit.log.head")
    with pytest.raises(CommandError):
        own_files(config, None)

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.audit_files import own_files, shown
from gateway.config import load
from tests.unit.cli.conftest import Run, failure
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


def test_what_cannot_be_opened_is_said(run: Run, config: Path) -> None:
    head = config.parent / "audit.log.head"
    head.symlink_to(head)
    ran = run("--config", config, "audit", "show")
    hint = "Run this as the gateway's user or as root, and name files of a trail."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"{head}: Too many levels of symbolic links", hint))


def test_a_folder_that_cannot_be_looked_into_is_said(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    config = fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": f"{folder}/audit.log"}})
    ran = run("--config", config, "audit", "show")
    assert (ran.code, ran.out, ran.err) == (1, "", failure(f"{folder}: File name too long", "Run this as the gateway's user or as root."))


@pytest.mark.parametrize("words", [("audit", "key"), ("audit", "rotate"), ("users", "end", "alice")])
def test_a_key_that_is_none_is_not_to_be_made_anew(run: Run, config: Path, words: tuple[str, ...]) -> None:
    key = config.parent / "audit.key"
    fakes.private(key, b"nonsense")
    ran = run("--config", config, *words)
    hint = "Mend it, or restore it from a backup: 'keys init' leaves alone what is there."
    assert (ran.code, ran.err) == (3, failure(f"audit.key_file: {key} is no private key in PEM without a password", hint))

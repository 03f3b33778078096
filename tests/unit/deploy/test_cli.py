"""What people type: the options of `up`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.site import cli, preconditions, up
from deploy.site.layout import Layout
from deploy.site.record import Memory, Record, recall

NO_ORIGINS = [
    "http://127.0.0.1:8000/",
    "127.0.0.1:8000",
    "null",
    "*",
    "",
    'https://portal.example.org"]\nlevel = "debug',
    "file:///jobs.html",
    "https://PORTAL.example.org",
]


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return what `up` is given, in place of raising a site."""
    seen: list[list[str]] = []

    def up(_layout: object, _release: object, _port: object, _python: object, origins: list[str]) -> int:
        seen.append(origins)
        return 0

    monkeypatch.setattr(cli, "up", up)
    monkeypatch.setattr(preconditions, "check_root", lambda: None)
    return seen


def test_the_origins_of_pages_may_be_several(wanted: list[list[str]]) -> None:
    cli.main(["up", "--origin", "http://127.0.0.1:8000", "--origin", "https://portal.example.org"])
    cli.main(["up", "--origin", "http://[::1]:8000"])
    cli.main(["up"])
    assert wanted == [["http://127.0.0.1:8000", "https://portal.example.org"], ["http://[::1]:8000"], []]


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_is_refused_before_anything_is_done(wanted: list[list[str]], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["up", f"--origin={text}"])
    assert "is no origin" in capsys.readouterr().err
    assert wanted == []


@pytest.mark.skipif("os.geteuid() != 0", reason="a site's files are root's")
def test_origins_are_remembered_until_others_are_given(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    for given, kept in (
        (["http://127.0.0.1:8000"] * 2, ["http://127.0.0.1:8000"]),
        ([], ["http://127.0.0.1:8000"]),
        (["https://a.org"], ["https://a.org"]),
        (["none"], []),
    ):
        up._settle_origins(recall(layout), given)
        assert recall(layout).record.origins == kept


@pytest.mark.skipif("os.geteuid() != 0", reason="a site's files are root's")
def test_a_site_that_was_raised_before_there_were_origins_has_none(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    with Memory(layout, Record()).change():
        pass
    old = json.loads(layout.record.read_text())
    del old["origins"]
    layout.record.write_text(json.dumps(old))
    assert recall(layout).record.origins == []

"""What a site remembers is whole, private, and changed by one command at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.site.layout import Layout
from deploy.site.processes import Process
from deploy.site.record import Memory, Record, Started, alone, recall
from deploy.site.trouble import Trouble

pytestmark = pytest.mark.skipif("os.geteuid() != 0", reason="a site's files are root's")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def test_a_new_site_remembers_nothing(layout: Layout) -> None:
    assert recall(layout).record == Record()


def test_what_was_changed_is_recalled(layout: Layout) -> None:
    with Memory(layout, Record()).change() as record:
        record.port, record.holder, record.totp["alice"] = 9443, Process(7, 70), "SECRET"
        record.services["slapd"] = Started(process=Process(8, 80), fingerprint="f")
    assert recall(layout).record == record


def test_only_root_reads_it(layout: Layout) -> None:
    with Memory(layout, Record()).change():
        pass
    assert stat.S_IMODE(layout.record.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"holder": 1, "services": {}}', '{"holder": null, "services": {}, "stray": 1}'])
def test_a_damaged_one_says_what_to_do(layout: Layout, text: str) -> None:
    layout.record.write_text(text)
    with pytest.raises(Trouble, match="cannot be read") as caught:
        recall(layout)
    assert f"rm -rf {layout.root}" in caught.value.hint


def test_two_commands_do_not_change_a_site_at_once(layout: Layout) -> None:
    with alone(layout), pytest.raises(Trouble, match="Another deploy/demo"), alone(layout):
        pass
    with alone(layout):
        pass

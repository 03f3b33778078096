"""The commands in a real terminal of 80 columns, and what its screen shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.people import Person, signed_in
from tests.system.support import Site
from tests.system.tmux import Terminal, terminal


@pytest.fixture
def alice(site: Site, tmp_path: Path) -> Person:
    return signed_in(site, "alice", tmp_path)


@pytest.fixture
def screen(alice: Person) -> Iterator[Terminal]:
    with terminal(alice) as opened:
        yield opened


def test_no_help_is_wider_than_the_terminal(screen: Terminal) -> None:
    code, shown = screen.run("jobs", "--help")
    assert (code, max(map(len, shown.splitlines())) <= 80) == (0, True)
    assert shown.startswith("usage: slurm-gateway jobs")

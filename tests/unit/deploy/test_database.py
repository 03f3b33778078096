"""The database's making: once, and without anything that another site could be in the way of."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from deploy.site import database
from deploy.site.layout import Layout
from deploy.site.namespace import Namespace


@dataclass
class Space:
    """Keeps what is run in it."""

    ran: list[list[str]] = field(default_factory=list)

    def run_logged(self, argv: list[str], user: str, log: Path) -> None:
        assert (user, log.name) == ("mysql", "mariadb.log")
        self.ran.append(argv)


def test_it_is_made_once_and_keeps_its_temporary_tables_where_no_other_site_has_any(tmp_path: Path) -> None:
    layout, space = Layout.at(tmp_path), Space()
    for _ in range(2):
        database.prepare(layout, {"mysql": os.getuid()}, cast("Namespace", space))
    [made] = space.ran
    assert {f"--datadir={layout.mariadb_data}", f"--tmpdir={layout.mariadb_data}"} <= set(made)


def test_one_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    layout, space = Layout.at(tmp_path), Space()
    layout.mariadb_data.mkdir(parents=True)
    (layout.mariadb_data / "half").touch()
    database.prepare(layout, {"mysql": os.getuid()}, cast("Namespace", space))
    assert (len(space.ran), (layout.mariadb_data / "half").exists()) == (1, False)

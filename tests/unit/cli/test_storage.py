from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.storage import on_database
from gateway.config import load
from gateway.errors import CommandError
from gateway.store.engine import Database
from tests.postgres import Cluster
from tests.unit.cli.conftest import Run
from tests.web import fakes


async def count(database: Database) -> int:
    return int(await database.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM authenticators").scalar_one()))


async def wrong(database: Database) -> None:
    await database.read(lambda connection: connection.exec_driver_sql("SELECT absent"))


def test_the_store_is_made_if_need_be_and_the_answer_handed_on(config: Path) -> None:
    assert on_database(load(config), count) == 0


def test_a_server_serves_as_well_as_a_file(tmp_path: Path, cluster: Cluster) -> None:
    cluster.create("commands")
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"url": cluster.url("commands")}}))
    assert (on_database(config, count), on_database(config, count, limit=60.0)) == (0, 0)
    cluster.drop("commands")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://gateway@127.0.0.1:1/gateway", "Connection refused"),
        ("sqlite:////dev/null/gateway.db", "/dev/null/gateway.db: Not a directory"),
    ],
)
def test_a_store_that_cannot_be_used_ends_the_command_with_its_reason(run: Run, tmp_path: Path, url: str, said: str) -> None:
    ran = run("--config", fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"url": url}}), "users", "list")
    what, hint = ran.err.splitlines()
    assert (ran.code, what.startswith("slurm-gateway: store.url: "), said in what) == (1, True, True)
    assert hint == "hint: Run this as the gateway's user or as root; 'slurm-gateway check' says what is wrong."


def test_what_the_database_says_against_a_statement_is_told(config: Path) -> None:
    with pytest.raises(CommandError, match="no such column: absent"):
        on_database(load(config), wrong)

"""Transactions a second on the store, with 1, 8 and 32 at once: ``.venv/bin/python -m tests.bench.store_writes [--folder DIR]``.

Each inserts one row and returns when it is on the disk. SQLite's file is put into DIR; PostgreSQL is a server of its own that flushes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path

import uvloop
from sqlalchemy import Connection, insert

from gateway.config import Store
from gateway.store.engine import Database, open_database
from gateway.store.migrate import migrate
from gateway.store.tables import attempts
from tests.postgres import Cluster

SECONDS = 2.0
INSERT = insert(attempts)


def _insert(row: dict[str, object], connection: Connection) -> None:
    connection.execute(INSERT, row)


async def write_for_a_while(database: Database, name: str, until: float, waits: list[float]) -> None:
    """Write one row after the other and note how long each took."""
    while (start := time.perf_counter()) < until:
        row = {"attempt": f"{name}-{len(waits)}", "scope": name, "key": "k", "at": 1.0}
        await database.write(partial(_insert, row))
        waits.append(time.perf_counter() - start)


async def measure(store: Store, at_once: int) -> str:
    """Return one line of the table."""
    database = open_database(store)
    await database.ping()
    waits: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(write_for_a_while(database, f"{at_once}-{number}", start + SECONDS, waits) for number in range(at_once)))
    took = time.perf_counter() - start
    await database.close()
    waits.sort()
    return (
        f"{at_once:>4} at once  {len(waits) / took:>7.0f} /s   median {waits[len(waits) // 2] * 1000:>6.1f} ms   longest {waits[-1] * 1000:>6.1f} ms"
    )


def table(title: str, store: Store) -> None:
    """Print what was measured of one store."""
    migrate(store)
    print(title)
    for at_once in (1, 8, 32):
        print(uvloop.run(measure(store, at_once)))


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where SQLite's file is put")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        table("SQLite", Store.model_validate({"url": f"sqlite:///{folder}/gateway.db", "key_ring_file": "/nowhere/ring"}))
    with Cluster(durable=True) as cluster:
        cluster.create("gateway")
        table("PostgreSQL", cluster.store("gateway"))


if __name__ == "__main__":
    main()

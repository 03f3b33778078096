"""What every unit test may use: a bounded search for counter-examples, and a store of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.store.engine import Database, open_database
from gateway.store.migrate import migrate

# The same examples on every machine and in every run: whoever breaks a rule sees it, and nobody else does.
settings.register_profile("unit", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "gateway.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def store_path(_empty_store: Path, tmp_path: Path) -> Path:
    """The file of a store in its newest shape, with nothing in it."""
    return Path(shutil.copy2(_empty_store, tmp_path / "gateway.db"))


@pytest.fixture
async def open_store() -> AsyncIterator[Callable[[Path], Database]]:
    """Opens stores, good and bad, that are closed at the end of the test; a statement waits 0.2 s for another writer. Goes without ``database``."""
    before = set(threading.enumerate())
    opened: list[Database] = []

    def open_at(path: Path) -> Database:
        opened.append(open_database(f"sqlite:///{path}", 0.2))
        return opened[-1]

    yield open_at
    for database in opened:
        await database.close()
    # A connection that could not be opened tells the loop so a moment later, from a thread of its own.
    for thread in set(threading.enumerate()) - before:
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5.0)


@pytest.fixture
async def database(store_path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{store_path}", 5.0)
    yield database
    await database.close()

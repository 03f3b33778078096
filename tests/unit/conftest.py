"""What every unit test may use: a bounded search for counter-examples, and a store of its own, in SQLite and in PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.config import Store
from gateway.store.engine import Database, open_database
from gateway.store.migrate import migrate
from gateway.store.tables import metadata
from tests.postgres import Cluster

# The same examples on every machine and in every run: whoever breaks a rule sees it, and nobody else does.
settings.register_profile("unit", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("unit")

BACKENDS = ("sqlite", "postgresql")


def sqlite_store(path: Path, busy_timeout: str = "5s") -> Store:
    """Return the section of a configuration that names a file."""
    return Store.model_validate({"url": f"sqlite:///{path}", "key_ring_file": "/nowhere/ring", "busy_timeout": busy_timeout})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a store over both databases, but what looks into the file over SQLite alone."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", BACKENDS[:1] if "store_path" in metafunc.fixturenames else BACKENDS)


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "gateway.db"
    migrate(sqlite_store(path))
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server, which tests share; who stops it starts one of their own."""
    with Cluster() as made:
        yield made


@pytest.fixture(scope="session")
def _postgresql_store(cluster: Cluster) -> Store:
    cluster.create("gateway")
    migrate(cluster.store("gateway"))
    return cluster.store("gateway")


@pytest.fixture
def store_path(_empty_store: Path, tmp_path: Path) -> Path:
    """The file of a store in its newest shape, with nothing in it. A test that asks for it runs over SQLite alone."""
    return Path(shutil.copy2(_empty_store, tmp_path / "gateway.db"))


@pytest.fixture
def store_settings(backend: str, request: pytest.FixtureRequest) -> Store:
    """The section of a configuration that names a store in its newest shape, with nothing in it."""
    if backend == "sqlite":
        return sqlite_store(request.getfixturevalue("store_path"))
    store: Store = request.getfixturevalue("_postgresql_store")
    with request.getfixturevalue("cluster").connect("gateway") as connection:
        for table in metadata.sorted_tables:
            connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - names of ours
    return store


@pytest.fixture
async def open_store() -> AsyncIterator[Callable[[Store], Database]]:
    """Opens stores, good and bad, that are closed at the end of the test. Goes without ``database``."""
    opened: list[Database] = []

    def open_at(store: Store) -> Database:
        opened.append(open_database(store))
        return opened[-1]

    yield open_at
    for database in opened:
        await database.close()


@pytest.fixture
async def database(store_settings: Store) -> AsyncIterator[Database]:
    database = open_database(store_settings)
    yield database
    await database.close()

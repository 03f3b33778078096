from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.postgresql import is_guarded, parameters
from tests.postgres import USER, Cluster

Open = Callable[[Store], Database]


def store(url: str, **more: Any) -> Store:
    return Store.model_validate({"url": url, "key_ring_file": "/nowhere/ring", "busy_timeout": "3s", **more})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://gateway@db.example.org/store", ("db.example.org", 5432, "gateway", "store")),
        ("postgresql://gateway@db.example.org:6432/store", ("db.example.org", 6432, "gateway", "store")),
        ("postgresql://gateway@[2001:db8::7]:6432/store", ("2001:db8::7", 6432, "gateway", "store")),
        ("postgresql://gateway@/store?host=/run/postgresql", ("/run/postgresql", 5432, "gateway", "store")),
        ("postgresql://gateway@/store?host=/run/postgresql&port=6432", ("/run/postgresql", 6432, "gateway", "store")),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, expected: tuple[str, int, str, str]) -> None:
    made = parameters(store(url), 3.0)
    assert (made["host"], made["port"], made["user"], made["dbname"]) == expected


@pytest.mark.parametrize(
    ("host", "guarded"),
    [
        ("/run/postgresql", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("localhost.example.org", True),
        ("127.0.0.1.example.org", True),
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("db", True),
    ],
)
def test_only_on_this_machine_does_a_server_not_have_to_prove_itself(host: str, guarded: bool) -> None:
    assert is_guarded(host) is guarded


@pytest.mark.parametrize(
    ("url", "ca_file", "expected"),
    [
        ("postgresql://g@db.example.org/s", None, ("verify-full", "system")),
        ("postgresql://g@db.example.org/s", "/etc/ca.pem", ("verify-full", "/etc/ca.pem")),
        ("postgresql://g@127.0.0.1/s", "/etc/ca.pem", ("verify-full", "/etc/ca.pem")),
        ("postgresql://g@127.0.0.1/s", None, ("prefer", None)),
        ("postgresql://g@/s?host=/run/postgresql", "/etc/ca.pem", ("prefer", None)),
    ],
)
def test_a_certificate_must_fit_where_one_is_needed_or_a_ca_is_named(url: str, ca_file: str | None, expected: tuple[str, str | None]) -> None:
    made = parameters(store(url, ca_file=ca_file) if ca_file else store(url), 3.0)
    assert (made["sslmode"], made.get("sslrootcert")) == expected


def test_libpq_understands_every_parameter() -> None:
    psycopg.conninfo.make_conninfo(**parameters(store("postgresql://gateway@db.example.org/store"), 3.0))


async def test_the_server_knows_how_long_it_may_take(cluster: Cluster, open_store: Open) -> None:
    database = open_store(cluster.store("postgres", busy_timeout="2s"))
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    shown = await database.read(lambda connection: [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names])
    assert shown == ["1800ms", "1800ms", "2s"]


async def test_a_transaction_reads_what_was_committed_before_each_statement(cluster: Cluster, open_store: Open) -> None:
    database = open_store(cluster.store("postgres"))
    assert await database.write(lambda connection: connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()) == "read committed"


async def test_a_server_that_can_only_be_read_from_is_not_used(cluster: Cluster, open_store: Open) -> None:
    cluster.create("frozen")
    with cluster.connect("postgres", "postgres") as connection:
        connection.execute("ALTER DATABASE frozen SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="OperationalError"):
        await open_store(cluster.store("frozen")).ping()


@pytest.fixture
def _asks_for_passwords(cluster: Cluster) -> Iterator[None]:
    rules = cluster.data / "pg_hba.conf"
    before = rules.read_text()

    def reload() -> None:
        with cluster.connect("postgres", "postgres") as connection:
            connection.execute("SELECT pg_reload_conf()")

    rules.write_text(f"local all {USER} scram-sha-256\n{before}")
    reload()
    yield
    rules.write_text(before)
    reload()


def password_file(folder: Path, content: bytes) -> dict[str, str]:
    path = folder / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    return {"password_file": str(path)}


@pytest.mark.usefixtures("_asks_for_passwords")
@pytest.mark.parametrize("content", [b"of the tests", b"of the tests\n", b"of the tests\r\n"])
async def test_the_password_is_the_one_in_its_file(cluster: Cluster, open_store: Open, tmp_path: Path, content: bytes) -> None:
    database = open_store(cluster.store("postgres", **password_file(tmp_path, content)))
    assert await database.read(lambda connection: connection.exec_driver_sql("SELECT current_user").scalar_one()) == USER


@pytest.mark.usefixtures("_asks_for_passwords")
@pytest.mark.parametrize("content", [None, b"hunter2", b" of the tests", b"of the tests\n\n", b"\n", b"hunter2\xff", b"hunter2\0"])
async def test_another_password_is_refused_and_not_told(
    cluster: Cluster, open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    (tmp_path / "passwords").write_text("*:*:*:*:of the tests\n")
    (tmp_path / "passwords").chmod(0o600)
    database = open_store(cluster.store("postgres", **({} if content is None else password_file(tmp_path, content))))
    with pytest.raises(StoreUnavailable) as caught:
        await database.ping()
    assert not any(word in f"{caught.value!r}{caught.value.__cause__!r}{database!r}" for word in ("hunter2", "of the tests"))


@pytest.mark.usefixtures("_asks_for_passwords")
async def test_a_new_password_is_good_from_the_next_connection(cluster: Cluster, open_store: Open, tmp_path: Path) -> None:
    store = cluster.store("postgres", **password_file(tmp_path, b"old"))
    database = open_store(store)
    with pytest.raises(StoreUnavailable):
        await database.ping()
    password_file(tmp_path, b"of the tests\n")
    assert await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1


async def test_a_password_that_others_may_read_is_not_used(cluster: Cluster, open_store: Open, tmp_path: Path) -> None:
    store = cluster.store("postgres", **password_file(tmp_path, b"of the tests"))
    (tmp_path / "password").chmod(0o644)
    with pytest.raises(StoreUnavailable, match="SecretFileError"):
        await open_store(store).ping()

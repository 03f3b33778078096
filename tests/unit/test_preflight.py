from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import aiohttp.http_parser
import pytest

from gateway import preflight
from gateway.config import load
from tests.postgres import Cluster
from tests.web import fakes


def problems(folder: Path, changes: dict[str, dict[str, object]] | None = None) -> tuple[str, ...]:
    return preflight.problems(load(fakes.site(folder, "http://127.0.0.1:1", changes)))


def test_a_site_that_is_complete_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path) == ()


def test_what_is_looked_at_stays_as_it_was(tmp_path: Path) -> None:
    problems(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.key", "gateway.toml", "jwt.key", "ring"]


Break = Callable[[Path], object]
BROKEN: dict[str, tuple[str, Break]] = {
    "no JWT key": ("clusters.main.jwt_key_file", lambda folder: (folder / "jwt.key").unlink()),
    "a JWT key that is too short": ("clusters.main.jwt_key_file", lambda folder: fakes.private(folder / "jwt.key", b"short")),
    "a JWT key that others may read": ("clusters.main.jwt_key_file", lambda folder: (folder / "jwt.key").chmod(0o640)),
    "no key ring": ("store.key_ring_file", lambda folder: (folder / "ring").unlink()),
    "a key ring that is none": ("store.key_ring_file", lambda folder: fakes.private(folder / "ring", b"nonsense")),
    "an empty key ring": ("store.key_ring_file", lambda folder: fakes.private(folder / "ring", b"")),
    "a folder for a store": ("store.url", lambda folder: (folder / "gateway.db").mkdir()),
    "a store that is none": ("store.url", lambda folder: (folder / "gateway.db").write_bytes(b"no database, but long enough for one" * 50)),
    "no key for the trail": ("audit.key_file", lambda folder: (folder / "audit.key").unlink()),
    "a key for the trail that is none": ("audit.key_file", lambda folder: fakes.private(folder / "audit.key", b"nonsense")),
    "a key for the trail that others may read": ("audit.key_file", lambda folder: (folder / "audit.key").chmod(0o640)),
    "a folder for a trail": ("audit.file", lambda folder: (folder / "audit.log").mkdir()),
}


def test_a_radius_secret_that_can_be_found_by_trying_is_named(tmp_path: Path) -> None:
    fakes.private(tmp_path / "radius", b"short")
    (found,) = problems(tmp_path, {"radius": {"servers": ["127.0.0.1:1812"], "secret_file": f"{tmp_path}/radius"}})
    assert found.startswith("radius.secret_file: ")


@pytest.mark.parametrize("case", BROKEN)
def test_each_thing_that_is_wrong_is_named_by_its_setting(tmp_path: Path, case: str) -> None:
    key, break_it = BROKEN[case]
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1"))
    break_it(tmp_path)
    found = preflight.problems(config)
    assert {problem.partition(": ")[0] for problem in found} == {key}


SETTINGS: dict[str, dict[str, object]] = {
    "server.listen": {"listen": "unix:/nowhere/s"},
    "server.admin_listen": {"admin_listen": "unix:/nowhere/s"},
    "store.url": {"url": "sqlite:////nowhere/gateway.db"},
    "audit.file": {"file": "/nowhere/audit"},
    "directory.bind_password_file": {"bind_dn": "cn=x", "bind_password_file": "/nowhere/password"},
    "directory.ca_file": {"ca_file": "/nowhere/ca.pem"},
    "clusters.main.jwt_private_key_file": {"jwt_key_file": None, "jwt_private_key_file": "/nowhere/key.pem", "jwt_kid": "k"},
}


@pytest.mark.parametrize("key", SETTINGS)
def test_each_path_that_leads_nowhere_is_named_by_its_setting(tmp_path: Path, key: str) -> None:
    (problem,) = problems(tmp_path, {key.rpartition(".")[0]: SETTINGS[key]})
    assert re.match(rf"{re.escape(key)}: .*/nowhere", problem)


def test_a_key_that_is_missing_comes_with_what_makes_it(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1"))
    (tmp_path / "audit.key").unlink()
    (problem,) = preflight.problems(config)
    assert problem.endswith("; 'slurm-gateway keys init' makes one")


def test_a_key_that_is_damaged_comes_without_it_for_that_would_leave_it_alone(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1"))
    fakes.private(tmp_path / "audit.key", b"nonsense")
    (problem,) = preflight.problems(config)
    assert problem == f"audit.key_file: {tmp_path}/audit.key is no private key in PEM without a password"


def test_a_trail_that_is_not_chained_needs_no_key(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1", {"audit": {"file": None}}))
    (tmp_path / "audit.key").unlink()
    assert preflight.problems(config) == ()


def of_server(folder: Path, url: str, **more: object) -> tuple[str, ...]:
    return problems(folder, {"store": {"url": url, **more}})


def test_a_server_that_can_be_used_is_no_problem(tmp_path: Path, cluster: Cluster) -> None:
    cluster.create("looked_at")
    assert of_server(tmp_path, cluster.url("looked_at")) == ()
    cluster.drop("looked_at")


def test_a_server_that_cannot_be_reached_is_named_by_its_setting(tmp_path: Path) -> None:
    (problem,) = of_server(tmp_path, "postgresql://gateway@127.0.0.1:1/gateway")
    assert re.match(r"store\.url: the database cannot be used: .*Connection refused", problem)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_password_that_cannot_be_read_is_named_once_and_by_its_own_setting(tmp_path: Path, cluster: Cluster, content: bytes | None) -> None:
    if content is not None:
        fakes.private(tmp_path / "password", content)
    (problem,) = of_server(tmp_path, cluster.url("postgres"), password_file=f"{tmp_path}/password")
    assert problem.startswith(f"store.password_file: {tmp_path}/password")


def test_a_ca_file_of_the_stores_is_named_once(tmp_path: Path) -> None:
    (problem,) = of_server(tmp_path, "postgresql://gateway@127.0.0.1:1/gateway", ca_file="/nowhere/ca.pem")
    assert problem.startswith("store.ca_file: /nowhere/ca.pem")


def test_a_ca_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing\n")
    (problem,) = problems(tmp_path, {"directory": {"ca_file": f"{tmp_path}/ca.pem"}})
    assert problem == f"directory.ca_file: {tmp_path}/ca.pem holds no certificate in PEM"


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1", {"server": {"listen": "unix:/nowhere/s"}, "audit": {"file": "/nowhere/a"}}))
    (tmp_path / "jwt.key").unlink()
    (tmp_path / "ring").unlink()
    assert len(preflight.problems(config)) == 4


def test_aiohttp_without_its_c_parser_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.has_c_parser()
    monkeypatch.setattr(aiohttp.http_parser, "HttpRequestParser", aiohttp.http_parser.HttpRequestParserPy)
    (problem,) = problems(tmp_path)
    assert "AIOHTTP_NO_EXTENSIONS" in problem


def test_no_secret_is_in_a_problem(tmp_path: Path) -> None:
    fakes.site(tmp_path, "http://127.0.0.1:1")
    config = load(tmp_path / "gateway.toml")
    fakes.private(tmp_path / "jwt.key", b"hunter2")
    fakes.private(tmp_path / "ring", b"k1:hunter2")
    found = preflight.problems(config)
    assert (len(found), "hunter2" in " ".join(found)) == (2, False)

"""Keys on real Slurm: RS256 beside HS256, a wrong key, and a key replaced while the gateway runs. Each test has a gateway of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.support import Site, free_port, wait_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that this test started, in front of the site's slurmrestd."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    def ask(self, path: str, token: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        tree = json.load(response)
        connection.close()
        return response.status, tree


def as_toml(tree: dict[str, Any], title: str = "") -> str:
    plain = [f"{key} = {json.dumps(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    head = [f"[{title}]"] if title and plain else []
    tables = [as_toml(value, f"{title}.{key}".lstrip(".")) for key, value in tree.items() if isinstance(value, dict)]
    return "\n".join([*head, *plain, *tables]) + "\n"


@contextlib.contextmanager
def gateway_with(site: Site, folder: Path, **cluster: object) -> Iterator[Gateway]:
    """Start a gateway on the site's store, directory and slurmrestd, with other keys."""
    tree = tomllib.loads(Path(site.told["config"]).read_text())
    port = free_port()
    tree["server"] = {"listen": f"127.0.0.1:{port}"}
    tree["audit"] = {"file": str(folder / "audit.jsonl")}
    name = tree["slurm"]["default_cluster"]
    tree["clusters"] = {name: {"url": site.told["slurmrestd"], **cluster}}
    config = folder / "gateway.toml"
    config.write_text(as_toml(tree))
    process = subprocess.Popen([*site.told["command"], "--config", str(config), "serve"], stderr=subprocess.DEVNULL)
    gateway = Gateway(port=port, process=process, folder=folder)
    try:
        wait_for(lambda: _is_up(port), 20, "the gateway's start")
        yield gateway
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def _is_up(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def private_copy(source: str, folder: Path) -> Path:
    copy = folder / Path(source).name
    shutil.copyfile(source, copy)
    copy.chmod(0o400)
    return copy


def foreign_key(folder: Path) -> Path:
    key = folder / "foreign.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    return key


def test_rs256_is_believed_by_slurmctld_and_slurmdbd(site: Site, tmp_path: Path) -> None:
    rsa = site.told["jwks_key"]
    key = private_copy(rsa["private_key_file"], tmp_path)
    with gateway_with(site, tmp_path, jwt_private_key_file=str(key), jwt_kid=rsa["kid"]) as gateway:
        assert gateway.ask("/slurm/v0.0.36/diag", site.token("alice"))[0] == 200
        assert gateway.ask("/slurmdb/v0.0.36/accounts", site.token("alice"))[0] == 200


@pytest.mark.parametrize(
    "path", ["/slurm/v0.0.36/ping", "/slurm/v0.0.36/diag", "/slurm/v0.0.36/jobs", "/slurm/v0.0.38/jobs", "/slurmdb/v0.0.36/users"]
)
def test_a_token_that_slurm_refuses_is_reported_as_the_gateways_fault(site: Site, tmp_path: Path, path: str) -> None:
    with gateway_with(site, tmp_path, jwt_key_file=str(foreign_key(tmp_path))) as gateway:
        status, tree = gateway.ask(path, site.token("alice"))
    assert (status, tree["reason"]) == (502, "slurm_refused_gateway")
    assert "key" in tree["hint"]


def test_a_key_is_read_anew_without_a_stop(site: Site, tmp_path: Path) -> None:
    key = foreign_key(tmp_path)
    with gateway_with(site, tmp_path, jwt_key_file=str(key)) as gateway:
        assert gateway.ask("/slurm/v0.0.36/diag", site.token("alice"))[0] == 502
        right = private_copy(site.told["jwt_key"], tmp_path)
        right.rename(key)
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: gateway.ask("/slurm/v0.0.36/diag", site.token("alice"))[0] == 200, 10, "the right key's use")


def test_a_session_is_known_to_every_gateway_on_the_same_store(site: Site, tmp_path: Path) -> None:
    key = private_copy(site.told["jwt_key"], tmp_path)
    with gateway_with(site, tmp_path, jwt_key_file=str(key)) as gateway:
        token = site.login("bob", site.fresh_code("bob")).json["token"]
        assert gateway.ask("/auth/session", token)[0] == 200
        site.ask("DELETE", "/auth/session", headers=[("Authorization", f"Bearer {token}")])
        wait_for(lambda: gateway.ask("/auth/session", token)[0] == 401, 1, "the end of the session on the other gateway")


def test_a_code_used_at_one_gateway_is_used_at_every_other(site: Site, tmp_path: Path) -> None:
    key = private_copy(site.told["jwt_key"], tmp_path)
    with gateway_with(site, tmp_path, jwt_key_file=str(key)) as gateway:
        code = site.fresh_code("bob")
        assert site.login("bob", code).status == 200
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        connection.request("POST", "/auth/login", json.dumps({"username": "bob", "password": site.password("bob"), "otp": code}))
        assert json.load(connection.getresponse())["reason"] == "credentials_refused"
        connection.close()

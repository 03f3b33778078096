"""The composition root; what the application does is in tests/web."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.app import Application
from gateway.config import Config, SecretFileError, load
from gateway.errors import AuditUnavailable
from gateway.store.migrate import migrate
from tests.web import fakes


def site(folder: Path, changes: dict[str, dict[str, object]] | None = None) -> Config:
    return load(fakes.site(folder, f"unix:{folder}/slurmrestd.sock", changes))


async def test_an_application_that_was_made_can_be_closed(tmp_path: Path) -> None:
    async with Application(site(tmp_path)) as application:
        assert (application.front is not None, application.admin is not None) == (True, True)


async def test_making_it_opens_nothing_that_is_not_there(tmp_path: Path) -> None:
    """Directory and slurmrestd may come later: the gateway starts without them, and is not ready."""
    config = site(tmp_path)
    migrate(config.store)
    async with Application(config) as application:
        answer = await application.admin.handle(make_mocked_request("GET", "/health/ready"))
    assert answer.status == 503


@pytest.mark.parametrize("missing", ["ring", "jwt.key", "audit.key"])
async def test_without_its_keys_it_is_not_made(tmp_path: Path, missing: str) -> None:
    config = site(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(SecretFileError):
        Application(config)


async def test_without_its_trail_it_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable):
        Application(site(tmp_path, {"audit": {"file": f"{tmp_path}/nowhere/audit"}}))


@pytest.mark.parametrize("broken", ["ring", "jwt.key", "audit.log"])
async def test_reloading_what_is_broken_raises_nothing(tmp_path: Path, broken: str) -> None:
    async with Application(site(tmp_path)) as application:
        if broken == "audit.log":
            (tmp_path / broken).unlink()
            (tmp_path / broken).mkdir()
        else:
            fakes.private(tmp_path / broken, b"nonsense")
        await application.reload()


async def test_several_clusters_are_ready_each_by_its_name(tmp_path: Path) -> None:
    other: dict[str, object] = {"url": f"unix:{tmp_path}/other.sock", "jwt_key_file": f"{tmp_path}/jwt.key"}
    async with fakes.slurmrestd(tmp_path), Application(site(tmp_path, {"clusters.other": other})) as application:
        answer = await application.admin.handle(make_mocked_request("GET", "/health/ready"))
    assert (b'"slurmrestd.main": "ok"' in answer.body, b'"slurmrestd.other": "connect failed' in answer.body) == (True, True)  # type: ignore[attr-defined]  # a Response has it

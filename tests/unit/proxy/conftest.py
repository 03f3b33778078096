"""The proxy's tests run on the loop that the gateway runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from gateway.config import Cluster
from tests.web import fakes


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def slurm(tmp_path: Path) -> AsyncIterator[fakes.FakeSlurmrestd]:
    async with fakes.slurmrestd(tmp_path) as fake:
        yield fake


@pytest.fixture
async def slurms(tmp_path: Path) -> AsyncIterator[list[fakes.FakeSlurmrestd]]:
    """Two more, each in a folder of its own."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    async with fakes.slurmrestd(folders[0]) as first, fakes.slurmrestd(folders[1]) as second:
        yield [first, second]


SETTINGS = {"pool": 2, "pool_wait": "1s", "pool_idle": "5s", "connect_timeout": "1s", "answer_timeout": "2s", "read_timeout": "2s"}


@pytest.fixture
def cluster(slurm: fakes.FakeSlurmrestd) -> Cluster:
    """A cluster whose slurmrestd is the fake one, with two places and short waits."""
    return Cluster.model_validate({"url": slurm.url, "jwt_key_file": "/nowhere", **SETTINGS})


@pytest.fixture
def cluster_of_two(slurms: list[fakes.FakeSlurmrestd]) -> Cluster:
    """A cluster with two slurmrestd, and the same settings."""
    return Cluster.model_validate({"urls": [slurm.url for slurm in slurms], "jwt_key_file": "/nowhere", **SETTINGS})

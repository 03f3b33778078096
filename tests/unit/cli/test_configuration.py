from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gateway.cli.configuration import configuration, key_ring
from gateway.config import load
from gateway.errors import CommandError
from tests.web import fakes


def named(path: Path | None) -> argparse.Namespace:
    return argparse.Namespace(config=path)


def test_the_configuration_that_is_named_is_read(config: Path) -> None:
    assert configuration(named(config)) == load(config)


@pytest.mark.parametrize("path", [None, Path("/nowhere/gateway.toml"), Path("/")])
def test_none_at_all_or_none_there_ends_the_command(path: Path | None) -> None:
    with pytest.raises(CommandError) as raised:
        configuration(named(path))
    assert raised.value.exit_code == 3


def test_every_problem_is_a_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.site(tmp_path, "nonsense", {"server": {"workers": 0, "colour": "red"}})
    with pytest.raises(CommandError):
        configuration(named(path))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["server.workers", "server.colour", "clusters.main.url"]
    assert all(line.startswith(f"{path}:") for line in lines)


def test_the_key_ring_is_read(config: Path) -> None:
    assert key_ring(load(config)).current == "k1"


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_key_ring_that_cannot_be_had_ends_the_command_with_the_way_to_make_one(config: Path, content: bytes | None) -> None:
    ring = config.parent / "ring"
    ring.unlink()
    if content is not None:
        fakes.private(ring, content)
    with pytest.raises(CommandError, match=r"store\.key_ring_file") as raised:
        key_ring(load(config))
    assert (raised.value.exit_code, "keys init" in raised.value.hint) == (3, True)

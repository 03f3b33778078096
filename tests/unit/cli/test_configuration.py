from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gateway.cli.configuration import configuration, key_ring
from gateway.config import load
from gateway.errors import CommandError
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


def named(path: Path) -> argparse.Namespace:
    return argparse.Namespace(config=path)


def test_the_configuration_that_is_named_is_read(config: Path) -> None:
    assert configuration(named(config)) == load(config)


def test_none_at_all_ends_the_command(run: Run) -> None:
    ran = run("policy", "show")
    assert (ran.code, ran.err) == (3, failure("no configuration is named", "Give --config FILE, or set SLURM_GATEWAY_CONFIG."))


@pytest.mark.parametrize("path", ["/nowhere/gateway.toml", "/"])
def test_none_there_ends_the_command(run: Run, path: str) -> None:
    ran = run("--config", path, "policy", "show")
    hint = "Correct the lines above; README.md lists every setting."
    assert (ran.code, ran.err.partition("\n")[2]) == (3, failure(f"{path} cannot be used", hint))


def test_every_problem_is_a_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.site(tmp_path, "nonsense", {"server": {"workers": 0, "colour": "red"}})
    with pytest.raises(CommandError):
        configuration(named(path))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["server.workers", "server.colour", "clusters.main.url"]
    assert all(line.startswith(f"{path}:") for line in lines)


def test_the_key_ring_is_read(config: Path) -> None:
    assert key_ring(load(config)).current == "k1"


def test_a_key_ring_that_is_not_there_ends_the_command_with_the_way_to_make_one(run: Run, config: Path) -> None:
    ring = config.parent / "ring"
    ring.unlink()
    ran = run("--config", config, "keys", "list")
    what = f"store.key_ring_file: {ring} cannot be read: No such file or directory"
    assert (ran.code, ran.err) == (3, failure(what, "Make one with 'slurm-gateway keys init'."))


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b"nonsense", ": line 1 is no key, or its id stands twice")])
@pytest.mark.parametrize("action", ["init", "list", "stage"])
def test_a_key_ring_that_is_none_is_not_to_be_made_anew(run: Run, config: Path, action: str, content: bytes, why: str) -> None:
    ring = config.parent / "ring"
    fakes.private(ring, content)
    ran = run("--config", config, "keys", action)
    hint = "Mend it, or restore it from a backup: 'keys init' leaves alone what is there."
    assert (ran.code, ran.err) == (3, failure(f"store.key_ring_file: {ring}{'' if why.startswith(':') else ' '}{why}", hint))

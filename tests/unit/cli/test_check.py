"""``check``: with a file it is for people, without one for administrators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    for name in ("SLURM_GATEWAY_TOKEN", "SLURM_GATEWAY_URL", "SLURM_GATEWAY_SITE"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_file_it_is_the_configuration_that_is_checked(run: Run, config: Path) -> None:
    assert run("--config", config, "check").out == f"{config}: nothing is wrong\n"


def test_without_either_it_is_said_what_can_be_checked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_GATEWAY_CONFIG", raising=False)
    ran = run("check")
    assert (ran.code, ran.err) == (
        3,
        "slurm-gateway: neither a job file nor a configuration is named\nhint: Name a job file: slurm-gateway check FILE. "  # noqa: ISC004 - one text
        "Administrators name the gateway's configuration: --config, or SLURM_GATEWAY_CONFIG.\n",
    )


def test_with_a_file_somebody_must_be_signed_in(run: Run, tmp_path: Path) -> None:
    ran = run("check", tmp_path / "job.json")
    assert (ran.code, ran.err) == (1, "slurm-gateway: not signed in anywhere\nhint: Sign in first: slurm-gateway login URL\n")


def test_the_configuration_does_not_matter_to_a_file(run: Run, tmp_path: Path) -> None:
    assert "not signed in" in run("--config", "/nowhere", "check", tmp_path / "job.json").err

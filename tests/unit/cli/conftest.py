"""Commands as people type them: the command line in, exit code and both streams out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.unit.cli.fake_gateway import TOKEN, FakeGateway, fake_gateway
from tests.web import fakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line; whatever it is, no traceback may come of it."""
    monkeypatch.delenv("SLURM_GATEWAY_CONFIG", raising=False)

    def ran(*words: object) -> Ran:
        try:
            code = main([str(word) for word in words])
        except SystemExit as exit_:  # argparse's way out
            code = exit_.code if isinstance(exit_.code, int) else 1
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code=code, out=captured.out, err=captured.err)

    return ran


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that could be served."""
    return fakes.site(tmp_path, f"unix:{tmp_path}/slurmrestd.sock")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGateway]:
    """A gateway that says what the test tells it to, at which alice is signed in."""
    with fake_gateway() as fake:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("SLURM_GATEWAY_URL", fake.url)
        monkeypatch.setenv("SLURM_GATEWAY_TOKEN", TOKEN)
        monkeypatch.delenv("SLURM_GATEWAY_SITE", raising=False)
        yield fake

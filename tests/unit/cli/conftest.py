"""Commands as people type them: the command line in, exit code and both streams out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.client.sites import Site, Sites
from gateway.secret import Secret
from tests import saying
from tests.fake_gateway import FakeGateway, served
from tests.terminal import Terminal
from tests.web import fakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def failure(message: object, hint: str) -> str:
    """Return what a command that fails writes to standard error: what went wrong, and what to do."""
    return f"slurm-gateway: {message}\nhint: {hint}\n"


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
def fake() -> Iterator[FakeGateway]:
    """A gateway to sign in at, on loopback."""
    with served() as gateway:
        yield gateway


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it, an environment that names nothing, and no terminal."""
    for name in [name for name in os.environ if name.startswith(("SLURM_GATEWAY_", "XDG_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr("gateway.cli.terminal._TERMINAL", str(tmp_path / "no-terminal"))
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Somebody's terminals: ``home`` is their home folder, ``fake`` the gateway that they sign in at."""

    home: Path
    fake: FakeGateway

    @property
    def sites(self) -> Sites:
        return Sites(self.home / ".config" / "slurm-gateway")

    @property
    def environment(self) -> dict[str, str]:
        root = str(Path(__file__).resolve().parents[3])
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}

    def types(self, *words: object, environment: Mapping[str, str] | None = None, **streams: Any) -> Terminal:
        """Type a command at a terminal of its own."""
        command = [sys.executable, "-m", "gateway", *map(str, words)]
        return Terminal(command, self.environment | dict(environment or {}), cwd=self.home, **streams)

    def signed_in(self, name: str = "default", username: str = "alice", **more: Any) -> str:
        """Leave a session behind as ``login`` does, and return its token."""
        token = self.fake.session(username, **more)
        self.sites.keep(name, Site(url=self.fake.url, username=username), Secret(token.encode()))
        return token

    def kept(self, name: str = "default") -> str | None:
        """Return the token that is kept."""
        token = self.sites.token(name)
        return None if token is None else token.reveal().decode()


@pytest.fixture
def desk(home: Path, fake: FakeGateway) -> Desk:
    """Somebody with a terminal and a gateway."""
    return Desk(home=home, fake=fake)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that could be served."""
    return fakes.site(tmp_path, f"unix:{tmp_path}/slurmrestd.sock")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[saying.FakeGateway]:
    """A gateway that says what the test tells it to, at which alice is signed in."""
    with saying.fake_gateway() as fake:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("SLURM_GATEWAY_URL", fake.url)
        monkeypatch.setenv("SLURM_GATEWAY_TOKEN", saying.TOKEN)
        monkeypatch.delenv("SLURM_GATEWAY_SITE", raising=False)
        yield fake

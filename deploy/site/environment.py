"""The virtual environment that holds the gateway, rebuilt when the lock file or the gateway's sources change."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from .commands import DYING_WITH_US, downloading, run_logged
from .layout import Layout
from .trouble import Trouble

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "gateway", "nginx")
_HINT = "mend what pip says (network, compiler), then run `deploy/demo up` again."


def build(layout: Layout, checkout: Path = CHECKOUT) -> bool:
    """See that DIR/venv holds this checkout's gateway; True when something had to be built."""
    lock = checkout / "requirements.lock"
    if not lock.exists():
        raise Trouble(f"{lock} is missing.", hint="run deploy/demo from a whole checkout of slurm-gateway.")
    locked, sources = digest([lock]), digest(checkout / name for name in SOURCES)
    libraries, gateway = layout.venv / ".libraries-of-demo", marker(layout)
    if _says(libraries, locked) and _says(gateway, sources):
        return False
    log = layout.log("venv")
    pip: list[Path | str] = [*DYING_WITH_US, layout.venv / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install: list[Path | str] = [*pip, "--cache-dir", layout.root / "cache", "install", "--root-user-action", "ignore"]
    env = downloading(HOME=str(layout.root))
    if not _says(libraries, locked):
        shutil.rmtree(layout.venv, ignore_errors=True)
        run_logged([*DYING_WITH_US, "/usr/bin/python3", "-m", "venv", layout.venv], log, env=env, hint=_HINT)
        run_logged([*install, "--require-hashes", "-r", lock], log, env=env, limit=600, hint=_HINT)
        libraries.write_text(locked)
    gateway.unlink(missing_ok=True)
    run_logged([*install, "--no-deps", "--force-reinstall", checkout], log, env=env, limit=300, hint=_HINT)
    gateway.write_text(sources)
    return True


def marker(layout: Layout) -> Path:
    """Says which gateway the environment holds; written when its installation is done."""
    return layout.venv / ".gateway-of-demo"


def digest(places: Iterable[Path]) -> str:
    """One word for the names and contents of files, and of all files under directories but compiled ones."""
    total = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.suffix != ".pyc":
                total.update(f"{path.relative_to(place.parent)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _says(marker: Path, word: str) -> bool:
    return marker.exists() and marker.read_text() == word


def command_beside(python: Path) -> list[str]:
    """Return the gateway's command in the environment of this interpreter."""
    command = python.parent / "slurm-gateway"
    if not command.exists():
        raise Trouble(
            f"There is no slurm-gateway beside {python}.", hint="install the gateway there (pip install '.[server]'), or leave --python out."
        )
    return [str(command)]

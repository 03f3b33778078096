"""The bare distribution, as people install it on their own machines: no compiler, nothing of the server's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.main import _COMMANDS
from tests.system.support import ROOT, Site

SERVERS = ("ldap", "sqlalchemy", "alembic", "pydantic", "cryptography", "msgspec", "uvloop", "structlog", "psycopg", "pyrad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A virtual environment with the distribution in it, and a home that nobody has used."""

    folder: Path
    home: Path

    def run(self, program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        told = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "XDG_CONFIG_HOME": str(self.home)}
        command = [str(self.folder / "bin" / program), *words]
        return subprocess.run(command, env=told | environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    # Of a copy, for building leaves things beside what it builds.
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "tests"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _do([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)])
    (wheel,) = folder.glob("slurm_gateway-*.whl")
    constraints = folder / "constraints.txt"
    constraints.write_text(
        "".join(f"{line}\n" for line in re.findall(r"^[A-Za-z0-9._-]+==[^\s\\;]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    )
    venv.create(folder / "venv", with_pip=True)
    inside = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    # Without compilers nothing can be built: there must be a wheel for each.
    _do([*inside, "install", "--only-binary", ":all:", "--constraint", str(constraints), str(wheel)])
    home = folder / "home"
    home.mkdir()
    return Installed(folder=folder / "venv", home=home)


def _do(command: list[str]) -> None:
    done = subprocess.run(command, env=os.environ | {"CC": "/bin/false"}, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", SERVERS)
def test_nothing_of_the_servers_is_installed(installed: Installed, module: str) -> None:
    assert installed.run("python", "-c", f"import {module}").stderr.endswith(f"ModuleNotFoundError: No module named '{module}'\n")


def test_help_works(installed: Installed) -> None:
    done = installed.run("slurm-gateway", "--help")
    assert (done.returncode, done.stderr, [name for name in _COMMANDS if name not in done.stdout]) == (0, "", [])


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_for_people_has_its_help(installed: Installed, command: str) -> None:
    done = installed.run("slurm-gateway", command, "--help")
    assert (done.returncode, done.stderr, f"usage: slurm-gateway {command}" in done.stdout) == (0, "", True)


def test_the_library_is_there(installed: Installed) -> None:
    done = installed.run("python", "-c", "from gateway.client import Gateway; print(Gateway.__name__)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Gateway\n", "")


def test_a_program_over_the_library_is_checked_by_its_types(installed: Installed, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text('from gateway.client import Gateway\n\nwith Gateway.from_site() as gateway:\n    number: str = gateway.submit("x").job_id\n')
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "--python-executable", str(installed.folder / "bin" / "python")]
    done = subprocess.run([*mypy, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    (said, _) = done.stdout.splitlines()
    assert said.endswith('error: Incompatible types in assignment (expression has type "int", variable has type "str")  [assignment]')


@pytest.mark.parametrize("words", ["serve", "check", "enroll alice", "users list", "keys init", "audit verify"])
def test_a_command_of_the_servers_says_what_to_install(installed: Installed, words: str) -> None:
    done = installed.run("slurm-gateway", "--config", "/nowhere", *words.split())
    what, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout, hint) == (1, "", "hint: pip install 'slurm-gateway[server]'")
    assert what.startswith("slurm-gateway: this command needs the module ")


def test_who_is_signed_in_nowhere_is_told_how(installed: Installed) -> None:
    done = installed.run("slurm-gateway", "jobs")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "hint: Sign in first: slurm-gateway login URL")


def test_a_token_of_the_environment_lists_the_jobs_of_a_real_site(installed: Installed, site: Site) -> None:
    job = site.submit("adele", "#!/bin/sh\ntrue\n", hold=True, name="bare")
    try:
        token = {"SLURM_GATEWAY_TOKEN": site.token("adele"), "SLURM_GATEWAY_URL": site.told["url"]}
        done = installed.run("slurm-gateway", "jobs", "--ca", site.told["ca_file"], **token)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(rf"\b{job}\b.*\bbare\b", done.stdout), done.stdout
        file = installed.home / "job.json"
        file.write_text(json.dumps({"job": {"name": "x", "tiem_limit": 1, "current_working_directory": "/tmp"}, "script": "#!/bin/sh\n"}))
        checked = installed.run("slurm-gateway", "check", "job.json", "--ca", site.told["ca_file"], **token)
        assert "did you mean time_limit?" in checked.stdout, checked.stderr
    finally:
        site.call("adele", "DELETE", f"/slurm/{site.api}/job/{job}")
    assert [path.name for path in installed.home.iterdir()] == ["job.json"]  # nothing was kept

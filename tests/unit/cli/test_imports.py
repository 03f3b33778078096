"""What people's commands load: nothing of the server's, and nothing that takes long before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.cli.main import _COMMANDS

SERVERS = {"ldap", "sqlalchemy", "alembic", "pydantic", "cryptography", "msgspec", "uvloop", "structlog", "psycopg", "pyrad", "segno", "jwt", "pyotp"}
ROOMS = {f"gateway.{room}" for room in ("app", "config", "observe", "policy", "preflight", "proxy", "sessions", "signin", "slurm", "store", "web")}
LATE = {"aiohttp", "argcomplete", "asyncio", "jsonschema", "rich", "watchfiles", "yaml"}


def loaded(program: str) -> set[str]:
    """Return the modules that a program of Python has loaded at its end, and the rooms that they are of."""
    done = subprocess.run([sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    return {part for name in names for part in (name.partition(".")[0], ".".join(name.split(".")[:2]))}


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_for_people_loads_nothing_of_the_server_and_nothing_that_takes_long(command: str) -> None:
    modules = loaded(f"from gateway.cli.main import build_parser; build_parser([{command!r}])")
    assert modules & (SERVERS | ROOMS | LATE) == set()


@pytest.mark.parametrize(
    "module",
    ["gateway.client", "gateway.cli.check_job", "gateway.client.jobfile.checking", "gateway.client.jobfile.reading", "gateway.cli.completing"],
)
def test_what_people_use_loads_nothing_of_the_server(module: str) -> None:
    assert loaded(f"import {module}") & (SERVERS | ROOMS) == set()


def test_checking_a_job_file_loads_nothing_of_the_server() -> None:
    program = (
        "from gateway.client.jobfile import read\n"
        "from gateway.client.jobfile.checking import check\n"
        "from gateway.client.jobfile.places import of_yaml\n"
        "from gateway.client.jobfile.schema import submission_of\n"
        "step = {'schema': {'properties': {'job': {'type': 'object', 'properties': {'name': {'type': 'string'}}}}}}\n"
        "document = {'paths': {'/slurm/v0.0.42/job/submit': {'post': {'requestBody': {'content': {'application/json': step}}}}}}\n"
        "assert check({'job': {'nmae': 'x'}}, submission_of(document), of_yaml('job: {nmae: x}'))\n"
    )
    assert loaded(program) & (SERVERS | ROOMS | {"urllib.request", "requests"}) == set()

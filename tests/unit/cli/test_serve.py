"""What keeps ``serve`` from serving; that it serves, stops and reloads is in tests/unit/test_worker.py and test_supervisor.py."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.config import load
from gateway.sockets import bind
from tests.unit.cli.conftest import Run, failure
from tests.web import fakes


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("workers", ["0", "-1", "65"])
def test_a_number_of_workers_out_of_range_is_usage(run: Run, config: Path, workers: str) -> None:
    ran = run("--config", config, "serve", "--workers", workers)
    hint = "One for each core that the gateway may use is enough."
    assert (ran.code, ran.err) == (2, failure("--workers takes a number from 1 to 64", hint))


def test_problems_are_told_all_at_once_as_check_tells_them(run: Run, config: Path) -> None:
    (config.parent / "jwt.key").unlink()
    (config.parent / "ring").unlink()
    served, checked = run("--config", config, "serve"), run("--config", config, "check")
    assert (served.code, served.err.splitlines()[:-2]) == (3, checked.err.splitlines()[:-2])
    assert served.err.endswith(failure(f"{config}: 2 problem(s)", "Correct them; 'slurm-gateway check' tells."))


def test_nothing_is_made_when_there_are_problems(run: Run, config: Path) -> None:
    (config.parent / "ring").unlink()
    before = sorted(config.parent.iterdir())
    run("--config", config, "serve")
    assert sorted(config.parent.iterdir()) == before


def test_a_reload_that_is_asked_for_too_early_is_not_the_end(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that there are sockets to send requests to, there is somebody who may send SIGHUP."""
    found: list[object] = []
    monkeypatch.setattr("gateway.worker.run", lambda *_: found.append(signal.getsignal(signal.SIGHUP)))
    before = signal.getsignal(signal.SIGHUP)
    try:
        ran = run("--config", config, "serve")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (ran.code, found) == (0, [signal.SIG_IGN])


def test_a_live_socket_is_refused_in_one_line_and_left_alone(run: Run, config: Path) -> None:
    listen = load(config).server.listen
    with bind(listen, "server.listen"):
        ran = run("--config", config, "serve")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(listen.path))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        f"slurm-gateway: server.listen: cannot listen on {listen}: something listens there already",
        "hint: Is a gateway running there already? Else name another place.",
    ]


def test_a_store_of_another_shape_is_refused(run: Run, config: Path) -> None:
    run("--config", config, "enroll", "alice")
    fakes.execute(config.parent / "gateway.db", "UPDATE alembic_version SET version_num = '9999'")
    ran = run("--config", config, "serve")
    assert (ran.code, "newer" in ran.err) == (3, True)


def test_a_store_that_cannot_be_brought_up_to_date_is_said(run: Run, config: Path) -> None:
    (config.parent / "gateway.db.lock").mkdir()
    ran = run("--config", config, "serve")
    what, hint = f"store.url: {config.parent}/gateway.db: Is a directory", "See that the gateway's user may write there, and that there is room."
    assert (ran.code, ran.out, ran.err) == (1, "", failure(what, hint))


def test_aiohttp_without_its_c_parser_is_refused(config: Path) -> None:
    command = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
    done = subprocess.run(command, env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, "Traceback" in done.stderr, done.stderr.count("\n")) == (3, False, 3)
    assert "AIOHTTP_NO_EXTENSIONS" in done.stderr


def test_a_gateway_that_crashes_leaves_no_core_in_which_its_keys_are() -> None:
    program = (
        "import ctypes, resource; from gateway.cli import serve; serve._leave_no_core(); "
        "print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))"  # PR_GET_DUMPABLE
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0 (0, 0)\n"

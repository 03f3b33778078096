"""The example programs, run as somebody runs them: in a terminal, against the real site of each Slurm."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.support import ROOT, Site
from tests.terminal import Terminal

EXAMPLES = ROOT / "deploy" / "examples"
USER = "bob"
# Whoever runs it knows best what the gateway is; the questions come in the order in which each asks them.
PROGRAMS = {
    "first_job.sh": (["/bin/sh", str(EXAMPLES / "first_job.sh")], ["Code: ", "password"]),
    "first_job.py": ([sys.executable, str(EXAMPLES / "first_job.py")], ["Password: ", "Code: "]),
}


SUBMITTED = re.compile(r"^Job ([0-9]+) is submitted\.$", re.MULTILINE)


def output_of(number: str) -> Path:
    return Path(f"/tmp/first-{number}.out")


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def watching(session: int, seen: set[str]) -> Iterator[None]:
    """Collect each command line and environment of the processes of a session (setsid(2)) while they run, as others on this machine could."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            for entry in Path("/proc").iterdir():
                with suppress(OSError, ValueError):
                    if os.getsid(int(entry.name)) == session:
                        seen.update((entry / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def running(site: Site, program: str, folder: Path, *, otp: str | None = None, seen: set[str] | None = None) -> Iterator[tuple[Terminal, str]]:
    """Start a program and answer what it asks; give its terminal, and the code that was typed. ``seen`` is what others could see of it."""
    words, questions = PROGRAMS[program]
    otp = site.fresh_code(USER) if otp is None else otp
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "CURL_CA_BUNDLE": site.told["ca_file"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    arguments = [site.told["url"], USER, *([site.told["ca_file"]] if program.endswith(".py") else [])]
    with Terminal([*words, *arguments], environment, cwd=folder) as terminal, watching(terminal.process.pid, set() if seen is None else seen):
        for question in questions:
            terminal.answer(question, otp if question == "Code: " else site.password(USER))
        yield terminal, otp
        for number in SUBMITTED.findall(terminal.shown):
            output_of(number).unlink()


def test_it_leads_from_signing_in_to_a_finished_job(either: Site, program: str, tmp_path: Path) -> None:
    with running(either, program, tmp_path) as (terminal, _):
        assert terminal.ended(60) == 0, terminal.shown
        [number] = SUBMITTED.findall(terminal.shown)
        assert re.search(rf"\b{number}\b.*\bfirst\b.*\bCOMPLETED\b", terminal.shown), terminal.shown
        output = output_of(number)
        assert (output.read_text(), output.stat().st_uid) == (f"Hello from {USER}\n", either.uid(USER))


def test_no_secret_is_on_a_command_line_or_in_an_environment(site: Site, program: str, tmp_path: Path) -> None:
    seen: set[str] = set()
    with running(site, program, tmp_path, seen=seen) as (terminal, otp):
        assert terminal.ended(60) == 0, terminal.shown
    assert any(program in line for line in seen)
    secret = re.compile(rf"sgw_\w{{20}}|\b{otp}\b|{re.escape(site.password(USER))}")
    assert [line for line in seen if secret.search(line)] == []
    assert secret.search(terminal.shown.replace(otp, "", 1)) is None  # the code itself is shown as it is typed
    assert list(tmp_path.rglob("*")) == []


def test_afterwards_nobody_is_signed_in(site: Site, program: str, tmp_path: Path) -> None:
    with running(site, program, tmp_path) as (terminal, _):
        assert terminal.ended(60) == 0, terminal.shown
    told = site.gateway("sessions", "list", "--user", USER, "--json").stdout
    assert '"id"' not in told, told


def test_a_refusal_is_told_with_what_to_do(site: Site, program: str, tmp_path: Path) -> None:
    with running(site, program, tmp_path, otp="000000") as (terminal, _):
        assert terminal.ended() == 1
    assert "do not fit together" in terminal.shown
    assert "A code has six digits" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert list(tmp_path.rglob("*")) == []


def test_the_script_is_of_the_shell_of_every_system() -> None:
    text = (EXAMPLES / "first_job.sh").read_text()
    assert text.startswith("#!/bin/sh\n")
    assert shutil.which("dash", path="/bin:/usr/bin") is not None
    assert len((EXAMPLES / "first_job.py").read_text().splitlines()) <= 30

"""TAB in real shells: what is typed is completed, and nothing is said."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.people import Person, signed_in
from tests.system.support import Site

BIN = Path(sys.executable).parent
LIMIT = 20.0
PROMPT = "yours>"
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[=>])")

# How each shell is started with nothing of anybody's own, and told of the completion as its help says.
SHELLS = {
    "bash": (["bash", "--noprofile", "--norc", "-i"], 'eval "$(slurm-gateway completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit && compinit -u -D; eval "$(slurm-gateway completion zsh)"'),
    "fish": (
        ["fish", "--private", "--init-command", "function fish_prompt; printf 'yours%s ' '>'; end; function fish_greeting; end"],
        "slurm-gateway completion fish | source",
    ),
}


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)  # noqa: S606 - it is a shell
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def wait(self, pattern: str, what: str) -> str:
        """Return what came up to ``pattern``; what came is taken away."""
        deadline = time.monotonic() + LIMIT
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, f"{what} did not come within {LIMIT} s; this came:\n{self.seen!r}"
            if select.select([self._end], [], [], 0.1)[0]:
                self.seen = _ESCAPES.sub("", self.seen + os.read(self._end, 65536).decode(errors="replace"))
        came, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return came

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._end)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Terminal]]:
    """A shell that has been told of the completion, in a folder with job files."""
    name = request.param
    if shutil.which(name) is None:
        pytest.fail(f"{name} is not installed: tests/run installs it")
    home = tmp_path / "home"
    for folder in (home, tmp_path / "jobs" / "deep"):
        folder.mkdir(parents=True)
    for file in ("first.json", "picture.png"):
        (tmp_path / "jobs" / file).touch()
    environment = {
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "PS1": f"{PROMPT} ",
        "XDG_CONFIG_HOME": str(home),
    }
    command, told = SHELLS[name]
    terminal = Terminal(command, environment, tmp_path / "jobs")
    try:
        terminal.wait(f"{PROMPT} ", "the shell")
        terminal.type(f"{told}\r")
        terminal.wait(f"{PROMPT} ", "the next prompt")
        yield name, terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("slurm-gateway who", "slurm-gateway whoami"),
        ("slurm-gateway jobs --tok", "slurm-gateway jobs --token-file"),
        ("slurm-gateway check fir", "slurm-gateway check first.json"),
        ("slurm-gateway completion fi", "slurm-gateway completion fish"),
        ("slurm-gateway tokens cre", "slurm-gateway tokens create"),
    ],
)
def test_tab_completes(shell: tuple[str, Terminal], typed: str, completed: str) -> None:
    _, terminal = shell
    # What stands on the line is echoed by a command of the shell's own: the screen is redrawn in as many ways as there are shells.
    terminal.type(f"{typed}\t")
    terminal.wait(re.escape(completed[len(typed) :].strip()), "the completion")
    terminal.type("\x01echo '<' \x05'>'\r")
    line = terminal.wait(r"[\r\n]< slurm-gateway [^\r\n]*>\r", "the line")
    assert re.search(rf"< {re.escape(completed)} ?>", line), line


def test_what_goes_wrong_is_not_said(shell: tuple[str, Terminal]) -> None:
    """Nobody is signed in anywhere, so that there are no numbers of jobs: TAB does nothing, and asks for nothing."""
    _, terminal = shell
    terminal.type("slurm-gateway wait 12\t")
    terminal.type("\x01echo '<' \x05'>'\r")
    line = terminal.wait(r"[\r\n]< slurm-gateway wait[^\r\n]*>\r", "the line")
    assert "< slurm-gateway wait 12" in line
    assert not re.search("hint|Traceback|Code:|Password", line), line


def offered(line: str, environment: dict[str, str], folder: Path) -> list[str]:
    """Return what the command offers to bash for a line."""
    told = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    command = ["sh", "-c", 'exec "$0" 8>&1 9>/dev/null >/dev/null 2>/dev/null </dev/null', str(BIN / "slurm-gateway")]
    done = subprocess.run(command, env=environment | told, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    assert done.stderr == ""
    return done.stdout.split("\n") if done.stdout else []


@pytest.fixture
def person(site: Site, tmp_path: Path) -> Person:
    return signed_in(site, "adele", tmp_path)


def test_numbers_of_my_jobs_are_offered(site: Site, person: Person) -> None:
    job = site.submit("adele", "#!/bin/sh\nsleep 60\n", hold=True)
    try:
        numbers = offered("slurm-gateway wait ", person.environment, person.folder)
        assert str(job) in numbers
        assert str(job) in offered(f"slurm-gateway wait {str(job)[:-1]}", person.environment, person.folder)
    finally:
        site.call("adele", "DELETE", f"/slurm/{site.api}/job/{job}")


def test_a_gateway_that_does_not_answer_is_not_waited_for(person: Person) -> None:
    import socket  # noqa: PLC0415 - for this test alone

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        environment = person.environment | {
            "SLURM_GATEWAY_URL": f"http://127.0.0.1:{deaf.getsockname()[1]}",
            "SLURM_GATEWAY_TOKEN": (person.folder / "slurm-gateway" / "default.header").read_text().split()[-1],
        }
        began = time.monotonic()
        assert offered("slurm-gateway wait ", environment, person.folder) == []
        assert time.monotonic() - began < 10


def test_names_of_sites_are_offered(person: Person) -> None:
    assert offered("slurm-gateway jobs --site ", person.environment, person.folder) == ["default"]

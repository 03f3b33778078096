"""Running a program to its end: a clean environment, its output kept, a limit, and a sentence when it fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .trouble import Trouble

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DYING_WITH_US = ("setpriv", "--pdeathsig=KILL", "--")
"""A pip or debootstrap that outlived a killed `up` would go on writing into what the next one makes."""
_PASSED_ON = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_HINT = "mend what it says, then run the command again: it goes on from where it is."


def environment(**more: str) -> dict[str, str]:
    """Return what every program of the site sees: nothing of the caller's shell."""
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent", **more}


def downloading(**more: str) -> dict[str, str]:
    """Return the same for programs that fetch from the network: the caller's settings of proxies and of pip go with them."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON) or name.lower() in _PROXIES}
    return environment(**{**passed, **more})


def run(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, stdin: str = "", limit: float = 60) -> str:
    """Run a program that says little; returns what it wrote to standard output."""
    done = _run(argv, env, limit, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Trouble(f"{_name(argv)} failed with status {done.returncode}: {_said(done.stderr or done.stdout)}", hint=_HINT)
    return str(done.stdout)


def run_logged(argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, limit: float = 60, hint: str = _HINT) -> None:
    """Run a program that says much, into its log."""
    with log.open("a") as file:
        done = _run(argv, env, limit, stdin="", stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Trouble(f"{_name(argv)} failed with status {done.returncode}.", hint=hint, log=log)


def _run(
    argv: Sequence[str | Path], env: Mapping[str, str] | None, limit: float, *, stdin: str, stdout: IO[str] | int, stderr: int
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            errors="replace",
            env=dict(environment() if env is None else env),
            cwd="/",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise Trouble(f"{_name(argv)} did not end within {limit:.0f} s.", hint=_HINT) from cause
    except OSError as cause:
        raise Trouble(f"{argv[0]} cannot be run: {cause.strerror}.", hint=_HINT) from cause


def _said(text: str) -> str:
    """Return the last line that says what went wrong, not what to do about it."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return lines[-1] if lines else "it said nothing"


def _name(argv: Sequence[str | Path]) -> str:
    """Return the program that matters, not the words that put it into its place."""
    words = [str(word) for word in argv]
    while "--" in words:
        words = words[words.index("--") + 1 :]
    if words[0] == "setpriv":
        words = [word for word in words[1:] if not word.startswith("--")]
    return Path(words[0]).name

"""A real browser, as somebody has it: run by an ordinary user, in its own sandbox, and trusting the site's CA because it was told to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.system.support import wait_for

CHROMIUM = "/usr/bin/chromium"
USER = 65534
"""Nobody: as root it would have to do without its sandbox."""


@contextlib.contextmanager
def chromium(ca_file: str) -> Iterator[Browser]:
    """Start Debian's Chromium, which chains certificates to ``ca_file`` besides its own list."""
    home = Path(tempfile.mkdtemp(prefix="sgw-browser-", dir="/var/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        _trust(home, ca_file)
        for path in (home, *home.rglob("*")):
            os.chown(path, USER, USER)
        port = home / "profile" / "DevToolsActivePort"
        words = ["--headless", "--no-first-run", "--disable-gpu", f"--user-data-dir={home}/profile", "--remote-debugging-port=0", "about:blank"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [CHROMIUM, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"},
                cwd=home,
                user=USER,
                group=USER,
                extra_groups=[],
                start_new_session=True,
            )
        stack.callback(_end, process)
        wait_for(lambda: port.exists() and port.read_text().count("\n") == 1, 30, f"Chromium's start ({home}/log)")
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port.read_text().split()[0]}")
        stack.callback(browser.close)
        yield browser


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Chromium with all that it started, which would otherwise still write into its home."""
    process.terminate()
    process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _trust(home: Path, ca_file: str) -> None:
    """Put the CA where Chromium looks for what its user trusts: NSS's database in the home directory."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for words in (["-N", "--empty-password"], ["-A", "-n", "the site's CA", "-t", "C,,", "-i", ca_file]):
        subprocess.run(["certutil", "-d", f"sql:{database}", *words], check=True, capture_output=True, timeout=30)

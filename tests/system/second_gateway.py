"""A second gateway beside the site's own, on the same store, as another node would be: two workers, and settings of the test's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.system.support import START, Answer, HeaderList, Site, wait_for


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class SecondGateway:
    """Answers on a socket of its own; each request comes on a connection of its own, for whichever worker is free."""

    def __init__(self, path: Path, log: Path) -> None:
        self.path = path
        self._log = log

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what its workers have written to the log under this name so far."""
        lines = [line for line in self._log.read_text().splitlines() if f'"{event}"' in line]
        return [fields for fields in map(json.loads, lines) if fields["event"] == event]

    def ask(self, method: str, path: str, *, headers: HeaderList = (), body: bytes | None = None) -> Answer:
        """Send one request."""
        connection = UnixConnection(self.path)
        try:
            connection.request(method, path, body=body, headers={**dict(headers), "Connection": "close"})
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=response.read())
        finally:
            connection.close()


@contextlib.contextmanager
def second_gateway(site: Site, edit: Callable[[str], str] = str, **directory: str) -> Iterator[SecondGateway]:
    """Run one with some settings of ``[directory]`` added, and whatever else ``edit`` changes, as the gateway's own user."""
    owner = Path(site.told["config"]).parent.stat()
    folder = Path(tempfile.mkdtemp(prefix="sgw-second-", dir="/var/tmp"))
    process: subprocess.Popen[bytes] | None = None
    try:
        config, log = folder / "gateway.toml", folder / "log"
        config.write_text(edit(_config(Path(site.told["config"]).read_text(), folder, directory)))
        for path in (folder, config):
            os.chown(path, owner.st_uid, owner.st_gid)
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*site.told["command"], "--config", str(config), "serve"],
                stdin=subprocess.DEVNULL,
                stderr=stream,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                user=owner.st_uid,
                group=owner.st_gid,
                extra_groups=[],
                cwd="/",
            )
        wait_for(lambda: log.read_bytes().count(b'"serving"') == 2, START, "two workers that serve")
        yield SecondGateway(folder / "gateway.sock", log)
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _config(text: str, folder: Path, directory: dict[str, str]) -> str:
    """Return the site's configuration with listeners of its own, two workers, no trail of its own making, and these settings."""
    text = re.sub(r'(?m)^listen = ".*"$', f'listen = "unix:{folder}/gateway.sock"', text)
    text = re.sub(r"(?m)^admin_listen = .*\n", "", text)
    text = re.sub(r"(?m)^workers = .*$", "workers = 2", text)
    settings = "".join(f'{name} = "{value}"\n' for name, value in directory.items())
    return text.replace("[directory]\n", f"[directory]\n{settings}")

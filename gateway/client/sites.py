"""Who is signed in where: sites by name, each with an address, a token, and a file of its header for plain curl.

Everything is in ``slurm-gateway`` under XDG_CONFIG_HOME (XDG Base Directory Specification 0.8), in files of mode 0600 of a folder of mode 0700:
``sites.json`` has what is no secret, ``NAME.header`` the line ``Authorization: Bearer …``, which is where the token is kept.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.client.errors import GatewayError, NotSignedInError
from gateway.secret import Secret

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = "Authorization: Bearer "
_MOST = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site: its address, the CA that it is trusted by (a path, or None for the system's), and who was signed in there last."""

    url: str
    ca: str | None = None
    username: str | None = None


class Sites:
    """The sites of whoever runs this; ``folder`` is made when something is first kept in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Sites:
        """Return the sites in the folder that the environment names; a relative XDG_CONFIG_HOME counts as none, as the specification says."""
        said = environment.get("XDG_CONFIG_HOME", "")
        return cls((Path(said) if Path(said).is_absolute() else Path.home() / ".config") / "slurm-gateway")

    def names(self) -> list[str]:
        """Return the names of the sites."""
        return sorted(self._read()["sites"])

    def default(self) -> str | None:
        """Return the name of the site that is meant where none is named."""
        told = self._read().get("default")
        return told if isinstance(told, str) else None

    def site(self, name: str | None = None) -> tuple[str, Site]:
        """Return the name and the site ``name``, or the default one; raise NotSignedInError if there is none."""
        name = name or self.default() or DEFAULT
        told = self._read()["sites"].get(check_name(name))
        if not isinstance(told, dict) or not isinstance(told.get("url"), str):
            raise NotSignedInError(
                f"no site is called {name!r}" if self.names() else "not signed in anywhere", hint="Sign in first: slurm-gateway login URL"
            )
        return name, Site(url=told["url"], ca=told.get("ca"), username=told.get("username"))

    def keep(self, name: str, site: Site, token: Secret) -> None:
        """Keep a site and its token, and make the site the default one."""
        tree = self._read()
        tree["sites"][check_name(name)] = asdict(site)
        tree["default"] = name
        self._write(self.header_file(name), f"{_HEADER}{token.reveal().decode()}\n".encode())
        self._write(self._file, json.dumps(tree, indent=1).encode() + b"\n")

    def forget(self, name: str) -> None:
        """Forget the token; the site's address stays, so that signing in again needs only its name."""
        with suppress(FileNotFoundError):
            self.header_file(name).unlink()

    def token(self, name: str) -> Secret | None:
        """Return the token for a site, None where nobody is signed in."""
        file = self.header_file(name)
        try:
            text = _private(file)
        except FileNotFoundError:
            return None
        line = text.decode(errors="replace").strip()
        if not line.startswith(_HEADER):
            raise GatewayError(f"{file} holds no token", hint="Sign in again: slurm-gateway login", reason="bad_file")
        return Secret(line.removeprefix(_HEADER).encode())

    def header_file(self, name: str) -> Path:
        """Return the file for ``curl -H @FILE``."""
        return self.folder / f"{check_name(name)}.header"

    @property
    def _file(self) -> Path:
        return self.folder / "sites.json"

    def _read(self) -> dict[str, Any]:
        try:
            tree = json.loads(self._file.read_bytes()[:_MOST])
        except FileNotFoundError:
            return {"sites": {}}
        except (OSError, ValueError) as error:
            raise GatewayError(f"{self._file} cannot be read: {error}", hint="Remove it and sign in again.", reason="bad_file") from error
        if not isinstance(tree, dict) or not isinstance(tree.get("sites"), dict):
            raise GatewayError(f"{self._file} is none of ours", hint="Remove it and sign in again.", reason="bad_file")
        return tree

    def _write(self, file: Path, content: bytes) -> None:
        """Put a file in the place of another at once; nobody else can read it at any moment."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{file.name}.")  # mode 0600
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                Path(temporary).replace(file)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            hint = "Set XDG_CONFIG_HOME to a folder that you may write to."
            raise GatewayError(f"{file} cannot be written: {error.strerror}", hint=hint, reason="bad_file") from error


def check_name(name: str) -> str:
    """Return ``name`` if a site may be called that, for it becomes the name of a file; raise GatewayError."""
    if _NAME.fullmatch(name) is None:
        hint = "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit."
        raise GatewayError(f"no site may be called {name!r}", hint=hint, reason="bad_name")
    return name


def _private(file: Path) -> bytes:
    """Return what is in a file that nobody else may read."""
    with file.open("rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise GatewayError(
                f"{file} may be read by others", hint=f"chmod 600 {file}; then sign in again, for others may have it.", reason="bad_file"
            )
        return stream.read(_MOST)

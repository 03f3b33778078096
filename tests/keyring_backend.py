"""A backend for the library ``keyring``, for tests: it keeps what it is given in a file that a variable names, or hangs as a dead D-Bus does.

``PYTHON_KEYRING_BACKEND=tests.keyring_backend.Kept`` has the library use it.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.compat import properties


class Kept(KeyringBackend):
    """Keeps secrets in the file that KEPT_IN names."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805 - a property of the class
        return 0.5

    def get_password(self, service: str, username: str) -> str | None:
        found = self._all().get(f"{service}/{username}")
        return None if found is None else str(found)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps(self._all() | {f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        kept = self._all()
        del kept[f"{service}/{username}"]
        self._file.write_text(json.dumps(kept))

    @property
    def _file(self) -> Path:
        return Path(os.environ["KEPT_IN"])

    def _all(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}


class Dead(Kept):
    """Never answers."""

    def get_password(self, service: str, username: str) -> str | None:
        del service, username
        threading.Event().wait()
        return None

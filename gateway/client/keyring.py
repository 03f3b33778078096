"""Tokens in the desktop's keyring, by the library ``keyring``; what would keep them in the open, or nowhere, is not taken for one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gateway.client.errors import GatewayError
from gateway.secret import Secret

T = TypeVar("T")
SECONDS = 30.0
"""For how long a keyring may keep us waiting: it may ask its owner for a password first, and a dead D-Bus never answers."""
_VARIABLE = "SLURM_GATEWAY_KEYRING_TIMEOUT"
_SERVICE = "slurm-gateway"
_HINT = "Without --keyring, login keeps the token in a file that only you can read."
_NOT_ONE = frozenset({"keyring.backends.fail", "keyring.backends.null"})


class Ring:
    """A keyring that works; ``backend`` is one of the library's, each call of which may take ``seconds``."""

    def __init__(self, backend: Any, *, seconds: float = SECONDS) -> None:  # noqa: ANN401 - the library's own, which may not be installed
        self._backend = backend
        self._seconds = seconds

    def put(self, account: str, token: Secret) -> None:
        """Keep a token, and look whether it is there; raise GatewayError."""
        said = token.reveal().decode()

        def action() -> bool:
            self._backend.set_password(_SERVICE, account, said)
            return bool(self._backend.get_password(_SERVICE, account) == said)

        if not self._run(action):
            raise _refused("the keyring does not keep what it is given")

    def get(self, account: str) -> Secret | None:
        """Return a token, None where there is none; raise GatewayError."""
        said = self._run(lambda: self._backend.get_password(_SERVICE, account))
        return Secret(said.encode()) if isinstance(said, str) and said else None

    def remove(self, account: str) -> None:
        """Forget a token; raise GatewayError."""

        def action() -> None:
            if self._backend.get_password(_SERVICE, account) is not None:
                self._backend.delete_password(_SERVICE, account)

        self._run(action)

    def _run(self, action: Callable[[], T]) -> T:
        return bounded(action, self._seconds)


def opened(environment: Mapping[str, str]) -> Ring:
    """Return the keyring that there is; raise GatewayError where there is none that keeps a secret."""
    seconds = _seconds(environment)
    return Ring(bounded(_backend, seconds), seconds=seconds)


def bounded(action: Callable[[], T], seconds: float) -> T:
    """Return what ``action`` returns; raise GatewayError if it fails or takes longer than ``seconds``, in which case it is left behind."""
    import threading  # noqa: PLC0415 - only who uses a keyring needs it

    got: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            got.append(action())
        except BaseException as error:  # noqa: BLE001 - whatever a backend raises is told by the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed and isinstance(failed[0], GatewayError):
        raise failed[0]
    if failed:
        # Not what the error says: nobody knows what a backend puts into it.
        raise _refused(f"the keyring cannot be used ({type(failed[0]).__name__})") from failed[0]
    if not got:
        raise _refused(f"the keyring did not answer within {seconds:g} s", hint=f"Is it locked? {_VARIABLE} sets the limit in seconds. {_HINT}")
    return got[0]


def _backend() -> Any:  # noqa: ANN401 - see Ring
    """Return the backend that the library would use; of several, the first, for the others may be worse."""
    try:
        library = importlib.import_module("keyring")
    except ImportError:
        raise _refused("the keyring needs a module that is not installed", hint=f"pip install 'slurm-gateway[keyring]'. {_HINT}") from None
    ring = library.get_keyring()
    chained = getattr(ring, "backends", None)
    if chained is not None:
        ring = next(iter(chained), None)
    if ring is None or type(ring).__module__ in _NOT_ONE:
        raise _refused("there is no keyring here that works")
    if type(ring).__module__.startswith("keyrings.alt") or "plaintext" in type(ring).__name__.lower():
        raise _refused(f"{type(ring).__name__} is no keyring that keeps a secret")
    return ring


def _seconds(environment: Mapping[str, str]) -> float:
    said = environment.get(_VARIABLE)
    if not said:
        return SECONDS
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 86400:  # noqa: PLR2004 - a day
        raise GatewayError(f"{_VARIABLE} is no number of seconds", hint=f"For example {_VARIABLE}=60.", reason="bad_setting")
    return seconds


def _refused(message: str, *, hint: str = _HINT) -> GatewayError:
    return GatewayError(message, hint=hint, reason="no_keyring")

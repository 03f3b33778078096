from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType

import pytest

from gateway.client import keyring
from gateway.client.errors import GatewayError
from gateway.secret import Secret

HINT = "Without --keyring, login keeps the token in a file that only you can read."


class Backend:
    """What a backend of the library is to us."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Forgetful(Backend):
    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username, password


class Locked(Backend):
    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username
        raise RuntimeError(password)


class PlaintextKeyring(Backend):
    pass


class Chain(Backend):
    def __init__(self, *backends: Backend) -> None:
        super().__init__()
        self.backends = list(backends)


def of_module(name: str) -> Backend:
    backend = type("Keyring", (Backend,), {"__module__": name})()
    assert isinstance(backend, Backend)
    return backend


def installed(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    library = ModuleType("keyring")
    library.get_keyring = lambda: backend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)


def test_a_token_is_kept_found_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()
    installed(monkeypatch, backend)
    ring = keyring.opened({})
    ring.put("here", Secret(b"sgw_a"))
    found = ring.get("here")
    assert found is not None
    assert (found.reveal(), backend.kept) == (b"sgw_a", {("slurm-gateway", "here"): "sgw_a"})
    ring.remove("here")
    ring.remove("here")
    assert (ring.get("here"), backend.kept) == (None, {})


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (of_module("keyring.backends.fail"), "there is no keyring here that works"),
        (of_module("keyring.backends.null"), "there is no keyring here that works"),
        (Chain(), "there is no keyring here that works"),
        (Chain(of_module("keyring.backends.fail"), Backend()), "there is no keyring here that works"),
        (PlaintextKeyring(), "PlaintextKeyring is no keyring that keeps a secret"),
        (Chain(PlaintextKeyring(), Backend()), "PlaintextKeyring is no keyring that keeps a secret"),
        (of_module("keyrings.alt.file"), "Keyring is no keyring that keeps a secret"),
    ],
)
def test_what_keeps_nothing_or_not_secretly_is_no_keyring(monkeypatch: pytest.MonkeyPatch, found: Backend, what: str) -> None:
    installed(monkeypatch, found)
    with pytest.raises(GatewayError) as caught:
        keyring.opened({})
    assert (str(caught.value), caught.value.hint, caught.value.reason) == (what, HINT, "no_keyring")


def test_of_several_the_first_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Backend()
    installed(monkeypatch, Chain(first, PlaintextKeyring()))
    keyring.opened({}).put("here", Secret(b"t"))
    assert len(first.kept) == 1


def test_a_library_that_is_not_installed_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(GatewayError, match="needs a module that is not installed") as caught:
        keyring.opened({})
    assert caught.value.hint == f"pip install 'slurm-gateway[keyring]'. {HINT}"


def test_a_keyring_that_forgets_is_found_out() -> None:
    with pytest.raises(GatewayError, match="the keyring does not keep what it is given") as caught:
        keyring.Ring(Forgetful()).put("here", Secret(b"t"))
    assert caught.value.hint == HINT


def test_a_keyring_that_fails_says_nothing_of_the_token() -> None:
    with pytest.raises(GatewayError) as caught:
        keyring.Ring(Locked()).put("here", Secret(b"sgw_a"))
    assert (str(caught.value), caught.value.hint) == ("the keyring cannot be used (RuntimeError)", HINT)


def test_a_keyring_that_never_answers_is_not_waited_for_for_ever() -> None:
    never = threading.Event()
    try:
        with pytest.raises(GatewayError, match=r"the keyring did not answer within 0\.05 s") as caught:
            keyring.bounded(lambda: never.wait(60), 0.05)
    finally:
        never.set()
    assert caught.value.hint == f"Is it locked? SLURM_GATEWAY_KEYRING_TIMEOUT sets the limit in seconds. {HINT}"


@pytest.mark.parametrize("said", ["x", "0", "-1", "nan", "inf", "1e9"])
def test_a_limit_that_is_none_is_told(said: str) -> None:
    with pytest.raises(GatewayError, match="is no number of seconds") as caught:
        keyring.opened({"SLURM_GATEWAY_KEYRING_TIMEOUT": said})
    assert caught.value.hint == "For example SLURM_GATEWAY_KEYRING_TIMEOUT=60."


def test_the_environment_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, Backend())
    assert (keyring.opened({"SLURM_GATEWAY_KEYRING_TIMEOUT": "5"})._seconds, keyring.opened({})._seconds) == (5.0, 30.0)


@pytest.mark.parametrize("name", ["fail", "null", "chainer"])
def test_the_librarys_own_backends_that_keep_nothing_are_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    library = pytest.importorskip("keyring")
    backend = importlib.import_module(f"keyring.backends.{name}")
    ring = (backend.ChainerBackend if name == "chainer" else backend.Keyring)()
    monkeypatch.setattr(library, "get_keyring", lambda: ring)
    if name == "chainer":
        monkeypatch.setattr(type(ring), "backends", [])
    with pytest.raises(GatewayError, match="there is no keyring here that works"):
        keyring.opened({})

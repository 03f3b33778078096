from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.config import Audit, SecretFileError, Store
from gateway.observe.audit.keys import AuditKey, audit_key_file, load_audit_key, new_audit_key, public_key
from tests.unit.observe.audit.conftest import KEY, OTHER_KEY
from tests.web import fakes

FOREIGN = generate_private_key(SECP256R1())


def test_a_new_key_is_its_owners_alone_and_can_be_read(tmp_path: Path) -> None:
    assert new_audit_key(tmp_path / "key")
    assert ((tmp_path / "key").stat().st_mode & 0o777, len(load_audit_key(tmp_path / "key").fingerprint)) == (0o600, 32)


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    fakes.private(tmp_path / "key", fakes.AUDIT_KEY)
    assert (new_audit_key(tmp_path / "key"), (tmp_path / "key").read_bytes()) == (False, fakes.AUDIT_KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense",
        FOREIGN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        FOREIGN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretFileError):
        load_audit_key(fakes.private(tmp_path / "key", content))


def test_the_key_is_beside_the_ring_unless_it_is_said() -> None:
    store = Store.model_validate({"url": "sqlite:////x/y", "key_ring_file": "/etc/gateway/ring"})
    assert audit_key_file(Audit(), store) == Path("/etc/gateway/audit.key")
    assert audit_key_file(Audit.model_validate({"key_file": "/a/b"}), store) == Path("/a/b")


def test_a_signature_is_one_keys_of_one_message() -> None:
    signature = KEY.sign(b"message")
    told = public_key(KEY.public.pem().encode())
    assert (told.fingerprint, told.has_signed(b"message", signature)) == (KEY.fingerprint, True)
    assert not any((told.has_signed(b"other", signature), OTHER_KEY.public.has_signed(b"message", signature), told.has_signed(b"message", b"")))


def test_a_mac_is_one_keys_of_one_message() -> None:
    mac = KEY.mac(b"message")
    assert (KEY.has_made(b"message", mac), KEY.has_made(b"other", mac), OTHER_KEY.has_made(b"message", mac)) == (True, False, False)


@pytest.mark.parametrize("pem", [b"", b"nonsense", FOREIGN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])
def test_what_is_no_public_key_is_refused(pem: bytes) -> None:
    with pytest.raises(ValueError, match="no "):
        public_key(pem)


def test_a_key_shows_itself_nowhere() -> None:
    assert repr(KEY) == f"AuditKey({KEY.fingerprint})"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    assert isinstance(KEY, AuditKey)

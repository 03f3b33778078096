"""The key that signs the chain: Ed25519 (RFC 8032) in a file of its own, and beside it, derived from it, the key of the head file's MAC."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.config import Audit, SecretFileError, Store, read_secret, write_new_secret

_DIGITS = 32


class PublicKey:
    """What whoever verifies a trail has of the key."""

    __slots__ = ("_key", "fingerprint")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.fingerprint = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:_DIGITS]

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``message``."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> str:
        """Return the key as it is handed to whoever verifies (PEM, RFC 8410)."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


class AuditKey:
    """The gateway's own key; nothing shows it."""

    __slots__ = ("_mac_key", "_private", "fingerprint", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self._mac_key = HKDF(hashes.SHA256(), 32, None, b"slurm-gateway audit head").derive(private.private_bytes_raw())
        self.public = PublicKey(private.public_key())
        self.fingerprint = self.public.fingerprint

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``."""
        return self._private.sign(message)

    def mac(self, message: bytes) -> str:
        """Return the HMAC-SHA-256 of ``message`` (RFC 2104), in hex."""
        return hmac.digest(self._mac_key, message, "sha256").hex()

    def has_made(self, message: bytes, mac: str) -> bool:
        """Tell whether ``mac`` is this key's of ``message``."""
        return hmac.compare_digest(self.mac(message), mac)

    def __repr__(self) -> str:
        return f"AuditKey({self.fingerprint})"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def audit_key_file(audit: Audit, store: Store) -> Path:
    """Return where the key is: where the configuration says, else beside the key ring."""
    return audit.key_file or store.key_ring_file.with_name("audit.key")


def load_audit_key(path: Path) -> AuditKey:
    """Read the private key (PEM); raise SecretFileError when there is none that only we may read."""
    try:
        key = load_pem_private_key(read_secret(path).reveal(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretFileError(f"{path} is no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretFileError(f"{path} is no Ed25519 key")
    return AuditKey(key)


def new_audit_key(path: Path) -> bool:
    """Write a fresh key to ``path`` (mode 0600) unless something is there; tell whether it was written. Raises OSError."""
    return write_new_secret(path, Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_key(pem: bytes) -> PublicKey:
    """Read a public key (PEM); raise ValueError when it is none."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("no Ed25519 key")  # noqa: TRY004 - what is wrong is the file's content
    return PublicKey(key)

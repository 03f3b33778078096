"""Sealing of secrets: AES-256-GCM, each bound to the row it stands in, under the newest key of a ring (NIST SP 800-38D)."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Secret, SecretFileError, read_secret

_KEY_BYTES = 32
_NONCE_BYTES = 12
_LINE = re.compile(rb"([a-z0-9]{1,16}):([A-Za-z0-9+/]{43}=)")
_VERSION = b"1"


class BrokenSealError(Exception):
    """What was sealed cannot be opened: another row's, changed, or sealed under a key that the ring no longer has."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys by their id, newest first: the first one seals, every one opens."""

    current: str
    keys: Mapping[str, AESGCM] = field(repr=False)

    def seal(self, plain: bytes, row: str) -> bytes:
        """Return ``plain`` sealed for ``row``, which has to be given again to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        head = _VERSION + b":" + self.current.encode() + b":"
        return head + nonce + self.keys[self.current].encrypt(nonce, plain, head + row.encode())

    def open(self, sealed: bytes, row: str) -> Secret:
        """Return what was sealed for ``row``; raise BrokenSealError when it is not that, or not whole."""
        version, _, rest = sealed.partition(b":")
        key_id, _, body = rest.partition(b":")
        key = self.keys.get(key_id.decode("ascii", "replace"))
        if version != _VERSION or key is None or len(body) <= _NONCE_BYTES:
            raise BrokenSealError("sealed under a key that the ring does not have")
        head = version + b":" + key_id + b":"
        try:
            return Secret(key.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], head + row.encode()))
        except InvalidTag:
            raise BrokenSealError("not sealed for this row, or changed since") from None


def load_key_ring(path: Path) -> KeyRing:
    """Read a ring: a line ``id:base64`` a key, newest first; raise SecretFileError when there is none or it is malformed."""
    lines = read_secret(path).reveal().split()
    keys: dict[str, AESGCM] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or match[1].decode() in keys:
            raise SecretFileError(f"{path}: line {number} is no key, or its id stands twice")
        try:
            keys[match[1].decode()] = AESGCM(base64.b64decode(match[2], validate=True))
        except (binascii.Error, ValueError):
            raise SecretFileError(f"{path}: line {number} is no key of {_KEY_BYTES} bytes") from None
    if not keys:
        raise SecretFileError(f"{path} holds no key")
    return KeyRing(next(iter(keys)), keys)


def new_key_ring(path: Path) -> bool:
    """Write a ring with one random key to ``path`` (mode 0600) unless something is there; tell whether it was written.

    The file appears whole or not at all: it is written beside and linked into place. Raises OSError.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"k1:" + base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True

"""Sealing of secrets: AES-256-GCM, each bound to the row it stands in, under the newest key of a ring (NIST SP 800-38D)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Secret, SecretFileError, read_secret
from gateway.errors import StoreUnavailable

_KEY_BYTES = 32
_NONCE_BYTES = 12
_LINE = re.compile(rb"([a-z0-9]{1,16}):([A-Za-z0-9+/]{43}=)")
_NUMBERED = re.compile(r"k([0-9]{1,9})")
_VERSION = b"1"
# Whoever shows the gateway seals of unknown keys makes it read the file this often, in seconds, unless the file has changed.
_LOOK_AGAIN_AFTER = 1.0


class BrokenSealError(Exception):
    """What was sealed cannot be opened: another row's, changed, or sealed under a key that the ring no longer has."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys by their id, in the order of the file: the first one seals, every one opens."""

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


def key_of(sealed: bytes) -> str:
    """Return the id of the key that something was sealed under, as it claims itself."""
    return sealed.partition(b":")[2].partition(b":")[0].decode("ascii", "replace")


def load_key_ring(path: Path) -> KeyRing:
    """Read a ring: a line ``id:base64`` a key, the first seals; raise SecretFileError when there is none or it is malformed."""
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


class KeyRingFile:
    """The ring as its file has it now: read again before something is sealed, and when something is met that an unknown key sealed.

    So a gateway that runs follows ``keys stage``, ``rotate`` and ``prune`` by itself. Reading is done off the event loop.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; raise SecretFileError."""
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._ring = load_key_ring(path)
        self._read_at = clock()
        self._reading = asyncio.Lock()

    async def seal(self, plain: bytes, row: str) -> bytes:
        """Return ``plain`` sealed for ``row`` under the key that is the first now; raise StoreUnavailable when the file cannot be read."""
        try:
            await self.refresh()
        except SecretFileError as error:
            # Under a key that is on its way out, it might soon not open any more.
            raise StoreUnavailable(f"store.key_ring_file: {error}") from error
        return self._ring.seal(plain, row)

    async def open(self, sealed: bytes, row: str) -> Secret:
        """Return what was sealed for ``row``; raise BrokenSealError when it is not that, or not whole, or no key in the file opens it."""
        if key_of(sealed) not in self._ring.keys:
            await self._look_again()
        return self._ring.open(sealed, row)

    async def refresh(self) -> None:
        """Read the file; raise SecretFileError and keep the old ring when that fails."""
        async with self._reading:
            await self._read()

    async def _look_again(self) -> None:
        """Read the file if it has changed, or has not been read for a second; what cannot be read leaves the old ring."""
        async with self._reading:
            changed = await asyncio.to_thread(_stamp, self._path) != self._stamp
            if changed or self._clock() - self._read_at >= _LOOK_AGAIN_AFTER:
                with contextlib.suppress(SecretFileError):
                    await self._read()

    async def _read(self) -> None:
        self._read_at = self._clock()
        stamp = await asyncio.to_thread(_stamp, self._path)
        self._ring = await asyncio.to_thread(load_key_ring, self._path)
        # Taken before the file was read: what is written meanwhile is read the next time.
        self._stamp = stamp


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file is replaced or written to."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def new_key_ring(path: Path) -> bool:
    """Write a ring with one random key to ``path`` (mode 0600) unless something is there; tell whether it was written.

    The file appears whole or not at all: it is written beside and linked into place. Raises OSError.
    """
    if path.exists():
        return False
    draft = _draft(path, [_new_line("k1")])
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _new_line(key_id: str) -> bytes:
    return key_id.encode() + b":" + base64.b64encode(os.urandom(_KEY_BYTES))


def _draft(path: Path, lines: Sequence[bytes]) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    return draft


class RingEditor:
    """Changes a ring's file, one at a time: ``with RingEditor(path) as ring``. Raises SecretFileError, OSError, BlockingIOError.

    Every change replaces the file in one step, with mode 0600 and the owner that it had; a crash leaves the old one or the new one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    def __enter__(self) -> Self:
        self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            load_key_ring(self._path)
        except BaseException:
            os.close(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    @property
    def ring(self) -> KeyRing:
        """The keys as they are now."""
        return load_key_ring(self._path)

    def staged(self) -> str | None:
        """Return the newest key that was staged and has not been the first yet, or None."""
        newest = max(self.ring.keys, key=_number)
        return newest if self.is_staged(newest) else None

    def is_staged(self, key_id: str) -> bool:
        """Tell whether a key is newer than the first one; ids of another making than ``stage``'s count as old."""
        return _number(key_id) > _number(self.ring.current)

    def stage(self) -> str:
        """Put a new key at the end, where it opens and does not seal; return its id."""
        key_id = f"k{max(map(_number, self.ring.keys)) + 1}"
        self._write([*self._lines(), _new_line(key_id)])
        return key_id

    def promote(self, key_id: str) -> None:
        """Let a key be the first, which seals from now on."""
        self._write(sorted(self._lines(), key=lambda line: not line.startswith(key_id.encode() + b":")))

    def drop(self, key_ids: Collection[str]) -> Sequence[bytes]:
        """Take keys out, never the first; return what ``restore`` needs to put them back."""
        before = self._lines()
        self._write([line for number, line in enumerate(before) if number == 0 or line.partition(b":")[0].decode() not in key_ids])
        return before

    def restore(self, lines: Sequence[bytes]) -> None:
        """Put the ring back as it was before ``drop``."""
        self._write(lines)

    def _lines(self) -> list[bytes]:
        return read_secret(self._path).reveal().split()

    def _write(self, lines: Sequence[bytes]) -> None:
        owner = self._path.stat()
        draft = _draft(self._path, lines)
        try:
            if os.geteuid() == 0:
                os.chown(draft, owner.st_uid, owner.st_gid)
            draft.replace(self._path)
        except OSError:
            draft.unlink()
            raise
        os.fsync(self._folder)


def _number(key_id: str) -> int:
    """Return the number in an id of our making, ``k7``; 0 for any other."""
    match = _NUMBERED.fullmatch(key_id)
    return int(match[1]) if match else 0

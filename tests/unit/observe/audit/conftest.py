"""A trail of one's own, and its verification as the command does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.observe.audit.event import Event
from gateway.observe.audit.file import ChainedFile
from gateway.observe.audit.keys import AuditKey
from gateway.observe.audit.reading import open_trail, siblings
from gateway.observe.audit.verify import Found, Mark, Verifier

KEY = AuditKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
OTHER_KEY = AuditKey(Ed25519PrivateKey.from_private_bytes(b"o" * 32))


def event(number: int = 0, **fields: object) -> bytes:
    return Event(event="request", at=1_700_000_000.0 + number, status=number, **fields).line()  # type: ignore[arg-type]  # as the test has them


def verified(path: Path, *, key: AuditKey = KEY, keys: Iterable[AuditKey] = (KEY,), marks: tuple[Mark, ...] = ()) -> Found:
    """Verify the trail at ``path`` with everything that it was rotated to."""
    opened = open_trail(siblings(path), key, headed=path)
    try:
        verifier = Verifier({each.fingerprint: each.public for each in keys}, marks)
        for line in opened.lines():
            verifier.take(line)
        return verifier.finish(opened.head, opened.seal, "HEAD")
    finally:
        opened.close()


def kinds(found: Found) -> list[str]:
    return [fault.kind for fault in found.faults]


Write = Callable[..., ChainedFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def trail(path: Path) -> Iterable[ChainedFile]:
    made = ChainedFile(path, KEY)
    yield made
    made.close()

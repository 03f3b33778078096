"""Recovery codes: ten for the day the telephone is lost, each good once (pure, but for the making of them)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

COUNT = 10
_FORM = re.compile(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}")
ENTROPY_BYTES = 10  # eighty bits a code, too many to try even against the hashes


def make_code(entropy: bytes) -> str:
    """Return the code that spells ``entropy``, ten random bytes: sixteen characters of base32 in four groups."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a recovery code is made of {ENTROPY_BYTES} random bytes")
    text = base64.b32encode(entropy).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))


def new_codes() -> tuple[str, ...]:
    """Return ten codes that nobody has had before."""
    return tuple(make_code(secrets.token_bytes(ENTROPY_BYTES)) for _ in range(COUNT))


def is_recovery_code(otp: str) -> bool:
    """Tell a recovery code from any other by its form."""
    return _FORM.fullmatch(otp) is not None


def code_digest(username: str, code: str) -> bytes:
    """Return what the store keeps of a code: SHA-256, bound to its owner."""
    return hashlib.sha256(f"{username}\0{code}".encode()).digest()

"""The gateway's own tokens and tickets: opaque, recognisable by secret scanners, refused by checksum when mistyped (all pure).

``sgw_`` (``sgt_`` for a ticket, which lets somebody enrol once) + 43 base62 characters (256 random bits) + 6 of CRC-32, as secret
scanners know it from other services.
The store keeps only the SHA-256: 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import re
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN, TICKET = "sgw_", "sgt_"
_SHAPE = re.compile(r"[0-9A-Za-z]{49}")
_BODY = 43
_CHECKSUM = 6
ENTROPY_BYTES = 32


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM)


def make_token(entropy: bytes, prefix: str = TOKEN) -> str:
    """Return the token that spells ``entropy``, 32 random bytes; raise ValueError for another number of bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a token is made of {ENTROPY_BYTES} random bytes")
    text = prefix + _base62(int.from_bytes(entropy), _BODY)
    return text + _checksum(text)


def is_well_formed(token: str, prefix: str = TOKEN) -> bool:
    """Tell whether the shape and the checksum are those of a token of ours; if not, there is no need to look it up."""
    shaped = token.startswith(prefix) and _SHAPE.fullmatch(token.removeprefix(prefix)) is not None
    return shaped and _checksum(token[:-_CHECKSUM]) == token[-_CHECKSUM:]


def token_digest(token: str) -> bytes:
    """Return the SHA-256 that the store knows ``token`` by."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

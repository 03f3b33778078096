"""The few shapes of BER (X.690 section 8) that LDAP uses: definite lengths, tags of one byte (RFC 4511 section 5.1; pure)."""

from __future__ import annotations

_LONG_FORM = 0x80
_HIGH_TAG = 0x1F
# More than any length that fits into memory needs.
_MAX_LENGTH_BYTES = 4


class NotBerError(ValueError):
    """The bytes are not what LDAP takes for BER."""


def head(data: bytes | bytearray, at: int = 0) -> tuple[int, int, int] | None:
    """Return the tag of the element that begins ``at``, and where its value begins and ends; None when too few bytes are there to tell.

    Raises NotBerError for tags of several bytes and for lengths that are indefinite or of more than four bytes.
    """
    if len(data) < at + 2:
        return None
    tag, length = data[at], data[at + 1]
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise NotBerError("a tag of several bytes")
    begin = at + 2
    if length < _LONG_FORM:
        return tag, begin, begin + length
    count = length - _LONG_FORM
    if not 0 < count <= _MAX_LENGTH_BYTES:
        raise NotBerError("a length that LDAP does not know")
    if len(data) < begin + count:
        return None
    return tag, begin + count, begin + count + int.from_bytes(data[begin : begin + count], "big")


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and values of the elements that ``data`` is made of, to the last byte; raise NotBerError when it is not."""
    found = []
    at = 0
    while at < len(data):
        this = head(data, at)
        if this is None or this[2] > len(data):
            raise NotBerError("an element is cut short")
        tag, begin, at = this
        found.append((tag, data[begin:at]))
    return found

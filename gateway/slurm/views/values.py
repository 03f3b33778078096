"""Single values of Slurm's answers, which change their shape from version to version, read from their JSON.

What is looked at is decoded, and only that: whatever goes out again is the very bytes that came. An absent value is given as ``b""``.
"""

from __future__ import annotations

import msgspec

_TEXT = msgspec.json.Decoder(str)


class Number(msgspec.Struct, forbid_unknown_fields=True):
    """A number as it is told from v0.0.39 on: not set, without end, or ``number``."""

    set: bool
    infinite: bool
    number: msgspec.Raw


_NUMBER = msgspec.json.Decoder(Number)
_INTEGER = msgspec.json.Decoder(int)
_STRINGS = msgspec.json.Decoder(list[str])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def utf8(value: bytes) -> bytes:
    """Return ``value`` with U+FFFD for what is not UTF-8: Slurm passes on whatever bytes a user gave a job for a name."""
    return value.decode(errors="replace").encode()


def text(value: bytes) -> str | None:
    """Return the string that ``value`` is, or None when it is none."""
    if value[:1] != b'"':
        return None
    try:
        return _TEXT.decode(value)
    except UnicodeDecodeError:
        return _TEXT.decode(utf8(value))


def words(value: bytes) -> tuple[str, ...]:
    """Return the words that ``value`` has: it is one, or a list of them."""
    word = text(value)
    if word is not None:
        return (word,)
    try:
        return tuple(_STRINGS.decode(utf8(value)))
    except msgspec.DecodeError:
        return ()


def integer(value: bytes) -> int | None:
    """Return the integer that ``value`` is, told plainly or as ``Number``, or None when it is none."""
    told = number(value)
    try:
        return _INTEGER.decode(value if told is None else told)
    except msgspec.DecodeError:
        return None


def number(value: bytes) -> bytes | None:
    """Return the JSON number in a ``Number``, ``b"infinite"``, or ``b""`` when it is not set; None when ``value`` is something else."""
    if value[:1] != b"{":
        return None
    try:
        told = _NUMBER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if told.infinite:
        return b"infinite"
    return bytes(told.number) if told.set else b""


def members(value: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the members of the object that ``value`` is, or None when it is none."""
    try:
        return _OBJECT.decode(utf8(value))
    except msgspec.DecodeError:
        return None


def compact(value: bytes) -> bytes:
    """Return the same JSON on one line, without blanks between its tokens; the tokens stay what they are."""
    return msgspec.json.format(value, indent=-1)

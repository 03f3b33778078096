"""A value that is never shown: what holds a password, a key or a token wherever it might be printed."""

from __future__ import annotations


class Secret:
    """Bytes that never appear in a repr, a log, an error or a pickle; ``reveal`` is the only way to them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __len__(self) -> int:
        return len(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

"""An entry as the directory sent it, and the account that it stands for (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_MAX_UID = 2**32 - 2
_UID = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A DN in the server's spelling, and attributes by their names in lower case."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    def text(self, attribute: str) -> str | None:
        """Return the one ASCII value of an attribute; None when there is none, several, or another kind of value."""
        values = self.attributes.get(attribute.casefold(), ())
        if len(values) != 1:
            return None
        try:
            return values[0].decode("ascii")
        except UnicodeDecodeError:
            return None

    def uid(self, attribute: str) -> int | None:
        """Return the one value of an attribute as a uid; None when it is none."""
        text = self.text(attribute)
        if text is None or _UID.fullmatch(text) is None or int(text) > _MAX_UID:
            return None
        return int(text)

r"""What people type for a name, and what it is compared with: ``user``, ``user@domain`` and ``DOMAIN\user`` (pure)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A typed name: the bare ``name``, the ``principal`` if it was typed as ``user@domain``, and whether its domain is none of ours."""

    name: str
    principal: str | None = None
    foreign: bool = False

    @property
    def key(self) -> str:
        """What attempts are counted under for a name that nobody has."""
        return self.name.casefold()


def spelling(typed: str, domains: Collection[str]) -> Spelling:
    """Take a typed name apart; one of another domain keeps all of itself, so that it counts for nobody of ours."""
    ours = {domain.casefold() for domain in domains}
    domain, backslash, user = typed.partition("\\")
    if backslash:
        return Spelling(name=user) if domain.casefold() in ours and user else Spelling(name=typed, foreign=True)
    user, at, domain = typed.partition("@")
    if at:
        return Spelling(name=user, principal=typed) if domain.casefold() in ours and user else Spelling(name=typed, foreign=True)
    return Spelling(name=typed)

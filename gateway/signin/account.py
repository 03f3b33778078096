"""What the directory knows of somebody: values that the rooms above it pass around (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field

# The group that everybody must be in who may use the gateway; where none is configured, everybody is in it.
REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A Slurm user in the directory's own spelling, the configured groups that have them (by name), and why they are barred, if they are."""

    username: str
    uid: int
    groups: frozenset[str]
    barred: str | None = None

    @property
    def member(self) -> bool:
        """Whether the required group has them."""
        return REQUIRED in self.groups


@dataclass(frozen=True, slots=True)
class Denied:
    """The directory said no; ``cause`` is for the audit trail alone."""

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Whom a typed name stands for, before any password: an account, or why there is none.

    ``key`` is the one name that attempts are counted under, whatever spelling was typed. ``entry`` is the directory's own.
    """

    key: str
    account: Account | Denied
    entry: object = field(default=None, repr=False)

"""Whom a Slurm JWT may never be minted for.

The power to mint is the power of root on the cluster: slurmctld takes an all-digit ``sun`` for a uid, and lets SlurmUser and
root name any other user. This is asked at sign-in, so that the audit trail says why, and again at every mint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The portable user name (POSIX 3.437) without a leading hyphen, bounded as useradd bounds it, and a little generous for directories.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def is_well_formed(name: str) -> bool:
    """Tell whether a Slurm user could be called ``name``."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A Slurm user as the directory spells it: ``username`` and numeric ``uid``."""

    username: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRules:
    """Which subjects are refused: reserved names in any spelling, all-digit names, and uids below ``minimum_uid``."""

    reserved: frozenset[str]
    minimum_uid: int

    @classmethod
    def of(cls, slurm_user: str, reserved_users: tuple[str, ...], minimum_uid: int) -> NameRules:
        """Make the rules; ``root`` and SlurmUser are reserved whatever the configuration says."""
        return cls(reserved=frozenset(name.casefold() for name in ("root", slurm_user, *reserved_users)), minimum_uid=minimum_uid)

    def refusal(self, subject: Subject) -> str | None:
        """Return why nothing may be minted for ``subject``, or None when it may."""
        if not is_well_formed(subject.username):
            return "name_malformed"
        if subject.username.isdigit():
            return "name_all_digits"
        if subject.username.casefold() in self.reserved:
            return "name_reserved"
        if subject.uid < self.minimum_uid:
            return "uid_below_minimum"
        return None

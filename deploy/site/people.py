"""Who is in the directory, and why: each entry is there to show one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An entry of the directory. `number` None: the number of the account with this name."""

    name: str
    number: int | None = None
    user: bool = True
    """In hpc-users, the group that the gateway asks for."""
    admin: bool = False
    enrolled: bool = True
    locked: bool = False


EVERYBODY = (
    Person(name="alice"),
    Person(name="bob"),
    Person(name="carol", enrolled=False),
    Person(name="dave", user=False),
    Person(name="erin", locked=True),
    Person(name="adele", admin=True),
    # Three traps that must never get through: a Slurm token for any of them would be somebody else's power.
    Person(name="root", number=0),
    Person(name="slurm"),
    Person(name="33", number=33),
)

"""The accounts of the site, and the private /etc that knows them; the host's own is never written."""

from __future__ import annotations

import grp
import pwd
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import owned_directory
from .layout import Layout
from .namespace import HOST_NAME

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "adele")
SERVICE_USERS = ("mysql", "munge", "slurm", "slurmrestd", "sgw-ldap", "sgw-gateway", "sgw-nginx")
FIRST_PERSON = 70001
FIRST_SERVICE_USER = 70101

NSSWITCH = "passwd: files\ngroup: files\nshadow: files\ngshadow: files\nhosts: files\n"
HOSTS = f"127.0.0.1 localhost {HOST_NAME}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One line of the private passwd, and one of the private group with the same number."""

    name: str
    number: int
    home: Path
    login_shell: str

    def passwd_line(self) -> str:
        """Return its line of passwd(5)."""
        return f"{self.name}:x:{self.number}:{self.number}::{self.home}:{self.login_shell}"

    def group_line(self) -> str:
        """Return the line of group(5) with its name and number."""
        return f"{self.name}:x:{self.number}:"


def choose_ids(in_use: Callable[[int], bool]) -> dict[str, int]:
    """Return a number for every account, none of which the host uses."""
    people = _numbered(PEOPLE, FIRST_PERSON, in_use)
    return {**people, **_numbered(SERVICE_USERS, FIRST_SERVICE_USER, lambda number: number in people.values() or in_use(number))}


def _numbered(names: Iterable[str], first: int, in_use: Callable[[int], bool]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    number = first
    for name in names:
        while in_use(number):
            number += 1
        chosen[name] = number
        number += 1
    return chosen


def in_use_here(number: int) -> bool:
    """Whether the host knows a user or group of this number, from whatever source."""
    return _known(pwd.getpwuid, number) or _known(grp.getgrgid, number)


def _known(look_up: Callable[[int], object], number: int) -> bool:
    try:
        look_up(number)
    except KeyError:
        return False
    return True


def accounts(layout: Layout, ids: dict[str, int]) -> list[Account]:
    """Return everybody: people with a home and a shell, services with neither."""
    people = [Account(name=name, number=ids[name], home=layout.home(name), login_shell="/bin/sh") for name in PEOPLE]
    services = [Account(name=name, number=ids[name], home=Path("/nonexistent"), login_shell="/usr/sbin/nologin") for name in SERVICE_USERS]
    return [*people, *services]


def merged(host: str, names: Sequence[str], numbers: Sequence[int], ours: Sequence[str]) -> str:
    """Return the host's lines of passwd or group, without those that share a name or number with ours, then ours."""
    taken = {str(number) for number in numbers}
    kept = [line for line in host.splitlines() if line.strip() and not _clashes(line.split(":"), names, taken)]
    return "\n".join([*kept, *ours]) + "\n"


def _clashes(fields: list[str], names: Sequence[str], numbers: set[str]) -> bool:
    return fields[0] in names or (not numbers.isdisjoint(fields[2:3]))


def build_private_etc(layout: Layout, everybody: Sequence[Account]) -> None:
    """Make DIR/etc: our own passwd, group, nsswitch.conf and hosts, and a link to the host's for everything else.

    A whole directory, because a file that is mounted over /etc/passwd vanishes when the host replaces its own one.
    """
    shutil.rmtree(layout.etc, ignore_errors=True)
    layout.etc.mkdir()
    names, numbers = [account.name for account in everybody], [account.number for account in everybody]
    own = {
        "passwd": merged(_host("passwd"), names, numbers, [account.passwd_line() for account in everybody]),
        "group": merged(_host("group"), names, numbers, [account.group_line() for account in everybody]),
        "nsswitch.conf": NSSWITCH,
        "hosts": HOSTS,
    }
    for name, text in own.items():
        (layout.etc / name).write_text(text)
        (layout.etc / name).chmod(0o644)
    for entry in Path("/etc").iterdir():
        if entry.name not in own:
            source = entry.readlink() if entry.is_symlink() else layout.host_etc / entry.name
            (layout.etc / entry.name).symlink_to(source)


def _host(name: str) -> str:
    return Path("/etc", name).read_text()


def make_homes(layout: Layout, ids: dict[str, int]) -> None:
    """Give every person a directory that nobody else can enter."""
    layout.homes.mkdir(exist_ok=True)
    for person in PEOPLE:
        owned_directory(layout.home(person), ids[person])

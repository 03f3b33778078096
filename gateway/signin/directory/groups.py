"""Which of the configured groups have somebody: flat, nested by the server's own rule (Active Directory), or by walking upwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ldap
import ldap.filter

from gateway.config import Directory as Settings
from gateway.errors import DirectoryUnavailable
from gateway.signin.account import REQUIRED
from gateway.signin.directory.entries import Entry
from gateway.signin.directory.link import Link, Search

# [MS-ADTS] section 3.1.1.3.4.4.3: LDAP_MATCHING_RULE_TRANSITIVE_EVAL, the server follows groups within groups itself.
_IN_CHAIN = ":1.2.840.113556.1.4.1941:"
DEPTH = 10
MOST = 1000
# Groups that one filter names, so that no request grows beyond what a server takes.
_AT_ONCE = 50


def configured(settings: Settings) -> dict[str, str]:
    """Return the DNs of all configured groups by name, the required one first."""
    required = {} if settings.required_group is None else {REQUIRED: settings.required_group}
    return {**required, **settings.groups}


async def groups_of(link: Link, settings: Settings, entry: Entry, name: str) -> frozenset[str]:
    """Return the names of the groups that have the entry (or, with memberUid, the ``name``).

    Raises DirectoryUnavailable when a group is not there: what it would have permitted or denied cannot be told.
    """
    wanted = configured(settings)
    found = frozenset() if settings.required_group is not None else frozenset({REQUIRED})
    if not wanted:
        return found
    if settings.group_member_attribute.casefold() == "memberuid":
        return found | await _having(link, wanted, member_filter(settings.group_member_attribute, [name]))
    if settings.kind == "active_directory":
        return found | await _having(link, wanted, member_filter(settings.group_member_attribute + _IN_CHAIN, [entry.dn]))
    return found | await _walk(link, settings, wanted, entry.dn)


def member_filter(attribute: str, members: Sequence[str]) -> str:
    """Return the filter for groups that have any of ``members``."""
    either = "".join(f"({attribute}={ldap.filter.escape_filter_chars(member, escape_mode=1)})" for member in members)
    return either if len(members) == 1 else f"(|{either})"


async def _walk(link: Link, settings: Settings, wanted: dict[str, str], dn: str) -> frozenset[str]:
    """Look level by level whether a group has what the level below found, and what has that in turn."""
    found: set[str] = set()
    seen, level = {dn.casefold()}, [dn]
    for _ in range(DEPTH if settings.nested_groups else 1):
        parents: list[str] = []
        for start in range(0, len(level), _AT_ONCE):
            members = member_filter(settings.group_member_attribute, level[start : start + _AT_ONCE])
            found |= await _having(link, {name: group for name, group in wanted.items() if name not in found}, members)
            if settings.nested_groups and len(found) < len(wanted):
                parents += await _parents(link, settings, members)
        level = _new(parents, seen)
        if not level or len(found) == len(wanted):
            return frozenset(found)
    return frozenset(found)


def _new(parents: Iterable[str], seen: set[str]) -> list[str]:
    """Return the groups that were not seen before, and note them; raise DirectoryUnavailable when there are too many."""
    level = []
    for parent in parents:
        if parent.casefold() not in seen:
            seen.add(parent.casefold())
            level.append(parent)
    if len(seen) > MOST:
        raise DirectoryUnavailable(f"somebody is in more than {MOST} groups, so that those above them cannot be told")
    return level


async def _having(link: Link, wanted: dict[str, str], members: str) -> frozenset[str]:
    """Return which of the groups match the filter, asking for all of them at once."""
    if not wanted:
        return frozenset()
    answers = await link.search([Search(base=group, filter=members) for group in wanted.values()])
    found = set()
    for name, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, ldap.NO_SUCH_OBJECT):
            raise DirectoryUnavailable(f"the group {name} does not exist, or the service account may not read it")
        if isinstance(answer, ldap.LDAPError):
            raise answer
        if answer:
            found.add(name)
    return frozenset(found)


async def _parents(link: Link, settings: Settings, members: str) -> list[str]:
    base = settings.group_base or settings.user_base
    (answer,) = await link.search([Search(base=base, filter=members, scope=ldap.SCOPE_SUBTREE, limit=MOST)])
    if isinstance(answer, ldap.SIZELIMIT_EXCEEDED):
        raise DirectoryUnavailable(f"somebody is in more than {MOST} groups, so that those above them cannot be told")
    if isinstance(answer, ldap.LDAPError):
        raise answer
    return [entry.dn for entry in answer]

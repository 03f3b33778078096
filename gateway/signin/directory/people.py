"""Finding people with the service account: one search for the entry, one look at the groups, the same for a name that nobody has."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import ldap
import ldap.filter

from gateway.config import Directory as Settings
from gateway.signin.account import Account, Denied
from gateway.signin.directory import states
from gateway.signin.directory.entries import Entry
from gateway.signin.directory.groups import groups_of
from gateway.signin.directory.link import Link, Search
from gateway.signin.directory.names import Spelling

# Two entries already mean that the name is ambiguous; no answer needs more.
_SIZE_LIMIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search for somebody came to: the one entry, if there is one, and the account, or why there is none."""

    entry: Entry | None
    account: Account | Denied


class People:
    """The questions about people that are asked on a link that the service account is bound on."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    async def by_login(self, link: Link, spelled: Spelling) -> Found:
        """Find whom a typed name stands for; in Active Directory a principal name counts as well ([MS-ADTS] section 5.1.1.1.1)."""
        settings = self._settings
        if spelled.foreign:
            # The same questions, about somebody who cannot be.
            await self._found(link, _equals(settings.login_attribute, secrets.token_hex(8)))
            return Found(entry=None, account=Denied("domain_foreign"))
        wanted = _equals(settings.login_attribute, spelled.name)
        if spelled.principal is not None and settings.kind == "active_directory":
            wanted = f"(|{wanted}{_equals('userPrincipalName', spelled.principal)})"
        return await self._found(link, wanted)

    async def by_name(self, link: Link, username: str) -> Found:
        """Find whose Slurm user is exactly ``username``."""
        found = await self._found(link, _equals(self._settings.name_attribute, username))
        if isinstance(found.account, Account) and found.account.username != username:
            return Found(entry=found.entry, account=Denied("name_spelled_otherwise"))
        return found

    async def by_uid(self, link: Link, uid: int) -> Found:
        """Find who has the uid."""
        return await self._found(link, _equals(self._settings.uid_attribute, str(uid)))

    def nobody(self) -> Entry:
        """Return an entry that cannot be."""
        return Entry(dn=f"cn={secrets.token_hex(8)},{self._settings.user_base}")

    async def _found(self, link: Link, wanted: str) -> Found:
        entry = await self._entry(link, wanted)
        # For a name that nobody has, the same questions about one that cannot be: its time is not to tell it apart.
        asked = self.nobody() if isinstance(entry, Denied) else entry
        name = asked.text(self._settings.name_attribute) or secrets.token_hex(8)
        groups = await groups_of(link, self._settings, asked, name)
        if isinstance(entry, Denied):
            return Found(entry=None, account=entry)
        return Found(entry=entry, account=self._account(entry, groups))

    async def _entry(self, link: Link, wanted: str) -> Entry | Denied:
        settings = self._settings
        search = Search(
            base=settings.user_base,
            filter=f"(&{settings.user_filter}{wanted})",
            scope=ldap.SCOPE_SUBTREE,
            attributes=(settings.name_attribute, settings.uid_attribute, *states.ATTRIBUTES[settings.kind]),
            limit=_SIZE_LIMIT,
        )
        (answer,) = await link.search([search])
        if isinstance(answer, ldap.SIZELIMIT_EXCEEDED):
            return Denied("user_ambiguous")
        if isinstance(answer, ldap.LDAPError):
            raise answer
        if not answer:
            return Denied("user_unknown")
        return answer[0] if len(answer) == 1 else Denied("user_ambiguous")

    def _account(self, entry: Entry, groups: frozenset[str]) -> Account | Denied:
        """Return who the entry is; the name is the directory's own, never the typed one: Slurm tells ALICE from alice, LDAP does not."""
        username = entry.text(self._settings.name_attribute)
        if username is None:
            return Denied("name_missing_or_ambiguous")
        uid = entry.uid(self._settings.uid_attribute)
        if uid is None:
            return Denied("uid_missing_or_malformed")
        return Account(username=username, uid=uid, groups=groups, barred=states.barred(entry.attributes, self._clock()))


def _equals(attribute: str, value: str) -> str:
    return f"({attribute}={ldap.filter.escape_filter_chars(value, escape_mode=1)})"

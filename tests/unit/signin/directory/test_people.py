from __future__ import annotations

import pytest

from gateway.signin.account import REQUIRED, Account, Denied
from gateway.signin.directory.link import Link
from gateway.signin.directory.names import spelling
from gateway.signin.directory.people import Found, People
from tests.unit.signin.directory import slapd
from tests.unit.signin.directory.conftest import settings
from tests.unit.signin.directory.slapd import PEOPLE, USERS, Slapd

ALICE = Account(username="alice", uid=1001, groups=frozenset({REQUIRED}))
DOMAINS = ["demo.example", "DEMO"]
NOW = 1_800_000_000.0


def people(server: Slapd, **changes: object) -> People:
    return People(settings(server, domains=DOMAINS, **changes), lambda: NOW)


async def find(link: Link, server: Slapd, typed: str, **changes: object) -> Found:
    return await people(server, **changes).by_login(link, spelling(typed, DOMAINS))


@pytest.mark.parametrize("typed", ["alice", "ALICE", "alice@demo.example", "Alice@Demo", "DEMO\\alice", "demo\\ALICE"])
async def test_every_spelling_is_one_account(link: Link, server: Slapd, typed: str) -> None:
    assert (await find(link, server, typed)).account == ALICE


@pytest.mark.parametrize("typed", ["alice@other.example", "OTHER\\alice"])
async def test_another_domain_is_refused_with_the_same_questions(link: Link, server: Slapd, typed: str) -> None:
    start = server.log.stat().st_size
    assert await find(link, server, typed, required_group=USERS) == Found(entry=None, account=Denied("domain_foreign"))
    assert [line.partition(" ")[0] for line in server.operations(start)] == ["SRCH", "SRCH"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alice", ALICE), ("ALICE", Denied("name_spelled_otherwise")), ("mallory", Denied("user_unknown")), ("twin", Denied("user_ambiguous"))],
)
async def test_a_slurm_name_is_found_in_its_own_spelling(link: Link, server: Slapd, name: str, expected: Account | Denied) -> None:
    assert (await people(server).by_name(link, name)).account == expected


@pytest.mark.parametrize(("uid", "expected"), [(1001, ALICE), (7, Denied("user_unknown"))])
async def test_a_uid_is_found(link: Link, server: Slapd, uid: int, expected: Account | Denied) -> None:
    assert (await people(server).by_uid(link, uid)).account == expected


@pytest.mark.parametrize(
    ("typed", "barred"),
    [("alice", None), ("erin", "account_locked"), ("guessed", None), ("gone", "account_expired"), ("staying", None), ("reset", None)],
)
async def test_an_account_is_barred_without_a_password(link: Link, server: Slapd, typed: str, barred: str | None) -> None:
    account = (await find(link, server, typed)).account
    assert isinstance(account, Account)
    assert account.barred == barred


async def test_somebody_who_cannot_be_a_user_keeps_their_entry(link: Link, server: Slapd) -> None:
    found = await find(link, server, "robot")
    assert found.account == Denied("uid_missing_or_malformed")
    assert found.entry is not None
    assert found.entry.dn == f"uid=robot,{PEOPLE}"


def test_nobody_is_somebody_else_each_time(server: Slapd) -> None:
    first, second = people(server).nobody(), people(server).nobody()
    assert first.dn != second.dn
    assert first.dn.endswith(slapd.BASE)

from __future__ import annotations

import pytest

from gateway.errors import DirectoryUnavailable
from gateway.signin.account import REQUIRED
from gateway.signin.directory import groups
from gateway.signin.directory.entries import Entry
from gateway.signin.directory.groups import configured, groups_of, member_filter
from gateway.signin.directory.link import Link
from tests.unit.signin.directory.conftest import settings
from tests.unit.signin.directory.slapd import CHAIN, GROUPS, PEOPLE, POSIX_USERS, USERS, Slapd

ALICE, DAVE = Entry(dn=f"uid=alice,{PEOPLE}"), Entry(dn=f"uid=Dave,{PEOPLE}")
CHAINED = {f"chain-{number}": f"cn=chain-{number},{GROUPS}" for number in range(CHAIN)}


async def names(link: Link, server: Slapd, entry: Entry, **changes: object) -> frozenset[str]:
    return await groups_of(link, settings(server, **changes), entry, "alice" if entry is ALICE else "Dave")


async def test_without_a_required_group_everybody_is_in_it(link: Link, server: Slapd) -> None:
    assert await names(link, server, DAVE) == {REQUIRED}


async def test_groups_are_told_by_their_names(link: Link, server: Slapd) -> None:
    wanted = {"required_group": USERS, "groups": {"first": CHAINED["chain-0"], "second": CHAINED["chain-1"]}}
    assert await names(link, server, ALICE, **wanted) == {REQUIRED, "first"}
    assert await names(link, server, DAVE, **wanted) == frozenset()


async def test_groups_within_groups_count_to_the_tenth_level(link: Link, server: Slapd) -> None:
    found = await names(link, server, ALICE, groups=CHAINED, nested_groups=True, group_base=GROUPS)
    assert found == {REQUIRED, *(f"chain-{number}" for number in range(groups.DEPTH))}


async def test_groups_within_each_other_end(link: Link, server: Slapd) -> None:
    wanted = {"day": f"cn=day,{GROUPS}", "night": f"cn=night,{GROUPS}", "other": CHAINED["chain-3"]}
    assert await names(link, server, DAVE, groups=wanted, nested_groups=True, group_base=GROUPS) == {REQUIRED, "day", "night"}


async def test_groups_outside_the_base_are_not_walked_through(link: Link, server: Slapd) -> None:
    wanted = {"groups": {"second": CHAINED["chain-1"]}, "nested_groups": True}
    assert await names(link, server, ALICE, **wanted, group_base=PEOPLE) == {REQUIRED}


async def test_a_group_of_names_counts_the_slurm_name(link: Link, server: Slapd) -> None:
    wanted = {"required_group": POSIX_USERS, "group_member_attribute": "memberUid", "nested_groups": True}
    assert await names(link, server, ALICE, **wanted) == {REQUIRED}
    assert await names(link, server, DAVE, **wanted) == frozenset()


@pytest.mark.parametrize("nested", [True, False])
async def test_a_group_that_is_not_there_closes_the_door(link: Link, server: Slapd, nested: bool) -> None:
    with pytest.raises(DirectoryUnavailable, match="the group absent does not exist"):
        await names(link, server, ALICE, required_group=USERS, groups={"absent": f"cn=absent,{GROUPS}"}, nested_groups=nested)


async def test_more_groups_than_can_be_told_close_the_door(link: Link, server: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST", 3)
    with pytest.raises(DirectoryUnavailable, match="more than 3 groups"):
        await names(link, server, ALICE, groups=CHAINED, nested_groups=True, group_base=GROUPS)


@pytest.mark.parametrize("level", range(3))
async def test_a_level_of_many_groups_is_asked_for_in_parts(link: Link, server: Slapd, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    monkeypatch.setattr(groups, "_AT_ONCE", 1)
    wanted = {"wanted": CHAINED[f"chain-{level}"]}
    assert "wanted" in await names(link, server, ALICE, groups=wanted, nested_groups=True, group_base=GROUPS)


def test_members_are_values_and_no_filters() -> None:
    assert member_filter("member", ["cn=a)(b=*"]) == r"(member=cn=a\29\28b=\2a)"
    assert member_filter("member", ["a", "b"]) == "(|(member=a)(member=b))"


def test_the_required_group_comes_first(server: Slapd) -> None:
    assert list(configured(settings(server, required_group=USERS, groups={"a": USERS}))) == [REQUIRED, "a"]

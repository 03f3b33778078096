from __future__ import annotations

import pytest

from gateway.signin.account import REQUIRED, Account, Candidate, Denied


@pytest.mark.parametrize(("groups", "member"), [(set(), False), ({"required"}, True), ({"admins"}, False), ({REQUIRED, "admins"}, True)])
def test_a_member_is_whom_the_required_group_has(groups: set[str], member: bool) -> None:
    assert Account(username="alice", uid=1001, groups=frozenset(groups)).member is member


def test_a_candidate_does_not_show_the_directorys_own() -> None:
    assert "ou=people" not in repr(Candidate(key="alice", account=Denied("user_unknown"), entry="uid=alice,ou=people"))

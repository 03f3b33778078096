from __future__ import annotations

from gateway.signin.account import REQUIRED, Account, Candidate


def test_whoever_the_required_group_has_is_a_member() -> None:
    assert Account(username="alice", uid=2001, groups=frozenset({REQUIRED})).member


def test_other_groups_make_no_member() -> None:
    assert not Account(username="dave", uid=2004, groups=frozenset({"hpc-admins"})).member


def test_what_the_directory_keeps_of_a_candidate_is_not_shown() -> None:
    account = Account(username="alice", uid=2001, groups=frozenset())
    assert "ou=people" not in repr(Candidate(key="alice", account=account, entry="uid=alice,ou=people"))

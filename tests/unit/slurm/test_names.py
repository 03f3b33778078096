from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.names import NameRules, Subject

RULES = NameRules.of("slurm", ("munge", "Backup"), 1000)


@pytest.mark.parametrize("username", ["alice", "Alice", "a", "_svc", "a.b-c_d", "x33", "33x", "0x21", "rooty", "slurm2", "a" * 64])
def test_an_ordinary_person_may_be_minted_for(username: str) -> None:
    assert RULES.refusal(Subject(username=username, uid=1000)) is None


@pytest.mark.parametrize(
    ("username", "uid", "cause"),
    [
        ("root", 1001, "name_reserved"),
        ("ROOT", 1001, "name_reserved"),
        ("Root", 0, "name_reserved"),
        ("slurm", 1001, "name_reserved"),
        ("Slurm", 64030, "name_reserved"),
        ("munge", 1001, "name_reserved"),
        ("backup", 1001, "name_reserved"),
        ("0", 1001, "name_all_digits"),
        ("33", 1001, "name_all_digits"),
        ("007", 1001, "name_all_digits"),
        ("www-data", 33, "uid_below_minimum"),
        ("toor", 0, "uid_below_minimum"),
        ("alice", 999, "uid_below_minimum"),
        ("alice", -1, "uid_below_minimum"),
        ("", 1001, "name_malformed"),
        (" alice", 1001, "name_malformed"),
        ("alice ", 1001, "name_malformed"),
        ("alice\n", 1001, "name_malformed"),
        ("-alice", 1001, "name_malformed"),
        ("+33", 1001, "name_malformed"),
        ("-1", 1001, "name_malformed"),
        (".alice", 1001, "name_malformed"),
        ("al ice", 1001, "name_malformed"),
        ("al\0ice", 1001, "name_malformed"),
        ("alice@demo.example", 1001, "name_malformed"),
        ("DEMO\\alice", 1001, "name_malformed"),
        ("аlice", 1001, "name_malformed"),  # noqa: RUF001 - a Cyrillic letter
        ("٣٣", 1001, "name_malformed"),
        ("³³", 1001, "name_malformed"),
        ("alice$", 1001, "name_malformed"),
        ("a" * 65, 1001, "name_malformed"),
    ],
)
def test_nobody_is_minted_for_who_could_be_more_than_a_person(username: str, uid: int, cause: str) -> None:
    assert RULES.refusal(Subject(username=username, uid=uid)) == cause


@pytest.mark.parametrize("reserved", ["root", "slurm"])
def test_root_and_slurmuser_are_reserved_whatever_is_configured(reserved: str) -> None:
    assert NameRules.of("slurm", (), 1).refusal(Subject(username=reserved, uid=5000)) == "name_reserved"


def test_slurmuser_is_reserved_under_the_name_that_it_has() -> None:
    assert NameRules.of("SlurmAdmin", (), 1).refusal(Subject(username="slurmadmin", uid=5000)) == "name_reserved"


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_.-]{0,70}")), st.integers())
def test_whoever_is_minted_for_has_a_plain_name_that_is_no_number(username: str, uid: int) -> None:
    if RULES.refusal(Subject(username=username, uid=uid)) is None:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", username)
        assert not username.isdecimal()
        assert username.lower() not in {"root", "slurm"}
        assert uid >= 1000

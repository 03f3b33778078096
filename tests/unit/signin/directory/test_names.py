from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.directory.names import Spelling, spelling

DOMAINS = ("demo.example", "DEMO")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("alice", Spelling(name="alice")),
        ("alice@demo.example", Spelling(name="alice", principal="alice@demo.example")),
        ("Alice@DEMO.Example", Spelling(name="Alice", principal="Alice@DEMO.Example")),
        ("alice@demo", Spelling(name="alice", principal="alice@demo")),
        ("DEMO\\alice", Spelling(name="alice")),
        ("demo\\alice", Spelling(name="alice")),
        ("demo.example\\alice", Spelling(name="alice")),
        ("alice@other.example", Spelling(name="alice@other.example", foreign=True)),
        ("alice@", Spelling(name="alice@", foreign=True)),
        ("@demo.example", Spelling(name="@demo.example", foreign=True)),
        ("OTHER\\alice", Spelling(name="OTHER\\alice", foreign=True)),
        ("\\alice", Spelling(name="\\alice", foreign=True)),
        ("DEMO\\", Spelling(name="DEMO\\", foreign=True)),
        ("alice@demo.example@demo.example", Spelling(name="alice@demo.example@demo.example", foreign=True)),
    ],
)
def test_a_name_is_taken_apart(typed: str, expected: Spelling) -> None:
    assert spelling(typed, DOMAINS) == expected


@pytest.mark.parametrize("typed", ["alice@demo.example", "DEMO\\alice"])
def test_without_domains_each_is_foreign(typed: str) -> None:
    assert spelling(typed, ()).foreign


@pytest.mark.parametrize("typed", ["ALICE", "Alice@demo.example", "demo\\ALICE"])
def test_a_name_that_nobody_has_is_counted_under_itself_alone(typed: str) -> None:
    assert spelling(typed, DOMAINS).key == "alice"


def test_a_foreign_name_is_counted_for_nobody_of_ours() -> None:
    assert spelling("alice@other.example", DOMAINS).key == "alice@other.example"


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text_is_one_name(typed: str, domains: list[str]) -> None:
    spelled = spelling(typed, domains)
    assert spelled.name in typed
    assert spelled.principal in {None, typed}
    assert not spelled.foreign or spelled.name == typed

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.credentials import credentials
from gateway.signin.recovery import ENTROPY_BYTES, code_digest, is_recovery_code, make_code

ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


@given(ENTROPY)
def test_a_code_is_four_groups_that_can_be_typed(entropy: bytes) -> None:
    assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", make_code(entropy))


@given(ENTROPY)
def test_a_code_that_was_made_is_taken_as_one(entropy: bytes) -> None:
    assert is_recovery_code(credentials("alice", "secret", make_code(entropy)).otp)


@given(ENTROPY, ENTROPY)
def test_other_bytes_make_another_code(one: bytes, other: bytes) -> None:
    assert (make_code(one) == make_code(other)) == (one == other)


@pytest.mark.parametrize("length", [0, 9, 11])
def test_a_code_is_not_made_of_other_than_eighty_bits(length: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        make_code(bytes(length))


def test_a_six_digit_code_is_no_recovery_code() -> None:
    assert not is_recovery_code("123456")


def test_what_is_kept_of_a_code_is_bound_to_its_owner() -> None:
    code = make_code(bytes(10))
    assert code_digest("alice", code) != code_digest("bob", code)


def test_what_is_kept_of_a_code_does_not_hold_it() -> None:
    assert make_code(bytes(10)).encode() not in code_digest("alice", make_code(bytes(10)))

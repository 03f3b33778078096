from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.tokens import ENTROPY_BYTES, is_well_formed, make_token, token_digest

ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)
TOKEN = make_token(bytes(range(32)))


@given(ENTROPY)
def test_a_token_looks_as_secret_scanners_know_it(entropy: bytes) -> None:
    assert re.fullmatch(r"sgw_[0-9A-Za-z]{49}", make_token(entropy))


@given(ENTROPY)
def test_a_token_that_was_made_is_well_formed(entropy: bytes) -> None:
    assert is_well_formed(make_token(entropy))


@given(ENTROPY, ENTROPY)
def test_other_bytes_make_another_token(one: bytes, other: bytes) -> None:
    assert (make_token(one) == make_token(other)) == (one == other)


@pytest.mark.parametrize("entropy", [bytes(32), b"\xff" * 32])
def test_the_least_and_the_greatest_entropy_make_tokens_of_one_length(entropy: bytes) -> None:
    assert len(make_token(entropy)) == 53


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_token_is_not_made_of_other_than_256_bits(length: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_token(bytes(length))


@given(ENTROPY, st.integers(4, 52), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
def test_a_token_with_one_character_mistyped_is_not_well_formed(entropy: bytes, place: int, character: str) -> None:
    token = make_token(entropy)
    mistyped = token[:place] + character + token[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "sgw_",
        TOKEN[:-1],
        TOKEN + "0",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.upper(),
        TOKEN.swapcase(),
        "sgx_" + TOKEN[4:],
        TOKEN[4:],
        TOKEN.replace("sgw_", "ｓｇｗ_"),  # noqa: RUF001 - full-width letters
        TOKEN[:-1] + "\0",
        TOKEN[:-1] + "\udc80",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdW4iOiJyb290In0.x",
        "sgw_" + "0" * 49,
        "sgw_" + "\u0660" * 49,
    ],
)
def test_what_is_no_token_of_ours_is_not_well_formed(token: str) -> None:
    assert not is_well_formed(token)


@given(st.text())
def test_whatever_is_presented_is_judged(token: str) -> None:
    assert not is_well_formed(token)


def test_the_store_knows_a_token_by_its_sha256() -> None:
    assert token_digest(TOKEN) == hashlib.sha256(TOKEN.encode()).digest()


@given(st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_whatever_a_header_holds_has_a_digest(token: str) -> None:
    assert len(token_digest(token)) == 32

from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Secret
from gateway.errors import NotPermitted, TokenRefused
from gateway.slurm import minting
from gateway.slurm.keys import HmacKey
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules, Subject

OLD, NEW = b"o" * 32, b"n" * 32
NOW = 1_700_000_000.25
LATER = NOW + 43200
ALICE = Subject(username="alice", uid=1001)
BOB = Subject(username="bob", uid=1002)


def minter(lifetime: float = 60.0) -> Minter:
    return Minter(HmacKey(Secret(OLD)), NameRules.of("slurm", (), 1000), lifetime)


def claims(token: str, key: bytes = OLD) -> dict[str, object]:
    opened: dict[str, object] = jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    return opened


def test_a_token_names_its_user_and_no_more_than_slurm_reads() -> None:
    assert claims(minter().token(ALICE, now=NOW, not_after=LATER)) == {"sun": "alice", "iat": 1_700_000_000, "exp": 1_700_000_060}


@given(st.floats(0, 4e9), st.floats(10, 3600), st.floats(0.0, 1e6))
def test_a_token_ends_at_a_whole_second_by_its_lifetime_and_with_its_session(now: float, lifetime: float, left: float) -> None:
    try:
        expires = claims(minter(lifetime).token(ALICE, now=now, not_after=now + left))["exp"]
    except TokenRefused:
        assert left < 1 or int(now + left) <= now
        return
    assert isinstance(expires, int)
    assert now < expires <= min(now + lifetime, now + left)


@pytest.mark.parametrize("left", [-1.0, 0.0, 0.5])
def test_nothing_is_minted_for_a_session_that_is_over(left: float) -> None:
    with pytest.raises(TokenRefused, match="session_ends_now"):
        minter().token(ALICE, now=NOW, not_after=NOW + left)


@pytest.mark.parametrize(
    ("subject", "cause"),
    [
        (Subject(username="root", uid=0), "name_reserved"),
        (Subject(username="slurm", uid=64030), "name_reserved"),
        (Subject(username="33", uid=1033), "name_all_digits"),
        (Subject(username="alice", uid=999), "uid_below_minimum"),
        (Subject(username="alice ", uid=1001), "name_malformed"),
    ],
)
def test_nothing_is_minted_for_somebody_whom_nobody_may_be(subject: Subject, cause: str) -> None:
    with pytest.raises(NotPermitted, match=cause):
        minter().token(subject, now=NOW, not_after=LATER)


@pytest.mark.parametrize("passed", [0.0, 10.0, 29.0])
def test_a_token_is_kept_for_half_of_its_life(passed: float) -> None:
    mint = minter()
    assert mint.token(ALICE, now=NOW, not_after=LATER) == mint.token(ALICE, now=NOW + passed, not_after=LATER)


def test_a_token_past_half_of_its_life_is_minted_anew() -> None:
    mint = minter()
    assert claims(mint.token(ALICE, now=NOW, not_after=LATER)) != claims(mint.token(ALICE, now=NOW + 31, not_after=LATER))


def test_a_kept_token_is_not_given_to_a_session_that_ends_before_it() -> None:
    mint = minter()
    mint.token(ALICE, now=NOW, not_after=LATER)
    assert claims(mint.token(ALICE, now=NOW + 1, not_after=NOW + 20))["exp"] == 1_700_000_020


def test_each_user_has_a_token_of_their_own() -> None:
    mint = minter()
    mint.token(ALICE, now=NOW, not_after=LATER)
    assert claims(mint.token(BOB, now=NOW, not_after=LATER))["sun"] == "bob"


def test_the_same_name_under_another_uid_is_judged_anew() -> None:
    mint = minter()
    mint.token(ALICE, now=NOW, not_after=LATER)
    with pytest.raises(NotPermitted):
        mint.token(Subject(username="alice", uid=0), now=NOW, not_after=LATER)


def test_a_new_key_signs_at_once() -> None:
    mint = minter()
    mint.token(ALICE, now=NOW, not_after=LATER)
    mint.replace_key(HmacKey(Secret(NEW)))
    assert claims(mint.token(ALICE, now=NOW, not_after=LATER), NEW)["sun"] == "alice"


def test_tokens_past_their_use_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minting, "_MAX_KEPT", 2)
    mint = minter()
    for number, at in enumerate((NOW, NOW + 1, NOW + 40)):
        mint.token(Subject(username=f"user{number}", uid=2000 + number), now=at, not_after=LATER)
    assert [subject.username for subject in mint._kept] == ["user2"]


def test_a_kept_token_does_not_show_itself() -> None:
    mint = minter()
    token = mint.token(ALICE, now=NOW, not_after=LATER)
    assert token not in repr(mint._kept)

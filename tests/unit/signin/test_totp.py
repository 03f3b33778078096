from __future__ import annotations

import base64
import urllib.parse

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.totp import matching_steps, new_secret, otpauth_uri, step_at

# The secret of RFC 6238's own examples (appendix B).
SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_700_000_010.0
STEP = step_at(NOW)


def code_at(step: int) -> str:
    return pyotp.TOTP(SECRET).generate_otp(step)


@pytest.mark.parametrize(
    ("now", "code"), [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")]
)
def test_the_codes_are_those_of_the_rfc(now: float, code: str) -> None:
    assert matching_steps(SECRET, code, now, 0) == (step_at(now),)


@pytest.mark.parametrize(("now", "step"), [(0.0, 0), (29.999, 0), (30.0, 1), (59.9, 1), (1_700_000_010.0, 56666667)])
def test_a_step_lasts_thirty_seconds(now: float, step: int) -> None:
    assert step_at(now) == step


@pytest.mark.parametrize("window", [0, 1, 2])
@pytest.mark.parametrize("off", [-3, -2, -1, 0, 1, 2, 3])
def test_a_code_is_good_within_the_window_and_not_beyond(window: int, off: int) -> None:
    assert matching_steps(SECRET, code_at(STEP + off), NOW, window) == ((STEP + off,) if abs(off) <= window else ())


@pytest.mark.parametrize("code", ["", "0", "12345", "1234567", "abcdef", " 00000"])
def test_what_is_no_code_belongs_to_no_step(code: str) -> None:
    assert matching_steps(SECRET, code, NOW, 2) == ()


def test_a_code_of_another_secret_belongs_to_no_step() -> None:
    assert matching_steps(base64.b32encode(b"another secret of 20").decode(), code_at(STEP), NOW, 2) == ()


@given(st.floats(0, 4e9), st.integers(0, 2))
def test_the_code_of_the_moment_is_always_good(now: float, window: int) -> None:
    assert step_at(now) in matching_steps(SECRET, code_at(step_at(now)), now, window)


@given(st.from_regex(r"[0-9]{6}", fullmatch=True), st.floats(0, 4e9))
def test_the_steps_of_a_code_come_oldest_first_and_not_before_the_epoch(code: str, now: float) -> None:
    steps = matching_steps(SECRET, code, now, 2)
    assert list(steps) == sorted(set(steps))
    assert all(step >= 0 for step in steps)


def test_a_new_secret_has_160_bits() -> None:
    assert len(base64.b32decode(new_secret())) == 20


def test_each_secret_is_new() -> None:
    assert len({new_secret() for _ in range(100)}) == 100


def test_an_authenticator_app_is_told_what_it_needs() -> None:
    parts = urllib.parse.urlsplit(otpauth_uri(SECRET, "alice", "HPC & more"))
    assert (parts.scheme, parts.netloc, urllib.parse.unquote(parts.path)) == ("otpauth", "totp", "/HPC & more:alice")
    assert urllib.parse.parse_qs(parts.query) == {"secret": [SECRET], "issuer": ["HPC & more"]}


@pytest.mark.parametrize("code", ["\uff11\uff12\uff13\uff14\uff15\uff16", "\ud800", "\u00b9\u00b2\u00b3456"])
def test_digits_of_other_scripts_are_no_error_and_no_code(code: str) -> None:
    assert matching_steps("A" * 32, code, 0.0, 1) == ()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signin.ber import NotBerError
from gateway.signin.directory.states import EXPIRED, POLICY, UNREADABLE, barred, of_controls, of_message, of_policy

NOW = 1_800_000_000.0  # January 2027
MESSAGE = "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data {}, v4563"


# Active Directory's diagnostic message.


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ("525", "user_unknown"),
        ("52e", "password_refused"),
        ("52E", "password_refused"),
        ("530", "logon_hours"),
        ("531", "workstation_refused"),
        ("532", "password_expired"),
        ("533", "account_disabled"),
        ("701", "account_expired"),
        ("773", "password_must_change"),
        ("775", "account_locked"),
        ("57", None),
        ("0", None),
        ("52ef", None),
        ("-1", None),
    ],
)
def test_the_error_in_active_directorys_message_is_a_cause(data: str, cause: str | None) -> None:
    assert of_message(MESSAGE.format(data)) == cause


@pytest.mark.parametrize("message", ["", "data", "data ", "invalid credentials", "metadata 52e", "data 52e52e52e52e", "data ５２e"])  # noqa: RUF001 - full-width
def test_another_message_says_nothing(message: str) -> None:
    assert of_message(message) is None


@given(st.text())
def test_any_message_says_a_cause_or_nothing(message: str) -> None:
    cause = of_message(message)
    assert cause is None or cause.replace("_", "").isalpha()


@given(st.from_regex(r"[ ,]data [0-9a-fA-F]{1,9}[, ]?", fullmatch=True))
def test_any_number_says_a_cause_or_nothing(message: str) -> None:
    cause = of_message(message)
    assert cause is None or cause.replace("_", "").isalpha()


# The password policy's control.


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("3000", None),
        ("3005a003800101", None),
        ("3005a003810105", "password_expired"),
        ("3003810100", "password_expired"),
        ("3003810101", "account_locked"),
        ("3003810102", "password_must_change"),
        ("3003810103", "account_unusable"),
        ("3003810109", "account_unusable"),
        ("3008a003800101810102", "password_must_change"),
        ("3008a003810101810101", "account_locked"),
    ],
    ids=["nothing", "expires soon", "grace", "expired", "locked", "reset", "other", "last", "soon and reset", "grace and locked"],
)
def test_what_the_policy_says_is_a_cause(value: str, cause: str | None) -> None:
    assert of_policy(bytes.fromhex(value)) == cause


@pytest.mark.parametrize(
    "value", ["", "30", "3003", "0400", "30000000", "300381010a", "30038101ff", "300381020000", "30028100", "3003820100", "3001a0"]
)
def test_what_is_no_such_value_is_refused(value: str) -> None:
    with pytest.raises(NotBerError):
        of_policy(bytes.fromhex(value))


def test_a_control_without_its_value_is_refused() -> None:
    with pytest.raises(NotBerError):
        of_policy(None)


@given(st.binary(max_size=32))
def test_any_value_holds_something_against_or_nothing_or_is_refused(value: bytes) -> None:
    try:
        cause = of_policy(value)
    except NotBerError:
        return
    assert value[:1] == b"\x30"
    assert cause in {None, "password_expired", "account_locked", "password_must_change", "account_unusable"}


@given(st.integers(0, 255))
def test_every_error_holds_something_against(number: int) -> None:
    try:
        assert of_policy(bytes([0x30, 3, 0x81, 1, number])) is not None
    except NotBerError:
        assert number > 9


@pytest.mark.parametrize(
    ("controls", "cause"),
    [
        ({}, None),
        ({POLICY: b"0\x00"}, None),
        ({EXPIRED: b"0"}, "password_expired"),
        ({POLICY: bytes.fromhex("3003810102"), EXPIRED: None}, "password_must_change"),
    ],
)
def test_controls_that_come_with_an_answer_are_heeded(controls: dict[str, bytes | None], cause: str | None) -> None:
    assert of_controls(controls) == cause


# Attributes.


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ({}, None),
        ({"useraccountcontrol": [b"512"]}, None),
        ({"useraccountcontrol": [b"514"]}, "account_disabled"),
        ({"useraccountcontrol": [b"66050"]}, "account_disabled"),
        ({"useraccountcontrol": [b"-2147483646"]}, "account_disabled"),
        ({"accountexpires": [b"0"]}, None),
        ({"accountexpires": [b"9223372036854775807"]}, None),
        ({"accountexpires": [b"126227808000000000"]}, "account_expired"),
        ({"accountexpires": [b"200000000000000000"]}, None),
        ({"lockouttime": [b"126227808000000000"]}, None),
        ({"pwdaccountlockedtime": [b"000001010000Z"]}, "account_locked"),
        ({"pwdaccountlockedtime": [b"20260101000000Z"]}, None),
        ({"shadowexpire": [b"-1"]}, None),
        ({"shadowexpire": [b"0"]}, "account_expired"),
        ({"shadowexpire": [b"11323"]}, "account_expired"),
        ({"shadowexpire": [b"20833"]}, "account_expired"),
        ({"shadowexpire": [b"20834"]}, None),
        ({"nsaccountlock": [b"TRUE"]}, "account_disabled"),
        ({"nsaccountlock": [b"true"]}, "account_disabled"),
        ({"nsaccountlock": [b"FALSE"]}, None),
        ({"useraccountcontrol": [b"x"]}, UNREADABLE),
        ({"useraccountcontrol": [b""]}, UNREADABLE),
        ({"useraccountcontrol": [b"512", b"512"]}, UNREADABLE),
        ({"accountexpires": [b"1e9"]}, UNREADABLE),
        ({"shadowexpire": [b" 1"]}, UNREADABLE),
    ],
)
def test_attributes_bar_an_account(attributes: dict[str, list[bytes]], cause: str | None) -> None:
    assert barred(attributes, NOW) == cause


_NAMES = st.sampled_from(["useraccountcontrol", "accountexpires", "pwdaccountlockedtime", "shadowexpire", "nsaccountlock"])


@given(st.dictionaries(_NAMES, st.lists(st.binary(max_size=24) | st.integers().map(lambda number: b"%d" % number), max_size=3)))
def test_any_attributes_bar_or_do_not(attributes: dict[str, list[bytes]]) -> None:
    assert barred(attributes, NOW) in {None, UNREADABLE, "account_disabled", "account_expired", "account_locked"}

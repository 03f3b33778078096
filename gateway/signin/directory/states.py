"""What a directory says of a password or an account, in its own words, and the cause that the audit trail gets (pure).

Three tongues: Active Directory's diagnostic message (``data 52e``, the Win32 error in hexadecimal), OpenLDAP's response control
(draft-behera-ldap-password-policy-10 section 6.2), and attributes of the entry, for whom no password is at hand.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from gateway.signin.ber import NotBerError, elements

# The password policy's control, and Netscape's of an expired password, which 389 Directory Server sends with a success.
POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
EXPIRED = "2.16.840.1.113730.3.4.4"

UNREADABLE = "account_state_unreadable"
_DATA = re.compile(r"(?:^|[ ,])data ([0-9a-fA-F]{1,8})(?=[, \x00]|$)")
# [MS-ERREF] section 2.2: ERROR_LOGON_FAILURE and its neighbours.
_ACTIVE_DIRECTORY = {
    0x525: "user_unknown",
    0x52E: "password_refused",
    0x530: "logon_hours",
    0x531: "workstation_refused",
    0x532: "password_expired",
    0x533: "account_disabled",
    0x701: "account_expired",
    0x773: "password_must_change",
    0x775: "account_locked",
}
_POLICY_ERRORS = {0: "password_expired", 1: "account_locked", 2: "password_must_change"}
_SEQUENCE, _WARNING, _ERROR, _GRACE = 0x30, 0xA0, 0x81, 0x81
_LAST_POLICY_ERROR = 9

_DISABLED = 0x2  # [MS-ADTS] section 2.2.16: ADS_UF_ACCOUNT_DISABLE
_NEVER = 2**63 - 1  # [MS-ADA1] section 2.1: zero and this mean that an account does not expire
_WINDOWS_EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC).timestamp()
_TICKS = 10_000_000
_DAY = 86400
_FOR_EVER = b"000001010000Z"  # draft-behera section 5.3.3: until an administrator unlocks
_NUMBER = re.compile(rb"-?[0-9]{1,20}")

# What is asked for, by kind of directory; an attribute that the server does not know is simply absent from its answer.
ATTRIBUTES = {
    "active_directory": ("userAccountControl", "accountExpires"),
    "ldap": ("pwdAccountLockedTime", "shadowExpire", "nsAccountLock"),
}


def of_message(message: str) -> str | None:
    """Return what Active Directory's diagnostic message says of a refused bind, or None when it says nothing that we know."""
    match = _DATA.search(message)
    return _ACTIVE_DIRECTORY.get(int(match[1], 16)) if match else None


def of_policy(value: bytes | None) -> str | None:
    """Return what the value of a password policy's response control holds against a bind, or None when nothing.

    Grace that is left tells of a password that has expired. Raises NotBerError for what is no such value.
    """
    if value is None:
        raise NotBerError("a control without its value")
    outer = elements(value)
    if len(outer) != 1 or outer[0][0] != _SEQUENCE:
        raise NotBerError("no PasswordPolicyResponseValue")
    cause = None
    for tag, content in elements(outer[0][1]):
        if tag == _ERROR:
            return _policy_error(content)
        if tag != _WARNING:
            raise NotBerError("no PasswordPolicyResponseValue")
        if [inner for inner, _ in elements(content)] == [_GRACE]:
            cause = "password_expired"
    return cause


def _policy_error(content: bytes) -> str:
    number = int.from_bytes(content, "big", signed=True)
    if len(content) != 1 or not 0 <= number <= _LAST_POLICY_ERROR:
        raise NotBerError("an error that the policy does not know")
    return _POLICY_ERRORS.get(number, "account_unusable")


def of_controls(controls: Mapping[str, bytes | None]) -> str | None:
    """Return what the response controls of a bind, by OID, hold against it, or None; raise NotBerError when they cannot be read."""
    if POLICY in controls and (cause := of_policy(controls[POLICY])):
        return cause
    return "password_expired" if EXPIRED in controls else None


def barred(attributes: Mapping[str, Sequence[bytes]], now: float) -> str | None:
    """Return why an account may not be used, going by its attributes (names in lower case), or None.

    A lock that passes does not bar: whoever types wrong passwords could so end the owner's sessions. What should be a number and is none bars.
    """
    control = _number(attributes, "useraccountcontrol", absent=0)
    expires = _number(attributes, "accountexpires", absent=0)
    days = _number(attributes, "shadowexpire", absent=-1)
    if control is None or expires is None or days is None:
        return UNREADABLE
    if control & _DISABLED or any(value.lower() == b"true" for value in attributes.get("nsaccountlock", ())):
        return "account_disabled"
    if _FOR_EVER in attributes.get("pwdaccountlockedtime", ()):
        return "account_locked"
    return "account_expired" if _has_expired(expires, days, now) else None


def _has_expired(ticks: int, days: int, now: float) -> bool:
    """Tell whether a date of Active Directory's (zero is none), or one of shadow(5)'s (less than zero is none), is over."""
    return (0 < ticks < _NEVER and _WINDOWS_EPOCH + ticks / _TICKS <= now) or 0 <= days <= now // _DAY


def _number(attributes: Mapping[str, Sequence[bytes]], name: str, *, absent: int) -> int | None:
    """Return the one value as a number, ``absent`` when there is none, and None when it makes no sense."""
    values = attributes.get(name, ())
    if not values:
        return absent
    return int(values[0]) if len(values) == 1 and _NUMBER.fullmatch(values[0]) else None

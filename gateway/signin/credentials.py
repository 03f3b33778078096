"""Credentials as they arrive, read strictly: JSON, HTTP Basic and X-OTP, and the three ways a request may present itself (pure).

Two kinds of no: what is not even of the right form is 400 and says so; what has the form but cannot be right (an empty password,
five digits, a name with a space) gets the same 401 as a wrong guess, without the directory being asked.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.config import Secret
from gateway.errors import BadRequest, CredentialsRefused, CredentialsRequired

MAX_LOGIN_BODY = 8192
_MAX_PASSWORD_BYTES = 1024
# ASCII only: no look-alikes, no zero-width characters, nothing that LDAP's matching would fold away (RFC 4518). With a domain before
# or behind it, but not both, which of them is ours the directory tells.
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?){0,15}"
_USERNAME = re.compile(rf"{_USER}|{_USER}@{_DOMAIN}|{_DOMAIN}\\{_USER}")
_MAX_USERNAME = 255
# What no second factor takes for a code. Which of the rest could be right, the configured ones say (SecondFactor.could_be).
_CODE = re.compile(r"[!-~]{1,64}")
# In the place of a code where something else is shown instead of it.
_NO_CODE = "-"
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user name as typed, a password and a one-time code, each of a form that could be right."""

    username: str
    password: Secret
    otp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request says of its sender: a token or credentials, and the name that X-SLURM-USER-NAME claims, if any."""

    token: str | None = None
    credentials: Credentials | None = None
    claimed_name: str | None = None


def could_be_a_user(typed: str) -> bool:
    r"""Tell whether somebody could be meant by ``typed``: ``user``, ``user@domain`` or ``DOMAIN\user``."""
    return len(typed) <= _MAX_USERNAME and _USERNAME.fullmatch(typed) is not None


def credentials(username: object, password: object, otp: object) -> Credentials:
    """Return credentials that could be right; raise BadRequest for other types, CredentialsRefused for what cannot be right."""
    if not isinstance(username, str) or not isinstance(password, str) or not isinstance(otp, str):
        raise BadRequest(
            "credentials_not_strings",
            detail="username, password and otp must be strings.",
            hint='Put the code in quotes too: {"username": "…", "password": "…", "otp": "123456"}.',
        )
    if not could_be_a_user(username):
        raise CredentialsRefused("username_malformed")
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise CredentialsRefused("password_malformed") from None
    # RFC 4513 section 5.1.2: a bind without a password succeeds as nobody, so it must never reach the directory.
    if not password.strip() or "\0" in password or len(secret) > _MAX_PASSWORD_BYTES:
        raise CredentialsRefused("password_malformed")
    if _CODE.fullmatch(otp) is None:
        raise CredentialsRefused("code_malformed")
    return Credentials(username=username, password=Secret(secret), otp=otp)


def password_alone(username: object, password: object) -> Credentials:
    """Return a name and a password that could be right, for who shows something else than a code; raise what ``credentials`` raises."""
    return credentials(username, password, _NO_CODE)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("a key stands twice")
    return tree


def json_object(body: bytes, hint: str) -> dict[str, Any]:
    """Read a JSON object that has no key twice; raise BadRequest."""
    try:
        tree = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadRequest("body_not_json", detail="The body is not JSON, or has a key twice.", hint=hint) from None
    if not isinstance(tree, dict):
        raise BadRequest("body_no_object", detail="The body must be a JSON object.", hint=hint)
    return tree


def from_json(body: bytes) -> Credentials:
    """Read ``{"username", "password", "otp"}`` and nothing else; raise BadRequest or CredentialsRefused."""
    tree = json_object(body, _LOGIN_HINT)
    if set(tree) != {"username", "password", "otp"}:
        raise BadRequest("body_wrong_keys", detail="The body must be an object with username, password and otp, and no more.", hint=_LOGIN_HINT)
    return credentials(tree["username"], tree["password"], tree["otp"])


_LOGIN_HINT = """Send {"username": "…", "password": "…", "otp": "123456"} as application/json, or HTTP Basic with the header 'X-OTP: 123456'."""


def from_basic(value: str, otp: str | None) -> Credentials:
    """Read the parameter of an ``Authorization: Basic`` header (RFC 7617) and X-OTP; raise BadRequest or CredentialsRefused."""
    if otp is None:
        raise CredentialsRequired(
            "otp_header_missing",
            detail="HTTP Basic needs the one-time code as well.",
            hint="Add the header 'X-OTP: 123456' with the current code of your authenticator.",
        )
    return credentials(*basic_pair(value), otp)


def basic_pair(value: str) -> tuple[str, str]:
    """Read user name and password out of the parameter of ``Authorization: Basic`` (RFC 7617 section 2); raise BadRequest."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadRequest("basic_malformed", detail="The Basic credentials are not base64 of UTF-8 text.") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise BadRequest("basic_malformed", detail="The Basic credentials have no colon between user name and password.")
    return username, password


def _single(values: list[str], name: str) -> str | None:
    if len(values) > 1:
        raise BadRequest("header_twice", detail=f"The header {name} stands more than once.", hint="Send it once.")
    return values[0] if values else None


def presented(values_of: Callable[[str], list[str]]) -> Presented:
    """Read who a request says it is from; ``values_of`` gives all values of a header.

    Raises BadRequest when it presents itself twice or malformed, CredentialsRequired when not at all.
    """
    authorization = _single(values_of("Authorization"), "Authorization")
    slurm_token = _single(values_of("X-SLURM-USER-TOKEN"), "X-SLURM-USER-TOKEN")
    claimed_name = _single(values_of("X-SLURM-USER-NAME"), "X-SLURM-USER-NAME")
    otp = _single(values_of("X-OTP"), "X-OTP")
    if authorization is not None and slurm_token is not None:
        raise BadRequest("presented_twice", detail="Authorization and X-SLURM-USER-TOKEN both stand in the request.", hint="Send one of them.")
    scheme, _, parameter = (authorization or "").partition(" ")
    scheme = scheme.lower()  # not casefold(), which would take a long s for an s
    if otp is not None and (slurm_token is not None or scheme == "bearer"):
        raise BadRequest("presented_twice", detail="X-OTP goes with HTTP Basic, not with a token.", hint="Leave X-OTP out.")
    if slurm_token is not None:
        return Presented(token=_token(slurm_token), claimed_name=claimed_name)
    if scheme == "basic":
        return Presented(credentials=from_basic(parameter, otp), claimed_name=claimed_name)
    if scheme == "bearer":
        return Presented(token=_token(parameter.strip()), claimed_name=claimed_name)
    raise CredentialsRequired("nothing_presented")


def basic_alone(values_of: Callable[[str], list[str]]) -> tuple[str, str] | None:
    """Return user name and password of a request that brings them by HTTP Basic without a code; None when it brings none so.

    Raises BadRequest when it presents itself twice or malformed.
    """
    authorization = _single(values_of("Authorization"), "Authorization")
    scheme, _, parameter = (authorization or "").partition(" ")
    if scheme.lower() != "basic" or values_of("X-OTP"):
        return None
    if values_of("X-SLURM-USER-TOKEN"):
        raise BadRequest("presented_twice", detail="Authorization and X-SLURM-USER-TOKEN both stand in the request.", hint="Send one of them.")
    return basic_pair(parameter)


def _token(value: str) -> str:
    if _JWT.fullmatch(value):
        raise CredentialsRequired(
            "slurm_jwt_presented",
            detail="That is a Slurm JWT; the gateway takes only tokens of its own, which begin with sgw_.",
        )
    return value

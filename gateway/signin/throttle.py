"""How many failures are borne, and the wait that a refusal names (pure); the counting is the store's."""

from __future__ import annotations

import ipaddress
import math

from gateway.config import Throttle
from gateway.errors import Throttled
from gateway.store.attempts import Exceeded, Limit

ACCOUNT_ADDRESS, ACCOUNT, ADDRESS, SITE, CODE, TOKEN = "account_address", "account", "address", "site", "code", "token"
_HOUR, _DAY = 3600.0, 86400.0
# One customer of a provider has a /64 at least (RFC 6177), and all of its addresses.
_V6_PREFIX = 64


def address_key(address: str) -> str:
    """Return what an address counts as: an IPv4 address as itself, an IPv6 address as its /64."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(ipaddress.ip_network((known, _V6_PREFIX), strict=False))


def password_limits(settings: Throttle, account: str, address: str, *, known: bool) -> tuple[Limit, ...]:
    """Return what an attempt on ``account`` from ``address`` counts against.

    From a ``known`` address, one that the owner has signed in from, only what was tried on this account from there counts:
    whatever others do elsewhere, or to other accounts, does not keep the owner out.
    """
    window, here = settings.window, address_key(address)
    own = Limit(scope=ACCOUNT_ADDRESS, key=f"{account}|{here}", allowed=settings.account_address, window=window)
    if known:
        return (own,)
    return (
        own,
        Limit(scope=ACCOUNT, key=account, allowed=settings.account, window=window),
        Limit(scope=ADDRESS, key=here, allowed=settings.address, window=window),
        Limit(scope=SITE, key="", allowed=settings.site, window=window),
    )


def code_limits(settings: Throttle, account: str) -> tuple[Limit, ...]:
    """Return what a code counts against that is tried by someone whose password, or session, was right."""
    windows = ((settings.codes, 300.0), (settings.codes_hour, _HOUR), (settings.codes_day, _DAY))
    return tuple(Limit(scope=CODE, key=account, allowed=allowed, window=window) for allowed, window in windows)


def token_limits(settings: Throttle, address: str) -> tuple[Limit, ...]:
    """Return what a token that nobody has counts against."""
    return (Limit(scope=TOKEN, key=address_key(address), allowed=settings.tokens, window=settings.window),)


def keys_of(account: str) -> tuple[tuple[str, str], ...]:
    """Return the scopes and keys under which failures on ``account`` stand (a key ending in ``|`` stands for all that begin so)."""
    return ((ACCOUNT_ADDRESS, f"{account}|"), (ACCOUNT, account), (CODE, account))


def refusal(exceeded: Exceeded, now: float) -> Throttled:
    """Return the 429 that says how many seconds to wait (RFC 9110 section 10.2.3), at least one."""
    wait = max(1, math.ceil(exceeded.free_at - now))
    return Throttled(f"throttled_by_{exceeded.limit.scope}", headers=(("Retry-After", str(wait)),))

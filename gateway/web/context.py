"""What is known of a request from its first moment: its id, where it came from, when; and what its handling found out about it."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from aiohttp import web

from gateway.config import Server
from gateway.sessions.sessions import Identity

Handler = Callable[["Context"], Awaitable[web.Response]]
# What is served where: the canonical path, or one whose last segment is ``{id}``, and the handler of each method.
Routes = Mapping[str, Mapping[str, Handler]]

_SECRET = re.compile(r"sg[wt]_[0-9A-Za-z]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+")
_MAX_CLIENT = 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(slots=True, kw_only=True)
class Context:
    """One request under way. The later fields are filled in as they become known; the log and the audit trail read them at the end."""

    request: web.BaseRequest
    id: str
    address: str
    now: float
    started: float
    kind: str = "other"
    path: str = ""
    # What stood in the place of ``{id}``.
    item: str = ""
    username: str | None = None
    cluster: str | None = None
    identity: Identity | None = None
    changes: bool = False
    job_id: int | None = None
    # The rule of the policy that decided.
    rule: str | None = None
    reason: str | None = None
    cause: str | None = None
    audited: bool = False
    # Why the body was not repaired further, if something kept that from being done.
    not_repaired: str | None = None
    # What the answer carries besides its own headers, whatever it is.
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The method that is judged and carried out: a HEAD is a GET whose answer has no body (RFC 9110 section 9.3.2)."""
        return "GET" if self.request.method == "HEAD" else self.request.method


def open_context(request: web.BaseRequest, settings: Server) -> Context:
    """Read the request's id and address, from nginx if the peer is one that we believe."""
    headers = request.headers
    # A unix socket's permissions say who may be there. A peer without an address on any other listener has gone already, and proves nothing.
    peer = None if settings.listen.path is not None else _peer(request)
    trusted = settings.listen.path is not None or (peer is not None and any(peer in network for network in settings.trusted_proxies))
    address, request_id = str(peer or ("local" if trusted else "unknown")), None
    if trusted:
        claimed = headers.getall("X-Request-ID", [])
        if len(claimed) == 1 and _REQUEST_ID.fullmatch(claimed[0]):
            request_id = claimed[0]
        # Only the last value is nginx's own; whatever stands before it came from outside.
        forwarded = headers.getall("X-Forwarded-For", [])
        if forwarded:
            address = _address(forwarded[-1].rpartition(",")[2].strip()) or address
    return Context(
        request=request,
        id=request_id or secrets.token_hex(16),
        address=address,
        now=time.time(),
        started=time.monotonic(),
        path=_shown(request.raw_path.partition("?")[0])[:512],
    )


def client_name(request: web.BaseRequest) -> str:
    """Return what the client calls itself, as printable ASCII of bounded length: people read it in lists of sessions and in the audit trail."""
    said = request.headers.get("User-Agent", "")[:_MAX_CLIENT]
    return "".join(character if " " <= character <= "~" else "?" for character in _SECRET.sub("(hidden)", said))


def holds_secret(target: str) -> bool:
    """Tell whether a token of ours or a JWT stands in a request target, escaped or not, from where it would get into every log on its way."""
    if "sg" not in target and "eyJ" not in target and "%" not in target:  # nearly every request, at a tenth of the cost
        return False
    return _SECRET.search(target) is not None or ("%" in target and _SECRET.search(unquote(target)) is not None)


def _shown(path: str) -> str:
    """Return a path as the log may have it: without the secrets that stand in it, and not at all when one is escaped."""
    if not holds_secret(path):
        return path
    plain = _SECRET.sub("(hidden)", path)
    return "(hidden)" if holds_secret(plain) else plain


def _peer(request: web.BaseRequest) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the peer's address, or None when the connection has none (any more)."""
    peername = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(peername, tuple):
        return None
    return _plain(peername[0])


@lru_cache(maxsize=4096)
def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address without its zone (RFC 4007), and an IPv4 one as such, however it came in: it counts as one, and is in its networks."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


@lru_cache(maxsize=4096)
def _address(text: str) -> str | None:
    try:
        return str(_plain(text))
    except ValueError:
        return None

"""Where a client is: an address within networks (pure)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from gateway.errors import BadRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_NETWORKS = 20
_MAX_TEXT = 49  # the longest form of an IPv6 address, and a prefix length
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def plain(network: Network) -> Network:
    """Return the IPv4 network that IPv4-mapped addresses (RFC 4291 section 2.5.5.2) stand for, any other network as it is."""
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """Return the address that ``text`` is, an IPv4-mapped one as IPv4; None for ``local``, ``unknown`` and their like."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def within(networks: tuple[Network, ...], text: str) -> bool:
    """Tell whether the address is in one of the networks; what is no address is in none."""
    address = address_of(text)
    return address is not None and any(address in network for network in networks)


def parse_networks(given: object) -> tuple[str, ...]:
    """Return the networks of a personal token in their one spelling, each once; raise BadRequest for what is no list of at most 20."""
    if not isinstance(given, list) or len(given) > _MAX_NETWORKS:
        raise _refused(f"networks is a list of at most {_MAX_NETWORKS}")
    return tuple(dict.fromkeys(map(_spelled, given)))


def _spelled(text: object) -> str:
    try:
        if not isinstance(text, str) or len(text) > _MAX_TEXT or "%" in text:
            raise ValueError  # noqa: TRY301 - one answer for whatever is no network
        return str(plain(ipaddress.ip_network(text)))
    except ValueError:
        raise _refused("one of networks is none, or has bits set behind its prefix") from None


def _refused(why: str) -> BadRequest:
    return BadRequest(
        "networks_malformed", detail=f"The token was not made: {why}.", hint='Write networks as ["192.0.2.0/24", "2001:db8::/32"], or leave them out.'
    )


def allows(networks: tuple[str, ...], address: str) -> bool:
    """Tell whether a token that ``parse_networks`` gave these networks may be used from ``address``; without networks, from everywhere."""
    return not networks or within(_compiled(networks), address)


@lru_cache(maxsize=4096)
def _compiled(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, networks))

from __future__ import annotations

import ipaddress
import re
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as searching
from hypothesis import strategies as st

from gateway.config import Server
from gateway.web.context import client_name, holds_secret, open_context
from tests.unit.web.conftest import Make, Peer

PROXY = "198.51.100.1"


def settings(*trusted: str, listen: str = "unix:/run/gateway.sock") -> Server:
    return Server.model_validate({"listen": listen, "trusted_proxies": tuple(trusted)})


def settings_for(peer: Peer, *trusted: str) -> Server:
    return settings(*trusted, listen="unix:/run/gateway.sock" if isinstance(peer, str) else "127.0.0.1:1")


@pytest.mark.parametrize("peer", ["", (PROXY, 5), ("2001:db8::1", 5, 0, 0), (f"::ffff:{PROXY}", 5, 0, 0)])
def test_a_trusted_peer_tells_address_and_id(make: Make, peer: Peer) -> None:
    request = make(fields=[("X-Request-ID", "a" * 32), ("X-Forwarded-For", "192.0.2.9")], peer=peer)
    context = open_context(request, settings_for(peer, f"{PROXY}/32", "2001:db8::/64"))
    assert (context.address, context.id) == ("192.0.2.9", "a" * 32)


@pytest.mark.parametrize(
    ("peer", "address"),
    [((PROXY, 5), PROXY), (("2001:db8::1", 5, 0, 0), "2001:db8::1"), ((f"::ffff:{PROXY}", 5, 0, 0), PROXY), (("fe80::1%eth0", 5, 0, 2), "fe80::1")],
)
def test_another_peer_is_its_own_address_and_gets_an_id_of_ours(make: Make, peer: Peer, address: str) -> None:
    request = make(fields=[("X-Request-ID", "a" * 32), ("X-Forwarded-For", "192.0.2.9")], peer=peer)
    context = open_context(request, settings_for(peer, "203.0.113.0/24"))
    assert (context.address, context.id == "a" * 32) == (address, False)


@pytest.mark.parametrize("peer", [None, ""])
def test_a_peer_on_tcp_that_has_gone_tells_nothing(make: Make, peer: Peer) -> None:
    """A unix socket has no address either, but there the listener says that it is one."""
    request = make(fields=[("X-Request-ID", "a" * 32), ("X-Forwarded-For", "192.0.2.9")], peer=peer)
    context = open_context(request, settings("0.0.0.0/0", "::/0", listen="127.0.0.1:1"))
    assert (context.address, context.id == "a" * 32) == ("unknown", False)


FORWARDED = {
    "192.0.2.9": "192.0.2.9",
    "evil, 192.0.2.9": "192.0.2.9",
    " 192.0.2.9 ": "192.0.2.9",
    "2001:DB8::1": "2001:db8::1",
    "::ffff:192.0.2.9": "192.0.2.9",
    "fe80::1%\x1b[31m": "fe80::1",
    "192.0.2.9, ": "local",
    "192.0.2.9:80": "local",
    "unknown": "local",
    "192.0.2.256": "local",
    "1": "local",
    "": "local",
    "::1\x00": "local",
}


@pytest.mark.parametrize("value", FORWARDED)
def test_only_an_address_is_taken_for_one(make: Make, value: str) -> None:
    assert open_context(make(fields=[("X-Forwarded-For", value)]), settings()).address == FORWARDED[value]


@pytest.mark.parametrize("value", ["", "a" * 7, "a" * 65, "a" * 8 + "\n", "a b c d e", "ümlautümlaut", "{}" * 8])
def test_an_id_of_another_form_is_replaced_by_one_of_ours(make: Make, value: str) -> None:
    made = open_context(make(fields=[("X-Request-ID", value)]), settings()).id
    assert (made != value, len(made)) == (True, 32)


def test_two_requests_get_two_ids(make: Make) -> None:
    assert open_context(make(), settings()).id != open_context(make(), settings()).id


def test_the_path_is_noted_without_its_query_and_within_bounds(make: Make) -> None:
    assert open_context(make(target="/a?token=b"), settings()).path == "/a"
    assert len(open_context(make(target="/" + "a" * 5000), settings()).path) <= 512


def test_the_clock_is_read_once(make: Make) -> None:
    before = time.time()
    assert before <= open_context(make(), settings()).now <= time.time()


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::/0"])
def test_networks_of_the_other_family_trust_nobody_of_this_one(make: Make, network: str) -> None:
    request = make(fields=[("X-Forwarded-For", "192.0.2.9")], peer=(PROXY, 5))
    assert open_context(request, settings_for((PROXY, 5), network)).address == PROXY


@pytest.mark.parametrize(("said", "kept"), [("curl/8", "curl/8"), ("a\r\nb\0\x7f", "a??b??"), ("\u202ex", "?x"), ("x" * 500, "x" * 200)])
def test_what_a_client_calls_itself_is_kept_printable_and_short(make: Make, said: str, kept: str) -> None:
    assert client_name(make(fields=[("User-Agent", said)])) == kept


def test_a_client_without_a_name_has_none(make: Make) -> None:
    assert client_name(make()) == ""


# What nginx, or whoever is in its place, may have written into a header.
VALUES = st.text(st.characters(codec="latin-1"), max_size=80) | st.from_regex(r"[0-9a-fA-F.:, %]{0,40}", fullmatch=True)
# The fixture makes a new request each time it is called.
searching_with_make = searching(suppress_health_check=[HealthCheck.function_scoped_fixture])


@searching_with_make
@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_whatever_the_headers_say_there_is_one_id_and_an_address_or_none(make: Make, forwarded: list[str], ids: list[str]) -> None:
    fields = [*(("X-Forwarded-For", value) for value in forwarded), *(("X-Request-ID", value) for value in ids)]
    context = open_context(make(fields=fields), settings())
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", context.id)
    assert context.address == "local" or ipaddress.ip_address(context.address)


@searching_with_make
@given(st.text(st.characters(codec="latin-1"), max_size=400))
def test_whatever_a_client_calls_itself_is_short_and_printable(make: Make, said: str) -> None:
    assert re.fullmatch(r"[ -~]{0,400}", client_name(make(fields=[("User-Agent", said)])))


@searching_with_make
@given(st.text(st.characters(codec="ascii", exclude_characters="?#"), max_size=60), st.from_regex(r"sgw_[0-9A-Za-z]{49}", fullmatch=True))
def test_a_token_anywhere_in_a_path_is_seen_and_not_noted(make: Make, around: str, token: str) -> None:
    target = f"/{around}{token}"
    assert holds_secret(target)
    assert token not in open_context(make(target=target), settings()).path


TOKEN = "sgw_" + "a" * 49


@pytest.mark.parametrize("spelled", [TOKEN, TOKEN.replace("_", "%5F"), TOKEN.replace("_", "%5f"), TOKEN.replace("s", "%73"), "eyJhbGciOiJI%2Ea.b"])
def test_no_spelling_of_a_secret_in_the_path_is_noted_or_passed_on(make: Make, spelled: str) -> None:
    noted = open_context(make(target=f"/slurm/{spelled}"), settings()).path
    assert (holds_secret(f"/slurm/{spelled}"), "(hidden)" in noted, "a" * 49 in noted) == (True, True, False)

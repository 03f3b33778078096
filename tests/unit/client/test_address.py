"""Where a gateway may be, how one gets there, and what is sent nowhere."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.address import Address, Proxy, proxy_to, trust
from gateway.client.errors import GatewayError
from tests.unit.client.driving import tried


@pytest.mark.parametrize(
    ("url", "host", "port", "base", "again"),
    [
        ("https://gateway.example.org", "gateway.example.org", 443, "", "https://gateway.example.org"),
        ("https://gateway.example.org/", "gateway.example.org", 443, "", "https://gateway.example.org"),
        ("https://GATEWAY.example.org:8443/hpc/", "gateway.example.org", 8443, "/hpc", "https://gateway.example.org:8443/hpc"),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443, "", "https://[2001:db8::1]:8443"),
        ("https://bücher.example", "xn--bcher-kva.example", 443, "", "https://xn--bcher-kva.example"),
        ("http://localhost:8080", "localhost", 8080, "", "http://localhost:8080"),
        ("http://[::1]", "::1", 80, "", "http://[::1]"),
        (" https://gateway.example.org\n", "gateway.example.org", 443, "", "https://gateway.example.org"),
    ],
)
def test_an_address_is_read_and_written(url: str, host: str, port: int, base: str, again: str) -> None:
    address = Address.of(url)
    assert (address.host, address.port, address.base, address.url) == (host, port, base, again)


@pytest.mark.parametrize(
    ("url", "words", "hint"),
    [
        ("gateway.example.org", "is no https:// address", "https://gateway.example.org"),
        ("", "is no https:// address", "https://gateway.example.org"),
        ("https://", "is no https:// address", "https://gateway.example.org"),
        ("ftp://gateway.example.org", "is no https:// address", "https://gateway.example.org"),
        ("https://gateway.example.org?x", "is no https:// address", "https://gateway.example.org"),
        ("https://gateway.example.org:0", "is no https:// address", "https://gateway.example.org"),
        ("https://gateway.example.org:99999", "is no address", "https://gateway.example.org"),
        ("https://[::1", "is no address", "https://gateway.example.org"),
        ("https://gate\nway.example.org", "is no address", "https://gateway.example.org"),
        ("https://gate way.example.org", "is no address", "https://gateway.example.org"),
        ("https://gate\x1b[31mway", "is no address", "https://gateway.example.org"),
        ("https://a_b$c", "is no name of a host", "https://gateway.example.org"),
        ("https://ü" + "ü" * 70, "is no name of a host", "https://gateway.example.org"),
        ("https://" + "a" * 5000, "is no address", "https://gateway.example.org"),
        ("http://gateway.example.org", "is not encrypted", "use https://"),
        ("http://127.0.0.1.example.org", "is not encrypted", "use https://"),
    ],
)
def test_an_address_that_no_token_may_go_to_is_refused(url: str, words: str, hint: str) -> None:
    with pytest.raises(GatewayError) as caught:
        Address.of(url)
    assert words in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.reason == "bad_address"
    assert str(caught.value).isprintable()


def test_a_password_in_an_address_is_not_shown() -> None:
    for url in ("https://alice:geheim@gateway.example.org", "http://alice:geheim@[x", "https://geheim@x", "alice:geheim@x", "ftp://geheim@ x\n y"):
        with pytest.raises(GatewayError) as caught:
            Address.of(url)
        assert "geheim" not in str(caught.value)
        assert "Leave it out" in caught.value.hint


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_address_or_a_line_and_a_hint(text: str) -> None:
    for url in (text, f"https://{text}", f"https://gateway.example.org/{text}"):
        address = tried(Address.of, url)
        if isinstance(address, GatewayError):
            assert str(address).isprintable()
            continue
        assert Address.of(address.url) == address
        assert address.host.isascii()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple))
def test_whatever_a_path_is_it_stays_one_word_of_the_first_line(path: str, query: tuple[tuple[str, str], ...]) -> None:
    target = tried(Address.of("https://gateway.example.org/hpc").target, path, query)
    if isinstance(target, GatewayError):
        assert target.reason == "bad_request"
        return
    assert target.startswith("/hpc/")
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target


def test_bytes_of_a_command_line_that_are_no_utf8_go_out_as_they_are() -> None:
    assert Address.of("https://gateway.example.org").target("/" + os.fsdecode(b"\xff\xfe")) == "/%FF%FE"
    with pytest.raises(GatewayError) as caught:
        Address.of("https://gateway.example.org").target("/\ud800")
    assert (caught.value.reason, caught.value.hint) == ("bad_request", "Write it in UTF-8.")


def test_a_query_of_the_path_and_one_beside_it_become_one() -> None:
    address = Address.of("https://gateway.example.org")
    assert address.target("/jobs?a=b c", (("user", "ü&="),)) == "/jobs?a=b%20c&user=%C3%BC%26%3D"


# Proxies.

GATEWAY = Address.of("https://gateway.example.org:8443")


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    ("said", "host", "port"),
    [("http://proxy:3128", "proxy", 3128), ("proxy:3128", "proxy", 3128), ("http://proxy/", "proxy", 80), ("http://[::1]:8", "::1", 8)],
)
def test_the_proxy_of_the_environment_is_used(name: str, said: str, host: str, port: int) -> None:
    assert proxy_to(GATEWAY, {name: said}) == Proxy(host=host, port=port)


def test_what_a_proxy_wants_to_know_is_told_to_it_and_not_shown() -> None:
    proxy = proxy_to(GATEWAY, {"HTTPS_PROXY": "http://alice:ge%20heim@proxy:3128"})
    assert proxy is not None
    assert proxy.headers == {"Proxy-Authorization": "Basic YWxpY2U6Z2UgaGVpbQ=="}
    assert "heim" not in f"{proxy!r}{proxy.url}"
    assert "YWxp" not in f"{proxy!r}{proxy.url}"


@pytest.mark.parametrize(
    ("no_proxy", "used"),
    [
        ("gateway.example.org", False), ("example.org", False), (".example.org", False), ("EXAMPLE.org", False), ("*", False),
        ("other,example.org", False),
        ("other example.org", False), ("gateway.example.org:8443", False), ("gateway.example.org:443", True), ("ample.org", True), ("", True),
        ("gateway.example.org.evil", True), ("10.0.0.0/8", True), ("x/y", True),
    ],
)  # fmt: skip
def test_no_proxy_names_hosts_and_domains(no_proxy: str, used: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert (proxy_to(GATEWAY, {"HTTPS_PROXY": "http://proxy:3128", name: no_proxy}) is not None) is used


def test_no_proxy_names_networks_and_addresses() -> None:
    for url in ("https://10.1.2.3", "https://[2001:db8::1]"):
        assert proxy_to(Address.of(url), {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8,2001:db8::/32"}) is None
        assert proxy_to(Address.of(url), {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "192.0.2.0/24"}) is not None
    assert proxy_to(Address.of("https://[2001:db8::1]"), {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "2001:db8::1"}) is None


def test_what_is_not_encrypted_goes_through_no_proxy() -> None:
    assert proxy_to(Address.of("http://127.0.0.1:8080"), {"HTTPS_PROXY": "http://proxy:3128", "http_proxy": "http://proxy:3128"}) is None


@pytest.mark.parametrize("said", ["https://proxy:3128", "socks5://proxy", "http://", "http://proxy:99999", "http://[x", "http://a b:1"])
def test_a_proxy_that_cannot_be_used_is_an_error_that_shows_no_password(said: str) -> None:
    with pytest.raises(GatewayError) as caught:
        proxy_to(GATEWAY, {"HTTPS_PROXY": said.replace("//", "//alice:geheim@")})
    assert caught.value.hint == "Set it as http://proxy.example.org:3128, or name the gateway in NO_PROXY."
    assert "geheim" not in str(caught.value)


# CAs.


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x00\xff"])
def test_a_ca_that_is_none_is_a_line_and_a_hint(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(GatewayError) as caught:
        trust(file)
    assert str(file) in str(caught.value)
    assert caught.value.hint == "Name a file with the CA's certificate (PEM)."


def test_without_a_ca_those_of_the_system_are_trusted_and_names_are_checked() -> None:
    context = trust(None)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_proxy_may_have_a_password_that_is_no_utf_8() -> None:
    proxy = proxy_to(Address.of("https://g"), {"https_proxy": "http://u:p\udce4ss@proxy:1"})
    assert proxy is not None
    assert proxy.headers == {"Proxy-Authorization": "Basic dTpw5HNz"}

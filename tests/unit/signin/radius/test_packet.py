from __future__ import annotations

import hashlib
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Secret
from gateway.signin.radius.packet import ENTROPY_BYTES, Question, Verdict, question

SECRET = b"a secret that both ends know"
ENTROPY = bytes(range(1, ENTROPY_BYTES + 1))
CODES = {2: Verdict.ACCEPT, 3: Verdict.REJECT, 11: Verdict.CHALLENGE}


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()  # RFC 2865 knows no other


def asked(code: str = "123456", entropy: bytes = ENTROPY) -> Question:
    return question(Secret(SECRET), entropy, username="alice", code=code, address="192.0.2.1", nas_identifier="gw")


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Take a packet apart, by hand."""
    found, place = [], 20
    while place < len(data):
        kind, length = data[place], data[place + 1]
        found.append((kind, data[place + 2 : place + length]))
        place += length
    return found


def attribute(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value) + 2]) + value


def answer(request: bytes, code: int = 2, *, before: bytes = b"", after: bytes = b"", secret: bytes = SECRET, signed: bool = True) -> bytes:
    """Answer as a server does (RFC 2865 section 3, RFC 2869 section 5.14), by hand: the tests do not trust the library that they test."""
    body = before + (attribute(80, bytes(16)) if signed else b"") + after
    head = struct.pack("!BBH", code, request[1], 20 + len(body))
    if signed:
        digest = hmac.new(secret, head + request[4:20] + body, hashlib.md5).digest()
        body = before + attribute(80, digest) + after
    return head + md5(head + request[4:20] + body + secret) + body


def test_the_message_authenticator_stands_first_and_is_right() -> None:
    data = asked().data
    kind, digest = attributes(data)[0]
    bare = data[:22] + bytes(16) + data[38:]
    assert (kind, digest) == (80, hmac.new(SECRET, bare, hashlib.md5).digest())


def test_a_request_says_who_asks_about_whom() -> None:
    data = asked().data
    assert (data[0], struct.unpack("!H", data[2:4])[0]) == (1, len(data))
    found = dict(attributes(data))
    assert (found[1], found[31], found[32]) == (b"alice", b"192.0.2.1", b"gw")


@given(st.from_regex(r"[!-~]{1,64}", fullmatch=True))
def test_the_code_is_hidden_as_the_rfc_says(code: str) -> None:
    data = asked(code).data
    hidden, last, plain = dict(attributes(data))[2], data[4:20], b""
    for start in range(0, len(hidden), 16):
        block = hidden[start : start + 16]
        plain += bytes(one ^ other for one, other in zip(block, md5(SECRET + last), strict=True))
        last = block
    assert plain.rstrip(b"\0").decode() == code


def test_identifier_and_authenticator_are_the_given_random_bytes() -> None:
    assert asked().data[1:2] + asked().data[4:20] == ENTROPY


@pytest.mark.parametrize("length", [0, 16, 18])
def test_a_request_is_made_of_seventeen_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="17 random bytes"):
        asked(entropy=bytes(length))


def test_a_request_does_not_show_its_code() -> None:
    assert "123456" not in repr(asked())
    assert b"123456" not in asked().data


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (attribute(18, b"hello"), b""), (b"", attribute(26, b"\0\0\0\1" + attribute(1, b"x")))])
def test_an_authentic_answer_is_believed(code: int, before: bytes, after: bytes) -> None:
    one = asked()
    assert one.verdict(answer(one.data, code, before=before, after=after)) == CODES[code]


def test_an_answer_without_a_message_authenticator_is_ignored() -> None:
    one = asked()
    assert one.verdict(answer(one.data, signed=False)) is None


def test_an_answer_with_a_message_authenticator_of_another_secret_is_ignored() -> None:
    one, body = asked(), attribute(80, b"x" * 16)
    head = struct.pack("!BBH", 2, one.data[1], 38)
    forged = head + md5(head + one.data[4:20] + body + SECRET) + body
    assert one.verdict(forged) is None


def test_an_answer_with_another_authenticator_is_ignored() -> None:
    one = asked()
    good = answer(one.data)
    assert one.verdict(good[:4] + bytes(16) + good[20:]) is None


def test_an_answer_of_another_secret_is_ignored() -> None:
    one = asked()
    assert one.verdict(answer(one.data, secret=b"another secret, as long")) is None


def test_an_answer_to_another_request_is_ignored() -> None:
    other = asked(entropy=bytes(ENTROPY_BYTES))
    assert asked().verdict(answer(other.data)) is None


def test_an_answer_with_another_identifier_is_ignored() -> None:
    one = asked()
    request = bytearray(one.data)
    request[1] ^= 1
    assert one.verdict(answer(bytes(request))) is None


@pytest.mark.parametrize("code", [0, 1, 4, 5, 12, 40, 255])
def test_another_kind_of_packet_is_no_verdict(code: int) -> None:
    one = asked()
    assert one.verdict(answer(one.data, code)) is None


def test_a_proxy_state_that_was_not_sent_is_the_sign_of_a_forger() -> None:
    one = asked()
    assert one.verdict(answer(one.data, after=attribute(33, b"collision"))) is None


def test_two_message_authenticators_are_one_too_many() -> None:
    one = asked()
    assert one.verdict(answer(one.data, after=attribute(80, bytes(16)))) is None


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_message_authenticator_of_another_length_is_none(length: int) -> None:
    one, body = asked(), attribute(80, bytes(length))
    head = struct.pack("!BBH", 2, one.data[1], 20 + len(body))
    assert one.verdict(head + md5(head + one.data[4:20] + body + SECRET) + body) is None


@pytest.mark.parametrize("tail", [b"\0", b"\1", b"\x12\1", b"\x12\0", b"\x12\x05ab", b"padding that is not declared"])
def test_attributes_that_do_not_fill_the_packet_are_ignored(tail: bytes) -> None:
    one = asked()
    assert one.verdict(answer(one.data, after=tail) if len(tail) < 8 else answer(one.data) + tail) is None


def test_a_packet_that_is_too_long_is_ignored() -> None:
    one = asked()
    assert one.verdict(answer(one.data, after=attribute(18, b"x" * 253) * 17)) is None


@given(st.binary(max_size=600))
def test_garbage_is_ignored_without_an_error(data: bytes) -> None:
    assert asked().verdict(data) is None


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_an_answer_that_was_changed_anywhere_is_ignored(place: int, change: bytes) -> None:
    one = asked()
    good = answer(one.data, before=attribute(18, b"welcome"), after=attribute(25, b"class" * 20))
    place %= len(good)
    changed = good[:place] + change + good[place + len(change) :]
    assert one.verdict(changed) is (Verdict.ACCEPT if changed == good else None)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8), st.integers(0, 255))
def test_whatever_a_server_adds_the_verdict_is_its_code_or_none(extra: list[tuple[int, bytes]], code: int) -> None:
    one = asked()
    verdict = one.verdict(answer(one.data, code, after=b"".join(attribute(kind, value) for kind, value in extra)))
    assert verdict in {None, CODES.get(code)}

"""What every request goes with, and what is made of the body that comes back."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.asking import Answer, Ask, checked, fields, unpacked
from gateway.client.errors import GatewayError, NotUnderstoodError
from gateway.secret import Secret
from tests.unit.client.driving import tried

TOKEN = Secret(b"sgw_" + b"a" * 49)
READ = Ask(method="GET", path="/")


def packed(body: bytes, coding: str = "gzip") -> Answer:
    return Answer(status=200, headers={"content-encoding": coding, "content-length": "5", "etag": "x"}, body=body)


def test_a_request_says_who_asks_and_what_it_takes() -> None:
    assert fields(READ, TOKEN, "agent/1") == {
        "User-Agent": "agent/1",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Authorization": f"Bearer sgw_{'a' * 49}",
    }


def test_headers_of_ones_own_take_the_place_of_the_usual_ones() -> None:
    question = Ask(method="GET", path="/", headers=(("accept", "text/csv"), ("USER-AGENT", "mine"), ("accept-encoding", "br")))
    assert fields(question, None, "agent/1") == {"accept": "text/csv", "USER-AGENT": "mine", "accept-encoding": "br"}


def test_without_a_token_or_without_wanting_one_none_is_sent() -> None:
    assert "Authorization" not in fields(READ, None, "a")
    assert "Authorization" not in fields(Ask(method="GET", path="/", anonymous=True), TOKEN, "a")


def test_a_post_without_a_body_has_a_length_all_the_same() -> None:
    assert fields(Ask(method="POST", path="/"), None, "a")["Content-Length"] == "0"
    assert "Content-Length" not in fields(READ, None, "a")


@given(st.binary(max_size=20))
def test_what_is_taken_for_a_token_can_stand_in_a_header(token: bytes) -> None:
    found = tried(checked, Secret(token))
    if isinstance(found, GatewayError):
        assert found.reason == "bad_token"
        return
    assert token.isascii()
    assert token.decode().isprintable()
    assert b" " not in token


@given(st.text(max_size=10), st.text(max_size=10))
def test_no_header_becomes_two(name: str, value: str) -> None:
    found = tried(fields, Ask(method="GET", path="/", headers=((name, value),)), None, "a")
    if isinstance(found, GatewayError):
        assert found.reason == "bad_request"
        assert str(found).isprintable()
        return
    written = "".join(f"{name}: {value}\r\n" for name, value in found.items()).encode("latin-1")
    assert written.count(b"\n") == written.count(b"\r") == len(found)


def test_a_body_is_not_shown() -> None:
    assert "geheim" not in repr(Ask(method="POST", path="/", body=b"geheim"))
    assert "geheim" not in repr(Answer(status=200, headers={}, body=b"geheim"))


@given(st.binary(max_size=2000))
def test_what_was_packed_is_unpacked(body: bytes) -> None:
    found = unpacked(READ, packed(gzip.compress(body)), 2000)
    assert found.body == body
    assert found.headers == {"etag": "x"}


@given(st.binary(max_size=200))
def test_what_is_not_packed_but_says_so_is_not_understood(body: bytes) -> None:
    try:
        unpacked(READ, packed(body), 2000)
    except NotUnderstoodError:
        return
    assert body == b"" or body[:2] == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (packed(gzip.compress(b"x" * 101)), "answer_too_large"), (packed(gzip.compress(b"x" * 50)[:-5]), "not_understood"),
        (packed(b"x", "br"), "not_understood"), (packed(b"x", "gzip, gzip"), "not_understood"),
    ],
)  # fmt: skip
def test_what_cannot_be_unpacked_is_an_error(answer: Answer, reason: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        unpacked(READ, answer, 100)
    assert caught.value.reason == reason
    assert caught.value.hint


def test_what_is_too_large_takes_no_more_memory_than_it_may() -> None:
    bomb = packed(gzip.compress(b"\0" * 50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(NotUnderstoodError):
            unpacked(READ, bomb, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_an_answer_of_just_the_largest_size_is_taken() -> None:
    assert len(unpacked(READ, packed(gzip.compress(b"x" * 100)), 100).body) == 100


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN2"])
def test_what_is_no_json_is_not_understood(body: bytes) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        Answer(status=200, headers={"content-type": "text/html"}, body=body).json()
    assert "text/html" in str(caught.value)
    assert caught.value.hint == (
        "Is this the gateway's address? Some networks and proxies answer in the place of others until one has signed in to them."
    )


def test_an_answer_knows_its_type_and_its_request() -> None:
    answer = Answer(status=200, headers={"content-type": "Application/JSON; charset=utf-8", "x-request-id": "r"}, body=json.dumps({}).encode())
    assert (answer.media_type, answer.request_id, answer.json()) == ("application/json", "r", {})

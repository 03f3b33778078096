from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.proxy.headers import Head, content_length, reply_headers, single_value


def head(**fields: object) -> Head:
    return Head(**{"method": "GET", "target": "/slurm/v0.0.38/ping", "username": "alice", "token": "t.o.k", **fields})  # type: ignore[arg-type]  # a table's


def test_a_head_without_a_body_has_the_identity_and_accepts_anything() -> None:
    assert head().encode("localhost") == (
        b"GET /slurm/v0.0.38/ping HTTP/1.1\r\nHost: localhost\r\nX-SLURM-USER-NAME: alice\r\nX-SLURM-USER-TOKEN: t.o.k\r\nAccept: */*\r\n\r\n"
    )


def test_a_head_with_a_body_has_its_type_and_length() -> None:
    encoded = head(method="POST", accept="application/json", content_type="application/x-yaml", content_length=7).encode("h")
    assert encoded.endswith(b"Accept: application/json\r\nContent-Type: application/x-yaml\r\nContent-Length: 7\r\n\r\n")


def test_a_length_of_nought_is_written() -> None:
    assert b"Content-Length: 0\r\n" in head(method="POST", content_length=0).encode("h")


def test_the_repr_of_a_head_shows_neither_token_nor_query() -> None:
    assert repr(head(target="/a?b=c")) == "Head(GET /a)"


@pytest.mark.parametrize(
    ("values", "kept"), [([], None), ([""], None), (["application/json"], "application/json"), (["a b"], "a b"), (["x" * 256], "x" * 256)]
)
def test_a_header_that_stands_once_is_kept(values: list[str], kept: str | None) -> None:
    assert single_value(values, "Accept") == kept


@pytest.mark.parametrize("values", [["a", "a"], ["", ""], ["a\r\nb"], ["a\0"], ["a\tb"], ["é"], [" a"], ["x" * 257], ["\x7f"]])
def test_a_header_that_stands_twice_or_has_odd_characters_is_refused(values: list[str]) -> None:
    with pytest.raises(BadRequest):
        single_value(values, "Accept")


@given(st.text())
@settings(max_examples=60, deadline=None)
def test_no_header_that_is_passed_on_can_begin_another(value: str) -> None:
    try:
        kept = single_value([value], "Accept")
    except BadRequest:
        return
    assert head(accept=kept).encode("h").count(b"\r\n") == 6


@pytest.mark.parametrize(("values", "length"), [([], None), (["0"], 0), (["52428800"], 52428800), (["007"], 7)])
def test_a_plain_length_is_read(values: list[str], length: int | None) -> None:
    assert content_length(values) == length


@pytest.mark.parametrize("value", ["", "-1", "+5", "0x10", "1_0", "5 ", "5,5", "\u0665", "\u00b2", "1e3", "9" * 16])
def test_a_length_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(BadRequest):
        content_length([value])


def test_two_lengths_are_refused_even_when_they_are_the_same() -> None:
    with pytest.raises(BadRequest):
        content_length(["5", "5"])


@given(st.lists(st.text(max_size=20), max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_stands_for_a_length_it_is_none_a_number_or_a_refusal(values: list[str]) -> None:
    try:
        length = content_length(values)
    except BadRequest:
        return
    assert length is None or 0 <= length < 10**15


def test_the_reply_keeps_its_type_and_retry_after_and_nothing_else() -> None:
    given_headers = [
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=b"),
        (b"retry-after", b"7"),
        (b"location", b"/x"),
        (b"x-slurm-user-token", b"t"),
    ]
    assert reply_headers(given_headers) == {"Content-Type": "text/plain", "Retry-After": "7"}


def test_of_two_types_the_reply_keeps_the_first() -> None:
    assert reply_headers([(b"content-type", b"a/b"), (b"content-type", b"c/d")]) == {"Content-Type": "a/b"}


@given(st.lists(st.tuples(st.sampled_from([b"content-type", b"retry-after", b"x"]), st.binary(max_size=30)), max_size=4))
@settings(max_examples=60, deadline=None)
def test_whatever_a_reply_says_its_headers_are_printable(headers: list[tuple[bytes, bytes]]) -> None:
    assert all(value.isascii() and value.isprintable() and value for value in reply_headers(headers).values())

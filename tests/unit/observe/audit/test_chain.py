from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.audit import chain
from tests.unit.observe.audit.conftest import KEY, event

HEAD = chain.head_line(seq=7, prev="a" * 64, at=0.0, trail="t", cause="interval", key=KEY.fingerprint, sign=KEY.sign)


def test_a_linked_line_has_its_place_in_front_and_all_that_it_said() -> None:
    assert chain.link(event(1), 7, "a" * 64) == b'{"seq":7,"prev":"' + b"a" * 64 + b'",' + event(1)[1:]


@given(st.text(), st.integers(1, 2**62))
def test_what_was_linked_is_read_back(user: str, seq: int) -> None:
    linked = chain.parse(chain.link(event(1, user=user), seq, "0" * 64))
    assert linked is not None
    assert (linked.seq, linked.prev, linked.fields["user"], linked.is_head) == (seq, "0" * 64, user, False)


@given(st.binary())
def test_whatever_is_parsed_nothing_is_raised(line: bytes) -> None:
    assert chain.parse(line) is None or line.startswith(b"{")
    assert chain.signed_part(line) is None or line.startswith(b"{")


@pytest.mark.parametrize("seq", [0, -1, True, 1.0, "1", None, 2**63])
def test_what_has_no_number_is_no_line_of_the_chain(seq: object) -> None:
    assert chain.parse(json.dumps({"seq": seq, "prev": "0" * 64}).encode() + b"\n") is None


@pytest.mark.parametrize("prev", ["", "0" * 63, "0" * 65, "A" * 64, 0, None])
def test_what_has_no_hash_is_no_line_of_the_chain(prev: object) -> None:
    assert chain.parse(json.dumps({"seq": 1, "prev": prev}).encode() + b"\n") is None


def test_a_line_without_its_newline_is_no_line_of_the_chain() -> None:
    assert chain.parse(chain.link(event(1), 1, "0" * 64)[:-1]) is None


def test_a_head_is_signed_over_all_that_it_says() -> None:
    parts = chain.signed_part(HEAD)
    assert parts is not None
    signed, signature = parts
    assert KEY.public.has_signed(signed, signature)
    assert json.loads(signed + b"}") == {name: value for name, value in json.loads(HEAD).items() if name != "sig"}


def test_a_signature_in_another_spelling_is_none() -> None:
    text = json.loads(HEAD)["sig"]
    twin = text[:-3] + chr(ord(text[-3]) + 1) + "=="  # the same bytes, for four bits of that character are none of theirs
    assert chain.signed_part(HEAD.replace(text.encode(), twin.encode())) is None

"""What the handlers make of values; their answers over the wire are in tests/web/test_enrolling.py."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.web import enrolment
from tests.unit.web.conftest import Make


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("gateway.example.org", "gateway.example.org"),
        ("Gateway.Example.ORG:8443", "gateway.example.org"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("", ""),
        (":443", ""),
    ],
)
def test_the_name_of_a_request_has_no_port_and_no_capitals(make: Make, said: str, name: str) -> None:
    assert enrolment._host(make(fields=[("Host", said)])) == name


def test_a_picture_is_well_formed_and_draws_only() -> None:
    picture = ET.fromstring(enrolment.qr_svg("otpauth://totp/HPC%20%26%20more:alice?secret=ABC&issuer=%3Cscript%3E"))  # noqa: S314 - made a line above
    assert {element.tag for element in picture.iter()} == {"svg", "path"}


@pytest.mark.parametrize("tree", [{}, {"a": 1, "b": 2, "c": 3}, {"b": 2}])
def test_other_keys_than_were_asked_for_are_malformed(tree: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        enrolment._keys(tree, {"a"}, {"b"})


@pytest.mark.parametrize("tree", [{"a": 1}, {"a": 1, "b": 2}])
def test_the_keys_that_were_asked_for_are_fine(tree: dict[str, object]) -> None:
    assert enrolment._keys(tree, {"a"}, {"b"}) == tree


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it makes a new request each time it is called
@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_whatever_the_host_is_what_is_left_has_no_port(make: Make, said: str) -> None:
    name = enrolment._host(make(fields=[("Host", said)]))
    assert said.lower().startswith(name)
    assert said.lower()[len(name) :].lstrip(":0123456789") == ""

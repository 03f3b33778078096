from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.repair.media import JSON, content_type_for

BODY = b'{"job": {}}'


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/json",
        "application/json; charset=utf-8",
        'application/json; charset="utf-8"',
        "application/json;charset=us-ascii",
        "application/json;",
        "Application/JSON",
        "application/json; profile=x",
    ],
)
@pytest.mark.parametrize("body", [BODY, b"[]", b' \r\n\t{"a": 1}\n', '{"ä": "ö"}'.encode()])
def test_json_is_called_so(content_type: str | None, body: bytes) -> None:
    assert content_type_for(content_type, body) == JSON


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "application/json; charset=",
        "application/yaml",
        "application/x-yaml",
        "multipart/form-data; boundary=x",
        "application/problem+json",
        "*/*",
        "garbage",
        "application/json, application/json",
    ],
)
def test_another_content_type_stays(content_type: str) -> None:
    assert content_type_for(content_type, BODY) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"job: {}",
        b'"text"',
        b"1",
        b"null",
        b'{"job": }',
        b'{"job": 1',
        b"{} {}",
        b'{"job": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b"a=1&b=2",
        "{}".encode("utf-16"),
    ],
)
def test_what_is_no_json_is_not_called_so(body: bytes) -> None:
    assert content_type_for(None, body) is None


@given(st.one_of(st.none(), st.text()), st.binary())
def test_whatever_comes_gets_an_answer(content_type: str | None, body: bytes) -> None:
    assert content_type_for(content_type, body) in {None, JSON}

from __future__ import annotations

import re
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.policy.path import Target, canonical

# The pieces that path tricks are made of, so that a search meets them more often than by chance.
PIECES = [
    "/",
    "//",
    ".",
    "..",
    "...",
    "%",
    "%2e",
    "%2E",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "%00",
    "%0a",
    "%25",
    "%252e",
    "%c0%ae",
    "%C0%AF",
    ";",
    "%3b",
    "?",
    "#",
]
PIECES += [
    "%23",
    "%3f",
    "%7f",
    "%70",
    "%7E",
    "%20",
    " ",
    "\t",
    "\r\n",
    "\0",
    "é",
    "%C3%A9",
    "\uff0f",
    "\uff0e",
    "%uFF0E",
    "%zz",
    "%4",
    "a",
    "slurm",
    "v0.0.38",
    ":",
    "@",
]
TARGETS = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.characters())).map(lambda pieces: "/" + "".join(pieces)))

REFUSED = [
    "",
    "*",
    "slurm/v0.0.38/ping",
    "http://evil.example/slurm/v0.0.38/ping",
    "/slurm/../auth/login",
    "/slurm/.",
    "/..",
    "/%2e%2e/x",
    "/.%2E/x",
    "/slurm/%2e/x",
    "/slurm%2fv0.0.38/ping",
    "/slurm%2Fv0.0.38/ping",
    "/slurm%5cv0.0.38/ping",
    "/slurm\\v0.0.38/ping",
    "/slurm/%00",
    "/slurm/\0",
    "/slurm/%0d%0aX-SLURM-USER-NAME:%20root",
    "/slurm/\r\nX-SLURM-USER-NAME: root",
    "/slurm/%1f",
    "/slurm/%7f",
    "/slurm/%252e%252e/x",
    "/slurm/%25",
    "/slurm/;jsessionid=1",
    "/slurm/%3bx",
    "/slurm/%3fx",
    "/slurm/%23x",
    "/slurm/#x",
    "/slurm?a#b",
    "/slurm/%",
    "/slurm/%4",
    "/slurm/%zz",
    "/slurm/%u002e",
    "/slurm/pi ng",
    "/slurm/pi\tng",
    "/slurm/é",
    "/slurm/．．/x",  # noqa: RUF001 - full-width dots
    "/slurm／x",  # noqa: RUF001 - a full-width slash
    "/slurm/\ud800",
    "/slurm/<x>",
    "/slurm/{id}",
    "/slurm/a|b",
    "/slurm/a^b",
    "/slurm/a`b",
    '/slurm/a"b',
    "/slurm/[x]",
    "/jobs?a=%",
    "/jobs?a=%0",
    "/jobs?a=%00",
    "/jobs?a=%0A",
    "/jobs?a=%7F",
    "/jobs?a= b",
    "/jobs?a=\r\n",
    "/jobs?a=é",
    "/jobs?a=<b>",
    "/jobs?a=\\",
    "/" + "a" * 8192,
]
SPELLINGS = [
    ("/", "/", ""),
    ("//", "/", ""),
    ("/slurm/v0.0.38/ping", "/slurm/v0.0.38/ping", ""),
    ("//slurm//v0.0.38///ping/", "/slurm/v0.0.38/ping", ""),
    ("//evil.example/slurm", "/evil.example/slurm", ""),
    ("/slurm/v0.0.38/%70ing", "/slurm/v0.0.38/ping", ""),
    ("/%73%6C%75%72%6d/x", "/slurm/x", ""),
    ("/slurm/%7Ealice", "/slurm/~alice", ""),
    ("/slurm/%c3%a9", "/slurm/%C3%A9", ""),
    ("/slurm/a%20b", "/slurm/a%20b", ""),
    ("/slurm/a%3ab", "/slurm/a%3Ab", ""),
    ("/slurm/a:b@c", "/slurm/a:b@c", ""),
    ("/slurm/..x/x..", "/slurm/..x/x..", ""),
    ("/slurm/...", "/slurm/...", ""),
    ("/.well-known", "/.well-known", ""),
    ("/slurm/PING", "/slurm/PING", ""),
    ("/jobs?", "/jobs", ""),
    ("/jobs?update_time=1&flags=a,b", "/jobs", "update_time=1&flags=a,b"),
    ("/jobs?a=%2e%2e%2f", "/jobs", "a=%2e%2e%2f"),
    ("/jobs?a=../x", "/jobs", "a=..%2Fx"),
    ("/jobs?a?b", "/jobs", "a%3Fb"),
    ("/" + "a" * 8191, "/" + "a" * 8191, ""),
]


@pytest.mark.parametrize("raw", REFUSED)
def test_what_two_parsers_might_read_differently_is_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        canonical(raw)


@pytest.mark.parametrize(("raw", "path", "query"), SPELLINGS)
def test_equal_spellings_become_one(raw: str, path: str, query: str) -> None:
    assert canonical(raw) == Target(path, query)


@given(TARGETS)
def test_a_target_is_refused_or_has_a_spelling_of_its_own(raw: str) -> None:
    try:
        once = canonical(raw)
    except BadRequest:
        return
    assert canonical(str(once)) == once


@given(TARGETS)
def test_no_dot_segment_double_slash_or_hidden_separator_survives(raw: str) -> None:
    try:
        target = canonical(raw)
    except BadRequest:
        return
    assert re.search(r"//|/\.{1,2}(/|$)|[\\;?#\x00-\x20\x7f-\U0010ffff]", target.path) is None
    assert re.search(r"(?i)%(2f|5c|2e|00|25|3b|3f|23|0[0-9a-f]|1[0-9a-f]|7f)", target.path) is None


@given(TARGETS)
def test_decoding_once_more_changes_neither_the_segments_nor_their_number(raw: str) -> None:
    try:
        target = canonical(raw)
    except BadRequest:
        return
    again = urllib.parse.unquote_to_bytes(target.path)
    assert b".." not in again.split(b"/")
    assert again.count(b"/") == target.path.count("/")
    assert not set(again) & set(b"\\;?#%\r\n\0")


@given(TARGETS)
def test_a_query_cannot_end_the_request_line(raw: str) -> None:
    try:
        target = canonical(raw)
    except BadRequest:
        return
    assert re.fullmatch(r"[!-~]*", target.query)
    assert not set("/?#") & set(target.query)


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_~", min_size=1), min_size=1), st.data())
def test_escaping_letters_does_not_make_another_path(segments: list[str], data: st.DataObject) -> None:
    plain = "/" + "/".join(segments)
    hidden = "".join(f"%{ord(letter):02x}" if letter != "/" and data.draw(st.booleans()) else letter for letter in plain)
    assert canonical(hidden) == canonical(plain)


@pytest.mark.parametrize(("path", "query", "text"), [("/a", "", "/a"), ("/a", "b=c", "/a?b=c")])
def test_a_target_is_written_as_it_is_sent(path: str, query: str, text: str) -> None:
    assert str(Target(path, query)) == text


def test_a_refused_path_is_not_repeated_in_the_answer() -> None:
    with pytest.raises(BadRequest) as caught:
        canonical("/slurm/<script>")
    assert "script" not in f"{caught.value.detail}{caught.value.hint}{caught.value.cause}"


@pytest.mark.parametrize("raw", ["/a%C0%AFb", "/a%C0%AE%C0%AE/b", "/a%FF", "/a%ED%A0%80"])
def test_escaped_bytes_that_are_no_utf_8_are_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        canonical(raw)


def test_a_query_that_grows_beyond_the_limit_is_refused() -> None:
    with pytest.raises(BadRequest):
        canonical("/a?" + "/" * 4000)

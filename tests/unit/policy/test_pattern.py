from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.config.patterns import path_pattern
from gateway.errors import BadRequest, NotFound
from gateway.policy.path import canonical
from gateway.policy.pattern import Pattern
from gateway.policy.route import route

MATCHES: list[tuple[str, str, bool]] = [
    ("/slurm/v*/reconfigure", "/slurm/v0.0.40/reconfigure", True),
    ("/slurm/v*/reconfigure", "/slurm/v/reconfigure", True),
    ("/slurm/v*/reconfigure", "/slurm/v0.0.40/x/reconfigure", False),
    ("/slurm/v*/reconfigure", "/slurm/V0.0.40/reconfigure", False),
    ("/slurm/v*/reconfigure", "/slurm/v0.0.40/reconfigure2", False),
    ("/slurm/v*/reconfigure", "/slurm/v0.0.40/Reconfigure", False),
    ("/slurm/*/job/**", "/slurm/v1/job/7", True),
    ("/slurm/*/job/**", "/slurm/v1/job/7/requeue", True),
    ("/slurm/*/job/**", "/slurm/v1/job", True),
    ("/slurm/*/job/**", "/slurm/v1/jobs", False),
    ("/slurm/**/requeue", "/slurm/v1/job/7/requeue", True),
    ("/slurm/**/requeue", "/slurm/requeue", True),
    ("/slurm/**/job/*/**/x", "/slurm/a/job/b/job/c/x", True),
    ("/slurm/**/job/*/**/x", "/slurm/a/job/x", False),
    ("/slurm/**/a/**/a", "/slurm/v/a", False),
    ("/slurm/v*/a*b*c", "/slurm/v1/abc", True),
    ("/slurm/v*/a*b*c", "/slurm/v1/abbxcc", True),
    ("/slurm/v*/a*b*c", "/slurm/v1/acb", False),
    ("/slurm/v*/ab*ba", "/slurm/v1/aba", False),
    ("/slurmdb/v*/user/a@b", "/slurmdb/v1/user/a%40b", True),
    ("/slurmdb/v*/user/a%40b", "/slurmdb/v1/user/a@b", True),
    ("/slurmdb/v*/user/a%2Ab", "/slurmdb/v1/user/a%2Ab", True),
    ("/slurmdb/v*/user/a%2Ab", "/slurmdb/v1/user/axb", False),
    ("/slurmdb/v*/user/caf%C3%A9", "/slurmdb/v1/user/caf%C3%A9", True),
    ("/**", "/openapi", True),
    ("/**", "/slurm/v1/ping", True),
    ("/openapi*", "/openapi.json", True),
    ("/openapi*", "/openapi/v3", False),
    ("/openapi/**", "/openapi/v3", True),
    ("/openapi/**", "/openapi", True),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_a_pattern_matches_what_it_says(pattern: str, path: str, expected: bool) -> None:
    assert Pattern.of(pattern).matches(path) is expected


def naive(pattern: str, path: str) -> bool:
    """The definition, with every choice tried."""
    return segments_match(pattern[1:].split("/"), [unquote(part) for part in path[1:].split("/")])


def segments_match(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(segments_match(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and text_matches(pattern[0], path[0]) and segments_match(pattern[1:], path[1:])


def text_matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(text_matches(pattern[1:], text[skipped:]) for skipped in range(len(text) + 1))
    if pattern[0] == "%":
        return text[:1] == unquote(pattern[:3]) and text_matches(pattern[3:], text[1:])
    return text[:1] == pattern[0] and text_matches(pattern[1:], text[1:])


WORD = st.lists(st.sampled_from(["a", "b", "a", "*", "%40", "@", "%2A"]), min_size=1, max_size=5).map("".join)
PATTERNS = st.tuples(
    st.sampled_from(["/slurm/", "/slurmdb/"]), st.lists(WORD.filter(lambda word: "**" not in word) | st.just("**"), min_size=1, max_size=6)
).map(lambda parts: parts[0] + "/".join(parts[1]))
PATHS = st.tuples(
    st.sampled_from(["/slurm/", "/slurmdb/"]), st.lists(st.text("ab@*", min_size=1, max_size=5) | st.just("a%40"), min_size=1, max_size=6)
).map(lambda parts: parts[0] + "/".join(parts[1]))


def is_pattern(text: str) -> bool:
    try:
        path_pattern(text)
    except ValueError:
        return False
    return True


@given(PATTERNS.filter(is_pattern), PATHS)
def test_matching_is_what_trying_every_choice_finds(pattern: str, path: str) -> None:
    assert Pattern.of(pattern).matches(path) is naive(pattern, path)


@given(PATTERNS.filter(is_pattern), PATHS)
def test_a_path_that_was_made_from_a_pattern_is_found_by_both(pattern: str, path: str) -> None:
    made = pattern.replace("/**", path.removeprefix("/slurm").removeprefix("db")).replace("*", "")
    assume("//" not in made and not made.endswith("/"))
    assert Pattern.of(pattern).matches(made) is naive(pattern, made)


@given(PATTERNS | st.text("ab/.*%40Av", max_size=12).map("/slurm/v1/".__add__) | st.sampled_from(["/openapi", "/openapi*", "/openapi/**", "/**"]))
def test_what_is_taken_for_a_pattern_could_match_a_call(text: str) -> None:
    if not is_pattern(text):
        return
    made = [text.replace("**", "v1/ping"), text.replace("**", "a/b/c"), text.replace("/**", ""), text.replace("/**", "/openapi")]
    calls = {candidate.replace("*", star) for candidate in made for star in ("x", "", ".json", "v3")}
    assert any(is_call(call) and Pattern.of(text).matches(call) for call in calls)


def is_call(path: str) -> bool:
    try:
        return canonical(path).path == path and bool(route(path, "GET", "main", ("main",)))
    except (BadRequest, NotFound):
        return False


@given(PATTERNS.filter(is_pattern), st.text("ab/%4064.@", max_size=20))
def test_one_meaning_in_two_spellings_is_matched_alike(pattern: str, rest: str) -> None:
    try:
        path = canonical(f"/slurm/v1/{rest}").path
    except BadRequest:
        assume(False)
    assert Pattern.of(pattern).matches(path) is Pattern.of(pattern).matches(path.replace("%40", "@"))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/slurm/v/" + "*a" * 100 + "b", "/slurm/v/" + "a" * 8000),
        ("/slurm/" + "**/a/" * 48 + "b", "/slurm/" + "a/" * 4000 + "a"),
        ("/slurm/**/" + "*a*/" * 40 + "**/b", "/slurm/" + "aa/" * 2600 + "a"),
    ],
)
def test_no_pattern_takes_long_over_any_path(pattern: str, path: str) -> None:
    compiled, begun = Pattern.of(pattern), time.thread_time()
    assert not compiled.matches(path)
    assert time.thread_time() - begun < 0.5


def test_a_pattern_that_is_none_is_not_compiled() -> None:
    with pytest.raises(ValueError, match="could never match"):
        Pattern.of("/slurm//x")


@pytest.mark.parametrize(("text", "expected"), [("/slurm/*/reconfigure", True), ("/slurm/**", False), ("/slurm/*/r*", False), ("/**", False)])
def test_a_pattern_whose_last_segment_is_spelled_out_is_known(text: str, expected: bool) -> None:
    assert Pattern.of(text).ends_literally is expected

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.policy.route import changes_something
from gateway.policy.scopes import EVERYTHING, needed, parse_scopes, scopes_of

V = "/slurm/v0.0.45"
READ, SUBMIT, UPDATE, CANCEL = ("GET", f"{V}/jobs"), ("POST", f"{V}/job/submit"), ("POST", f"{V}/job/7"), ("DELETE", f"{V}/job/7")
REQUEUE, RECONFIGURE, ACCOUNTS, NODES = (
    ("GET", f"{V}/job/7/requeue"),
    ("GET", f"{V}/reconfigure"),
    ("POST", "/slurmdb/v1/accounts"),
    ("GET", f"{V}/nodes"),
)
OPENAPI = ("GET", "/openapi/v3")
CALLS = [READ, SUBMIT, UPDATE, CANCEL, REQUEUE, RECONFIGURE, ACCOUNTS, NODES, OPENAPI]
ALLOWED: dict[str, list[tuple[str, str]]] = {
    "read": [READ, NODES, OPENAPI],
    "submit": [SUBMIT],
    "jobs": [READ, SUBMIT, UPDATE, CANCEL, REQUEUE],
    "admin": CALLS,
    f"GET {V}/nodes": [NODES],
    "GET /slurm/**": [READ, NODES],
    "GET /**": [READ, NODES, OPENAPI],
    "GET /slurm/*/*": [READ, NODES],
    "GET /slurm/v*/reconfigure": [RECONFIGURE],
    "GET /slurm/v*/job/*/requeue": [REQUEUE],
    "* /slurm/*/reconfigure": [RECONFIGURE],
    "* /slurm/v*/job/**": [SUBMIT, UPDATE, CANCEL, REQUEUE],
    "DELETE /slurm/v*/job/*": [CANCEL],
    "POST /slurmdb/**": [ACCOUNTS],
}


@pytest.mark.parametrize("scope", ALLOWED)
def test_a_scope_allows_its_calls_and_no_others(scope: str) -> None:
    scopes = parse_scopes([scope])
    assert [call for call in CALLS if scopes.allows(*call)] == ALLOWED[scope]


def test_several_scopes_allow_what_one_of_them_allows() -> None:
    scopes = parse_scopes(["submit", "read"])
    assert [call for call in CALLS if scopes.allows(*call)] == [READ, SUBMIT, NODES, OPENAPI]


def test_scopes_are_kept_as_they_were_given() -> None:
    assert parse_scopes(["submit", "GET /openapi*"]).texts == ("submit", "GET /openapi*")


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        (None, "a list of 1 to 20"),
        ("read", "a list of 1 to 20"),
        ({"read": True}, "a list of 1 to 20"),
        ([], "a list of 1 to 20"),
        ([f"GET {V}/x{number}" for number in range(21)], "a list of 1 to 20"),
        ([7], "a list of 1 to 20"),
        ([None], "a list of 1 to 20"),
        (["read", "read"], "named twice"),
        (["*"], "a session's"),
        (["write"], "a scope is one of"),
        (["Read"], "a scope is one of"),
        (["read "], "a scope is one of"),
        ([""], "a scope is one of"),
        (["HEAD /slurm/**"], "a scope is one of"),
        (["get /slurm/**"], "a scope is one of"),
        (["GET"], "a scope is one of"),
        (["GET  /slurm/**"], "could never match"),
        (["GET slurm"], "could never match"),
        (["GET /auth/tokens"], "could never match"),
        (["* /slurm//x"], "could never match"),
        (["* /slurm/v*/" + "x" * 300], "at most 256"),
    ],
)
def test_what_is_no_list_of_scopes_is_refused_with_the_reason(given_: object, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_scopes(given_)
    assert why in caught.value.detail


def test_a_refusal_repeats_nothing_of_what_was_sent() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_scopes(["<script>"])
    assert "script" not in caught.value.detail + caught.value.hint


METHODS = st.sampled_from(["GET", "POST", "DELETE", "HEAD"])
PATHS = st.sampled_from([path for _, path in CALLS]) | st.lists(
    st.sampled_from(["slurm", "slurmdb", "v0.0.45", "job", "jobs", "7", "requeue", "reconfigure", "submit", "node"]), min_size=2, max_size=6
).map(lambda words: "/" + "/".join(words))


@given(METHODS, PATHS)
def test_to_read_never_changes_anything(method: str, path: str) -> None:
    assert not (changes_something(method, path) and parse_scopes(["read"]).allows(method, path))


@given(METHODS, PATHS)
def test_to_get_by_wildcard_never_changes_anything(method: str, path: str) -> None:
    assert not (changes_something(method, path) and parse_scopes(["GET /**", "GET /slurm/**"]).allows(method, path))


@given(METHODS, PATHS)
def test_no_scope_allows_more_than_a_session_has(method: str, path: str) -> None:
    assert not parse_scopes([*ALLOWED]).allows(method, path) or scopes_of(EVERYTHING).allows(method, path)


@given(METHODS.filter(lambda method: method != "HEAD"), PATHS)
def test_the_scope_that_is_named_as_needed_allows_the_call(method: str, path: str) -> None:
    assert parse_scopes([needed(method, path)]).allows(method, path)


def test_the_narrowest_scope_is_named_as_needed() -> None:
    assert [needed(*call) for call in CALLS] == ["read", "submit", "jobs", "jobs", "jobs", "admin", "admin", "read", "read"]


@pytest.mark.parametrize("texts", [(), ("write",), ("GET /slurm//x",), ("", "**")])
def test_what_the_store_has_and_nobody_understands_allows_nothing(texts: tuple[str, ...]) -> None:
    assert [call for call in CALLS if scopes_of(texts).allows(*call)] == []


def test_what_is_understood_counts_beside_what_is_not() -> None:
    assert scopes_of(("write", "read")).allows(*READ)


def test_a_session_may_call_whatever_slurm_has() -> None:
    assert all(scopes_of(EVERYTHING).allows(*call) for call in CALLS)

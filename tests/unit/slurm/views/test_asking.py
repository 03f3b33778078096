from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Views
from gateway.errors import BadRequest
from gateway.slurm.views import cursor
from gateway.slurm.views.asking import OURS, NotAcceptable, next_query, parse_view
from gateway.slurm.views.view import Form, Listing, View
from tests.unit.slurm import lists

LIMITS = Views()
JOBS, NODES, ACCOUNTED = "/slurm/v0.0.42/jobs", "/slurm/v0.0.42/nodes", "/slurmdb/v0.0.42/jobs"


def view_of(query: str, path: str = JOBS, accept: str | None = None) -> View:
    view, left = parse_view(path, query, accept, LIMITS)
    assert view is not None
    assert left == ""
    return view


@pytest.mark.parametrize("version", lists.VERSIONS)
@pytest.mark.parametrize(
    ("path", "listing"),
    [("/slurm/v0.0.{}/jobs", Listing.JOBS), ("/slurm/v0.0.{}/nodes", Listing.NODES), ("/slurmdb/v0.0.{}/jobs", Listing.ACCOUNTED)],
)
def test_every_version_has_views_of_its_lists(version: int, path: str, listing: Listing) -> None:
    assert view_of("name=a", path.format(version)) == View(listing=listing, version=version, names=frozenset({"a"}))


@pytest.mark.parametrize(
    "path",
    [
        "/slurm/v0.0.42/job/1",
        "/slurm/v0.0.42/jobs/state",
        "/slurm/v0.0.42/node/jobs",
        "/slurmdb/v0.0.42/nodes",
        "/slurm/v0.0.35/jobs",
        "/slurm/v0.0.042/jobs",
        "/slurm/v0.1.0/jobs",
        "/slurm/v0.0.42/partitions",
        "/clusters/x/slurm/v0.0.42/jobs",
        "/slurm/v0.0.\uff14\uff12/jobs",
        "/slurm/v0.0.42/jobs\n",
    ],
)
def test_other_paths_have_none(path: str) -> None:
    assert parse_view(path, "fields=a&limit=1", "text/csv", LIMITS) == (None, "fields=a&limit=1")


@pytest.mark.parametrize("query", ["", "update_time=1", "flags=SHOW_ALL&update_time=1", "unknown=1&&=2&%ff=%ff", "Fields=a", "FIELDS=a"])
def test_a_request_without_parameters_of_ours_goes_on_as_it_is(query: str) -> None:
    assert parse_view(JOBS, query, "application/json", LIMITS) == (None, query)


def test_what_is_not_ours_goes_on_as_it_came() -> None:
    view, left = parse_view(JOBS, "update_time=1%30&fields=job_id&=x&flags=&name=a&%66lags=%ff", None, LIMITS)
    assert view == View(listing=Listing.JOBS, version=42, fields=("job_id",), names=frozenset({"a"}))
    assert left == "update_time=1%30&=x&flags=&%66lags=%ff"


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_state_and_partition_of_accounted_jobs_are_slurmrestds(version: int) -> None:
    path = f"/slurmdb/v0.0.{version}/jobs"
    view, left = parse_view(path, "state=RUNNING&user=alice&partition=main&users=bob&job_name=x", None, LIMITS)
    assert view == View(listing=Listing.ACCOUNTED, version=version, users=frozenset({"alice"}))
    assert left == "state=RUNNING&partition=main&users=bob&job_name=x"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("fields=job_id,name", {"fields": ("job_id", "name")}),
        ("fields=job_id%2Cname", {"fields": ("job_id", "name")}),
        ("fields=job_id&fields=name", {"fields": ("job_id", "name")}),
        ("fields=name,job_id,name", {"fields": ("name", "job_id")}),
        ("fields=time.start,required.CPUs", {"fields": ("time.start", "required.CPUs")}),
        ("%66ields=job_id", {"fields": ("job_id",)}),
        ("user=alice,bob", {"users": frozenset({"alice", "bob"})}),
        ("user=alice&user=bob", {"users": frozenset({"alice", "bob"})}),
        ("state=running,pd,Cg", {"states": frozenset({"RUNNING", "PENDING", "COMPLETING"})}),
        ("partition=main", {"partitions": frozenset({"main"})}),
        ("name=a+b", {"names": frozenset({"a b"})}),
        ("name=a%2Bb", {"names": frozenset({"a+b"})}),
        ("name=a,b", {"names": frozenset({"a,b", "a", "b"})}),
        ("name=%C3%A4", {"names": frozenset({"ä"})}),
        ("limit=7", {"limit": 7}),
        (f"cursor={cursor.encode('jobs', (7, 0))}", {"after": (7, 0)}),
    ],
)
def test_a_parameter_says_what_is_wanted(query: str, asked: dict[str, Any]) -> None:
    assert view_of(query) == View(listing=Listing.JOBS, version=42, **asked)


def test_nodes_have_states_of_their_own() -> None:
    assert view_of("state=drained,mix", NODES).states == frozenset({"DRAINED", "MIXED"})


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("fields=", "leave it out"),
        ("fields", "leave it out"),
        ("user=", "leave it out"),
        ("fields=a,,b", "fields=one,two"),
        ("fields=a,", "fields=one,two"),
        ("fields=a-b", "job_id,name"),
        ("fields=.a", "job_id,name"),
        ("fields=a.", "job_id,name"),
        ("fields=*", "job_id,name"),
        ("fields=" + ",".join(f"f{number}" for number in range(101)), "fewer"),
        ("state=nonsense", "OUT_OF_MEMORY"),
        ("state=drained", "OUT_OF_MEMORY"),
        ("limit=0", "10000"),
        ("limit=10001", "10000"),
        ("limit=-1", "10000"),
        ("limit=1.5", "10000"),
        ("limit=\uff11", "10000"),
        ("limit=9999999999999999999999", "10000"),
        ("limit=1&limit=1", "once"),
        ("cursor=nonsense", "Link header"),
        (f"cursor={cursor.encode('nodes', ('n1', 0))}", "Link header"),
        ("name=%ff", "UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(query: str, hint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_view(JOBS, query, None, LIMITS)
    assert hint in refused.value.hint


def test_nodes_belong_to_no_user() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_view(NODES, "user=alice", None, LIMITS)
    assert "state, partition and name" in refused.value.hint


def test_nodes_do_not_tell_their_partitions_in_the_oldest_version() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_view("/slurm/v0.0.36/nodes", "partition=main", None, LIMITS)
    assert "v0.0.37" in refused.value.hint


@pytest.mark.parametrize(
    ("accept", "form"), [("text/csv", Form.CSV), ("application/x-ndjson", Form.NDJSON), ("text/csv, application/yaml;q=0.5", Form.CSV)]
)
def test_a_form_of_ours_is_a_view_by_itself(accept: str, form: Form) -> None:
    assert view_of("", accept=accept) == View(listing=Listing.JOBS, version=42, form=form)


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/yaml", "application/yaml, text/csv", "text/html", "text/plain"])
def test_any_other_form_is_slurmrestds_matter(accept: str | None) -> None:
    assert parse_view(JOBS, "", accept, LIMITS) == (None, "")


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/yaml, application/json;q=0.1", "text/html, */*;q=0.1"])
def test_a_view_is_json_unless_something_else_is_asked_for(accept: str | None) -> None:
    assert view_of("limit=1", accept=accept).form is Form.JSON


@pytest.mark.parametrize("accept", ["application/yaml", "text/html", "*/*;q=0"])
def test_a_view_in_a_form_that_we_do_not_make_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refused:
        parse_view(JOBS, "limit=1", accept, LIMITS)
    assert refused.value.status == 406
    assert "text/csv" in refused.value.hint


def test_nothing_has_changed_is_never_told_as_an_empty_table() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_view(JOBS, "update_time=1", "text/csv", LIMITS)
    assert "If-None-Match" in refused.value.hint


def test_update_time_goes_on_beside_a_view_in_json() -> None:
    assert parse_view(JOBS, "update_time=1&fields=job_id", None, LIMITS)[1] == "update_time=1"


PIECES = st.one_of(
    st.text(alphabet="abfieldsnamutrcopg=&,%+.0123456789Ff_-", max_size=40),
    st.tuples(st.sampled_from(sorted(OURS)), st.text(alphabet="abPDR,%+.0123456789_-", max_size=20)).map("=".join),
)


@given(st.lists(PIECES, max_size=6).map("&".join), st.sampled_from([JOBS, NODES, ACCOUNTED]), st.sampled_from([None, "text/csv", "application/yaml"]))
def test_whatever_is_asked_there_is_a_view_or_a_refusal_and_nothing_of_slurmrestds_is_lost(query: str, path: str, accept: str | None) -> None:
    try:
        view, left = parse_view(path, query, accept, LIMITS)
    except (BadRequest, NotAcceptable):
        return
    if view is None:
        assert left == query
        return
    hash(view)
    remaining = iter(query.split("&"))
    # What is left stands in the query in that order, and what is gone was ours.
    assert all(piece in remaining for piece in left.split("&") if piece)
    assert parse_view(path, left, None, LIMITS) == (None, left)


def test_the_next_page_is_asked_for_in_the_same_words() -> None:
    assert next_query("fields=job_id&cursor=old&limit=2&flags=%20", "new_-") == "fields=job_id&limit=2&flags=%20&cursor=new_-"


@pytest.mark.parametrize(
    ("said", "named", "hint"),
    [
        ("RUNING", "'RUNING' is none of Slurm's", "Did you mean RUNNING? The states are "),
        ("R,zzz", "'ZZZ' is none of Slurm's", "The states are "),
        ("%1b[31m", "one of the states is none of Slurm's", "The states are "),
        ("r" * 5000, "one of the states is none of Slurm's", "The states are "),
    ],
)
def test_a_state_that_is_none_is_named_where_it_is_a_word_with_what_may_have_been_meant(said: str, named: str, hint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        view_of(f"state={said}")
    assert (named in refused.value.detail, refused.value.hint.startswith(hint)) == (True, True), (refused.value.detail, refused.value.hint)

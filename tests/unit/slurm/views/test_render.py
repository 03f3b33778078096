from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, Refusal
from gateway.slurm.body import PACK_FROM, Body, pack, unpack
from gateway.slurm.views.cursor import decode
from gateway.slurm.views.render import Rendered, render
from gateway.slurm.views.reply import ListHasErrors, ListNotUnderstood, ListTooLarge
from gateway.slurm.views.view import Form, Listing, View
from tests.unit.slurm import lists

LARGEST = 2**30
ERROR = {"description": "Unable to query jobs", "error_number": 1007, "error": "Protocol authentication error"}


def rendered(body: bytes, listing: Listing = Listing.JOBS, version: int = 42, **asked: Any) -> Rendered:
    return render(View(listing=listing, version=version, **asked), pack(body), LARGEST)


def tree(shown: Rendered) -> Any:
    return json.loads(unpack(shown.body))


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_the_reply_keeps_its_shape_and_its_items_have_the_fields_alone(version: int) -> None:
    body = lists.answer(version, "jobs", [lists.job(version, 1), lists.job(version, 2, "PENDING")])
    whole = json.loads(body)
    shown = rendered(body, version=version, fields=("job_id", "name", "job_state"))
    expected = [{name: job[name] for name in ("job_id", "name", "job_state")} for job in whole["jobs"]]
    assert tree(shown) == whole | {"jobs": expected}
    assert list(tree(shown)) == list(whole)
    assert (shown.content_type, shown.count, shown.next_cursor) == ("application/json", 2, None)


@pytest.mark.parametrize("version", lists.VERSIONS)
@pytest.mark.parametrize(
    ("listing", "item", "fields"),
    [
        (Listing.NODES, lists.node, ("name", "state")),
        (Listing.ACCOUNTED, lists.accounted, ("job_id", "state.current")),
    ],
)
def test_so_do_nodes_and_accounted_jobs(version: int, listing: Listing, item: Any, fields: tuple[str, ...]) -> None:
    whole = lists.answer(version, listing.key, [item(version, 1, "IDLE")])
    shown = tree(rendered(whole, listing, version, fields=fields))
    assert shown[listing.key][0].keys() == {field.partition(".")[0] for field in fields}
    assert shown["meta"] == json.loads(whole)["meta"]


def test_what_is_kept_is_kept_byte_for_byte() -> None:
    item = b'{ "job_id": 1, "a": 1.50e+3, "b": "\\/\\u00e4 \xff", "c": 123456789012345678901234567890,\n "name": "x" }'
    body = b'{"meta": {"z":  1.0}, "jobs": [' + item + b", " + item.replace(b"x", b"y") + b"]}"
    assert unpack(rendered(body, names=frozenset({"x"})).body) == b'{"meta":{"z":  1.0},"jobs":[' + item + b"]}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda name: name not in {"jobs", "errors"}), JSON, max_size=4), st.lists(JSON, max_size=3))
def test_a_page_that_holds_everything_says_what_the_list_says(top: dict[str, Any], extras: list[Any]) -> None:
    whole = top | {"jobs": [{"job_id": number, "extra": extra} for number, extra in enumerate(extras)]}
    shown = rendered(json.dumps(whole, indent=2).encode(), limit=10)
    assert tree(shown) == whole
    lines = unpack(rendered(json.dumps(whole, indent=2).encode(), form=Form.NDJSON).body).splitlines()
    assert [json.loads(line) for line in lines] == whole["jobs"]


def test_a_page_leads_to_the_next() -> None:
    shown = rendered(lists.answer(42, "jobs", [lists.job(42, number) for number in (1, 2, 3)]), limit=2)
    assert shown.next_cursor is not None
    assert decode("jobs", (int,), shown.next_cursor) == (2, 0)
    assert (shown.count, [job["job_id"] for job in tree(shown)["jobs"]]) == (2, [1, 2])


def test_ndjson_has_one_item_a_line() -> None:
    body = lists.answer(42, "jobs", [lists.job(42, 1, name="a\nb"), lists.job(42, 2)])
    shown = rendered(body, form=Form.NDJSON)
    lines = unpack(shown.body).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == json.loads(body)["jobs"]
    assert (lines[-1], shown.content_type) == (b"", "application/x-ndjson")


def test_ndjson_takes_fields_filters_and_pages() -> None:
    body = lists.answer(42, "jobs", [lists.job(42, 1, "PENDING"), lists.job(42, 2), lists.job(42, 3)])
    shown = rendered(body, form=Form.NDJSON, fields=("job_id", "time_limit"), states=frozenset({"RUNNING"}), limit=1)
    assert unpack(shown.body) == b'{"job_id":2,"time_limit":{"set":false,"infinite":false,"number":0}}\n'
    assert shown.next_cursor is not None


def test_csv_has_the_fields_for_columns() -> None:
    body = lists.answer(42, "jobs", [lists.job(42, 1, name='x, "y"'), lists.job(42, 2, "RUNNING", "COMPLETING")])
    shown = rendered(body, form=Form.CSV, fields=("name", "job_state", "priority"))
    assert list(csv.reader(io.StringIO(unpack(shown.body).decode(), newline=""))) == [
        ["name", "job_state", "priority"],
        ['x, "y"', '["RUNNING"]', "4294901759"],
        ["job-2", '["RUNNING","COMPLETING"]', "4294901759"],
    ]
    assert shown.content_type == "text/csv; charset=utf-8; header=present"


def test_csv_has_columns_of_its_own_when_none_are_asked_for() -> None:
    shown = rendered(lists.answer(42, "jobs", []), form=Form.CSV)
    assert unpack(shown.body).startswith(b"job_id,")


@pytest.mark.parametrize("form", [Form.CSV, Form.NDJSON])
@pytest.mark.parametrize("jobs", [[], [lists.job(42, 1)]])
def test_an_error_of_slurms_is_never_a_list_where_there_is_no_room_for_it(form: Form, jobs: list[lists.Item]) -> None:
    with pytest.raises(ListHasErrors) as refused:
        rendered(lists.answer(42, "jobs", jobs, errors=[ERROR]), form=form)
    assert (refused.value.status, "Unable to query jobs" in refused.value.detail) == (502, True)


@pytest.mark.parametrize("jobs", [[], [lists.job(42, 1)]])
def test_an_error_of_slurms_stays_in_json(jobs: list[lists.Item]) -> None:
    shown = tree(rendered(lists.answer(42, "jobs", jobs, errors=[ERROR]), fields=("job_id",)))
    assert (shown["errors"], shown["jobs"]) == ([ERROR], [{"job_id": job["job_id"]} for job in jobs])


def test_errors_without_a_list_go_out_as_they_are() -> None:
    body = json.dumps({"errors": [ERROR], "warnings": []}).encode()
    shown = rendered(body, fields=("job_id",))
    assert (unpack(shown.body), shown.content_type, shown.count) == (body, "application/json", 0)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"Authentication failure", b'{"jobs": null, "errors": []}', b'{"jobs": [1]}', b'{"jobs": [{"a": NaN}]}']
)
def test_what_is_no_list_is_refused_in_every_form(body: bytes, form: Form) -> None:
    with pytest.raises(ListNotUnderstood) as refused:
        rendered(body, form=form, fields=("job_id",))
    assert refused.value.status == 502


def test_a_field_with_a_mistake_in_it_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(BadRequest) as refused:
        rendered(lists.answer(42, "jobs", [lists.job(42, 1)]), fields=("job_id", "jobstate"))
    assert "job_state" in refused.value.hint


def test_a_field_that_is_like_none_is_refused_with_some_that_there_are() -> None:
    with pytest.raises(BadRequest) as refused:
        rendered(lists.answer(42, "jobs", [lists.job(42, 1)]), fields=("zzzzzz",))
    assert "account" in refused.value.hint


def test_a_field_that_only_some_items_have_is_no_mistake() -> None:
    shown = rendered(lists.answer(42, "jobs", [lists.job(42, 1), lists.job(42, 2, rare=1)]), fields=("rare",))
    assert tree(shown)["jobs"] == [{}, {"rare": 1}]


def test_an_empty_list_has_no_mistakes() -> None:
    assert tree(rendered(lists.answer(42, "jobs", []), fields=("jobstate",)))["jobs"] == []


def test_a_name_that_is_not_utf8_does_not_hide_the_other_jobs() -> None:
    body = lists.answer(38, "jobs", [lists.job(38, 1, name="NAME"), lists.job(38, 2)]).replace(b"NAME", b"\xff\xfe")
    for form in Form:
        shown = rendered(body, version=38, form=form, names=frozenset({"\ufffd\ufffd", "job-2"}))
        assert shown.count == 2


def test_a_large_answer_comes_packed() -> None:
    body = lists.answer(38, "jobs", [lists.job(38, number) for number in range(500)])
    shown = rendered(body, version=38, form=Form.NDJSON)
    assert (shown.body.compressed, shown.body.size > PACK_FROM) == (True, True)


def test_a_list_beyond_the_limit_is_not_unpacked() -> None:
    with pytest.raises(ListTooLarge):
        render(View(listing=Listing.JOBS, version=42), Body(data=b"", compressed=True, size=11), 10)


def test_a_body_that_is_not_what_it_says_is_refused() -> None:
    with pytest.raises(ListNotUnderstood):
        render(View(listing=Listing.JOBS, version=42), Body(data=b"{}", compressed=True, size=2), 10)


WHOLE = lists.answer(42, "jobs", [lists.job(42, 1), lists.job(42, 2, "PENDING", name="ä")])


@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"null", b"\\", b"1e999", b"-"]))
def test_whatever_becomes_of_the_bytes_there_is_an_answer_or_a_refusal(place: int, cut: int, put: bytes) -> None:
    body = WHOLE[:place] + put + WHOLE[place + cut :]
    every = {"users": frozenset({"alice"}), "states": frozenset({"RUNNING"}), "partitions": frozenset({"main"}), "names": frozenset({"job-1"})}
    for form in Form:
        for asked in ({}, {"limit": 1}, every, {"fields": ("job_id", "name", "priority.number", "job_resources")}):
            with contextlib.suppress(Refusal):
                shown = rendered(body, form=form, **asked)
                assert shown.count <= 3

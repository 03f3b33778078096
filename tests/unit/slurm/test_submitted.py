from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.marking import mark_of
from gateway.slurm.names import Subject
from gateway.slurm.submitted import (
    Listing,
    Proof,
    Seen,
    Sought,
    alike,
    answer,
    by_mark,
    is_of,
    job_id_of,
    listed,
    proof,
    recorded,
    takes_key,
    waiting_for_database,
    words,
)

MARK, OTHER = mark_of("0" * 20), mark_of("1" * 20)
ALICE = Subject(username="alice", uid=1001)
YAML = b"%YAML 1.1\n--- !!map\n!!str result: !!map\n  !!str job_id: !!int 4\n!!str job_id: !!int 4\n!!str step_id: !!str batch\n"


def failed(*numbers: int, key: str = "error_code") -> bytes:
    return json.dumps({"meta": {}, "errors": [{key: number, "error": "some words"} for number in numbers]}).encode()


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, b'{"errors": [], "job_id": 7}', Proof.MADE),
        (200, b'{"errors": [{"error_code": 2042}], "job_id": 7}', Proof.MADE),
        (200, YAML, Proof.MADE),
        (200, b'{"errors": [], "job_id": 0}', Proof.UNKNOWN),
        (200, b"{", Proof.UNKNOWN),
        (200, b'{"errors": [{"error_number": 2000}]}', Proof.UNKNOWN),
        (200, b'{"errors": [], "warnings": []}', Proof.UNKNOWN),
        (200, b'{"warnings": [{"description": "Expected a number"}]}', Proof.UNKNOWN),
        (200, b'{"errors": [{}], "warnings": [{"description": "Expected a number"}]}', Proof.UNKNOWN),
        (200, b'{"errors": [], "warnings": [{"description": "Expected a number", "source": "#/job/tasks/"}], "meta": {}}', Proof.REFUSED),
        (200, b'{"errors": [], "warnings": [{"description": "Unknown field"}], "job_id": 7}', Proof.MADE),
        (400, b"Unable to parse query.", Proof.REFUSED),
        (400, failed(-1, 9001), Proof.REFUSED),
        (404, failed(2017), Proof.REFUSED),
        (415, b"", Proof.REFUSED),
        (500, failed(2000), Proof.REFUSED),
        (500, failed(2000, key="error_number"), Proof.REFUSED),
        (500, failed(2000, key="errno"), Proof.REFUSED),
        (500, failed(-1, 2050), Proof.REFUSED),
        (500, failed(7404), Proof.REFUSED),
        (401, b"Authentication failure", Proof.NOT_NOW),
        (429, b"", Proof.NOT_NOW),
        (511, failed(1007), Proof.NOT_NOW),
        (500, failed(1007), Proof.NOT_NOW),
        (500, failed(1800), Proof.NOT_NOW),
        (502, failed(1800), Proof.NOT_NOW),
        (500, failed(2007), Proof.NOT_NOW),
        (500, failed(-1), Proof.REFUSED_IF_UNSEEN),
        (500, failed(0), Proof.REFUSED_IF_UNSEEN),
        (504, failed(-1), Proof.UNKNOWN),
        (500, failed(5004), Proof.UNKNOWN),
        (504, failed(5004), Proof.UNKNOWN),
        (500, failed(5005), Proof.UNKNOWN),
        (500, failed(104), Proof.UNKNOWN),
        (500, failed(11), Proof.NOT_NOW),
        (500, failed(1801), Proof.UNKNOWN),
        (500, failed(2000, 5004), Proof.UNKNOWN),
        (500, failed(1800, 5004), Proof.UNKNOWN),
        (500, b'{"errors": []}', Proof.UNKNOWN),
        (500, b"", Proof.UNKNOWN),
        (500, b'{"errors": "2000"}', Proof.UNKNOWN),
        (500, b'{"errors": [2000]}', Proof.UNKNOWN),
        (500, b"[" * 100_000, Proof.UNKNOWN),
        (503, b"busy", Proof.UNKNOWN),
    ],
)
def test_an_answer_proves_what_slurm_has_shown_it_to_prove(status: int, content: bytes, expected: Proof) -> None:
    assert proof(status, content) is expected


@given(st.integers(100, 599), st.binary(max_size=100))
def test_no_answer_upsets_it(status: int, content: bytes) -> None:
    assert proof(status, content) in Proof
    words(content)


def test_a_name_that_is_not_utf_8_hides_nothing() -> None:
    listing = listed(200, page({"job_id": 7, "name": "\xff", "user_id": 1001}, {"job_id": 8, "name": "a"}).replace(b"\\u00ff", b"\xff"))
    assert listing is not None
    assert [(job.job_id, job.name) for job in listing.jobs] == [(7, "\ufffd"), (8, "a")]
    refusal = b'{"errors": [{"error_number": 2000, "description": "no partition \xff"}]}'
    assert (proof(500, refusal), words(refusal)) == (Proof.REFUSED, "no partition \ufffd")


def test_slurms_words_are_one_line_and_not_too_long() -> None:
    assert words(b'{"errors": [{"error": "A\\nb", "description": "c"}, {"description": "d"}, {"error": "e"}, {}]}') == "A b (c); d; e"
    assert len(words(failed(*[1] * 1000))) == 300
    assert words(b"no JSON") == ""


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/slurm/v0.0.36/job/submit", True),
        ("POST", "/slurm/v0.0.46/job/submit", True),
        ("POST", "/slurm/v0.0.41/job/allocate", True),
        ("POST", "/slurm/v0.0.40/job/allocate", False),
        ("GET", "/slurm/v0.0.36/job/submit", False),
        ("POST", "/slurm/v0.0.36/job/7", False),
        ("POST", "/slurm/v0.0.36/job/submit/", False),
        ("DELETE", "/slurm/v0.0.36/job/7", False),
        ("POST", "/slurmdb/v0.0.36/job/submit", False),
    ],
)
def test_a_key_means_something_where_a_job_is_made(method: str, path: str, expected: bool) -> None:
    assert takes_key(method, path) is expected


@pytest.mark.parametrize(("content", "expected"), [(b'{"job_id": 7}', 7), (YAML, 4), (b"job_id: 0\n", None), (b"", None), (b"  job_id: 4\n", None)])
def test_the_job_is_read_in_json_and_yaml(content: bytes, expected: int | None) -> None:
    assert job_id_of(content) == expected


def number(value: int) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": value}


OLDER = {"job_id": 7, "name": "a", "user_id": 1001, "user_name": "", "comment": MARK, "submit_time": 100, "array_job_id": 0, "het_job_id": 0}
NEWER = {**OLDER, "user_name": "alice", "submit_time": number(100), "array_job_id": number(0), "het_job_id": number(0), "job_state": ["RUNNING"]}
SEEN = Seen(job_id=7, user_id=1001, user_name="", name="a", comment=MARK, submitted_at=100)


def page(*jobs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"meta": {"plugin": 1}, "errors": [], "jobs": jobs, **more}).encode()


@pytest.mark.parametrize(
    ("content", "job"),
    [
        (page(OLDER), SEEN),
        (page(NEWER), Seen(job_id=7, user_id=1001, user_name="alice", name="a", comment=MARK, submitted_at=100)),
        (page({**OLDER, "job_id": 9, "array_job_id": 7}), SEEN),
        (page({**NEWER, "job_id": 9, "het_job_id": number(7), "user_name": None}), SEEN),
        (page({"job_id": 7}), Seen(job_id=7, user_id=None, user_name="", name="", comment="", submitted_at=0)),
        (page({**OLDER, "other": "\xff"}).replace(b"\\u00ff", b"\xff"), SEEN),
        (page({**OLDER, "load": float("nan")}), SEEN),
    ],
)
def test_a_list_of_jobs_is_read_in_each_versions_shape(content: bytes, job: Seen) -> None:
    listing = listed(200, content)
    assert listing is not None
    assert listing.jobs == (job,)
    assert json.loads(listing.meta) == {"plugin": 1}


RECORD = {
    "job_id": 7,
    "name": "a",
    "user": "alice",
    "comment": {"administrator": None, "job": None},
    "time": {"submission": 100},
    "array": {"job_id": 0},
    "het": {"job_id": 0},
}
RECORDED = Seen(job_id=7, user_id=None, user_name="alice", name="a", comment="", submitted_at=100)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        {**RECORD, "array": {"job_id": 0}, "het": {"job_id": number(0)}, "comment": {"job": ""}},
        {**RECORD, "job_id": 9, "array": {"job_id": 7}},
        {**RECORD, "job_id": 9, "het": {"job_id": 7}},
    ],
)
def test_a_list_of_records_is_read_in_each_versions_shape(record: dict[str, Any]) -> None:
    listing = recorded(200, page(record))
    assert listing is not None
    assert listing.jobs == (RECORDED,)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (500, page()),
        (304, b""),
        (200, page(errors=[{"error_number": -1}])),
        (200, b'{"jobs": []}'),
        (200, b'{"errors": []}'),
        (200, page()[:-1]),
        (200, page({"job_id": "7"})),
        (200, b""),
        (200, b"[" * 100_000),
    ],
)
def test_what_is_not_the_whole_list_is_none(status: int, content: bytes) -> None:
    assert listed(status, content) is None
    assert recorded(status, content) is None


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, b'{"statistics": {"dbd_agent_queue_size": 3}}', 3),
        (500, b'{"statistics": {"dbd_agent_queue_size": 0}}', None),
        (200, b'{"statistics": {}}', None),
        (200, b'{"statistics": null}', None),
        (200, b'{"statistics": {"dbd_agent_queue_size": "0"}}', None),
        (200, b"[", None),
    ],
)
def test_what_waits_for_the_database_is_told_by_slurmctld(status: int, content: bytes, expected: int | None) -> None:
    assert waiting_for_database(status, content) == expected


def seen(job_id: int = 7, **more: Any) -> Seen:
    return Seen(**{"job_id": job_id, "user_id": 1001, "user_name": "", "name": "a", "comment": "", "submitted_at": 100, **more})


def sought(**more: Any) -> Sought:
    return Sought(**{"user": ALICE, "mark": MARK, "name": "a", "comment": None, "since": 90.0, "until": 110.0, **more})


def listing(*jobs: Seen) -> Listing:
    return Listing(jobs=jobs, meta=b"{}")


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ((), None),
        ((seen(),), None),
        ((seen(comment=OTHER),), None),
        ((seen(5), seen(7, comment=MARK)), 7),
        ((seen(7, comment=f"plugin: {MARK}", name="other", submitted_at=5000),), 7),
        ((seen(7, comment=MARK, user_id=1002),), None),
        ((seen(7, comment=MARK, user_id=None, user_name="alice"),), 7),
        ((seen(9, comment=MARK, submitted_at=200), seen(7, comment=MARK), seen(8, comment=MARK)), 7),
    ],
)
def test_a_mark_finds_the_job_of_its_user(jobs: tuple[Seen, ...], expected: int | None) -> None:
    assert by_mark(listing(*jobs), sought()) == expected


def test_nothing_is_found_by_no_mark() -> None:
    assert by_mark(listing(seen()), sought(mark="")) is None


@pytest.mark.parametrize(
    ("job", "more", "expected"),
    [
        (seen(), {}, True),
        (seen(name="b"), {}, False),
        (seen(name="b"), {"name": None}, True),
        (seen(user_id=1002), {}, False),
        (seen(user_id=None, user_name="bob"), {}, False),
        (seen(submitted_at=89), {}, False),
        (seen(submitted_at=111), {}, False),
        (seen(comment="mine"), {}, True),
        (seen(comment=OTHER), {}, False),
        (seen(comment=OTHER), {"comment": OTHER}, True),
    ],
)
def test_a_job_might_be_the_one_unless_something_speaks_against_it(job: Seen, more: dict[str, Any], expected: bool) -> None:
    assert bool(alike(listing(job), sought(**more))) is expected


def test_the_tasks_of_an_array_are_one_job() -> None:
    assert [job.job_id for job in alike(listing(seen(9), seen(7), seen(7), seen(7)), sought())] == [7, 9]


def test_a_number_says_whose_a_job_is_before_a_name_does() -> None:
    assert not is_of(seen(user_id=0, user_name="alice"), ALICE)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slurm/v0.0.36/job/submit", {"job_id": 7, "step_id": "BATCH", "job_submit_user_msg": "", "meta": {"a": 1}, "errors": []}),
        ("/slurm/v0.0.42/job/submit", {"job_id": 7, "step_id": "batch", "job_submit_user_msg": "", "meta": {"a": 1}, "errors": [], "warnings": []}),
        ("/slurm/v0.0.42/job/allocate", {"job_id": 7, "job_submit_user_msg": "", "meta": {"a": 1}, "errors": [], "warnings": []}),
        (
            "/slurm/v0.0.40/job/submit",
            {
                "result": {"job_id": 7, "step_id": "batch", "error_code": 0, "error": "No error", "job_submit_user_msg": ""},
                "job_id": 7,
                "step_id": "batch",
                "job_submit_user_msg": "",
                "meta": {"a": 1},
                "errors": [],
                "warnings": [],
            },
        ),
    ],
)
def test_the_answer_that_was_lost_has_its_versions_shape(path: str, expected: dict[str, Any]) -> None:
    assert json.loads(answer(path, 7, b'{"a": 1}')) == expected

"""Records as lines: what was written is read back, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.queue import records
from gateway.client.queue.records import BrokenRecordError, Record, line, record_in

TEXT = st.text() | st.binary(max_size=20).map(lambda name: name.decode(errors="surrogateescape"))
BY_TYPE = {
    "str": TEXT,
    "int": st.integers(0, 2**60),
    "bool": st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str | None": st.none() | TEXT,
    "int | None": st.none() | st.integers(0, 255),
}
KINDS = (
    records.Opened,
    records.Intended,
    records.Withdrawn,
    records.Submitted,
    records.Ended,
    records.SettingAside,
    records.SetAside,
)
EXAMPLE = records.Submitted(file="a.json", key="k", job_id=91, at=1.0)


@st.composite
def any_record(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(KINDS))
    made: Record = kind(**{field.name: draw(BY_TYPE[str(field.type)]) for field in fields(kind)})
    return made


@given(any_record(), st.integers(1, 10**6))
def test_a_record_is_one_line_that_says_it(record: Record, number: int) -> None:
    content = line(record, number)
    assert content.count(b"\n") == 1
    assert content.isascii()
    assert record_in(content.removesuffix(b"\n"), number) == record


@given(st.binary(max_size=200))
def test_whatever_else_stands_there_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenRecordError):
        record_in(content, 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"n": 2}, "a line is missing, or there twice"),
        ({"record": "moved"}, "its kind is not known; a newer slurm-gateway may have written it"),
        ({"record": []}, "its kind is not known; a newer slurm-gateway may have written it"),
        ({"more": 1}, "its fields are not those of its kind"),
        ({"job_id": "91"}, "its job_id is not what it should be"),
        ({"job_id": True}, "its job_id is not what it should be"),
        ({"at": None}, "its at is not what it should be"),
    ],
)
def test_a_line_says_why_it_is_broken(changes: dict[str, object], why: str) -> None:
    tree = {**json.loads(line(EXAMPLE, 1)), **changes}
    with pytest.raises(BrokenRecordError, match=why):
        record_in(json.dumps(tree).encode(), 1)


def test_the_end_of_a_job_is_read_without_a_reason_as_well() -> None:
    ended = records.Ended(file="a.json", job_id=91, state="FAILED", exit_code=3, at=1.0)
    tree = {name: value for name, value in json.loads(line(ended, 1)).items() if name != "reason"}
    assert record_in(json.dumps(tree).encode(), 1) == ended


def test_a_line_that_is_json_but_no_object_is_broken() -> None:
    with pytest.raises(BrokenRecordError, match="it is no record"):
        record_in(b"[1]", 1)


def test_a_time_may_be_a_whole_number() -> None:
    tree = {**json.loads(line(EXAMPLE, 1)), "at": 1}
    assert record_in(json.dumps(tree).encode(), 1) == replace(EXAMPLE, at=1)

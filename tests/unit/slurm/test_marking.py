from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.marking import JobRequest, is_marked, mark_of, read

MARK = mark_of("0123456789abcdef0123")


def marked(content: bytes) -> bytes | None:
    request = read(content)
    return request.marked(MARK) if request.takes_mark else None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"job":{"name":"a"},"script":"#"}', b'{"job":{"comment":"%s","name":"a"},"script":"#"}'),
        (b' {\r\n"script" : "#" ,\t"job" : { } }\n', b' {\r\n"script" : "#" ,\t"job" : {"comment":"%s" } }\n'),
        (b'{"job": {"comment": null, "a": 1.0e5}}', b'{"job": {"comment": "%s", "a": 1.0e5}}'),
        (b'{"job": {"a": 1, "comment" : ""}}', b'{"job": {"a": 1, "comment" : "%s"}}'),
        (
            b'{"jobs": [ {"name": "a"}, {"comment": "mine"}], "script": "#"}',
            b'{"jobs": [ {"comment":"%s","name": "a"}, {"comment": "mine"}], "script": "#"}',
        ),
        ('{"job": {"name": "größe \\u00e9 \\"comment\\": "}}'.encode(), '{"job": {"comment":"%s","name": "größe \\u00e9 \\"comment\\": "}}'.encode()),
        (b'{"x": {"name": "a"}, "job": {"name": "a"}}', b'{"x": {"name": "a"}, "job": {"comment":"%s","name": "a"}}'),
        (b'{"JOB": {"NAME": "a"}}', b'{"JOB": {"comment":"%s","NAME": "a"}}'),
    ],
)
def test_a_job_without_a_comment_gets_the_mark_and_not_one_other_byte_changes(content: bytes, expected: bytes) -> None:
    assert marked(content) == expected.replace(b"%s", MARK.encode())


@pytest.mark.parametrize(
    "content",
    [
        b'{"job": {"comment": "mine"}}',
        b'{"job": {"Comment": "mine"}}',
        b'{"job": {"comment": null, "COMMENT": "mine"}}',
        b'{"job": {"comment": 7}}',
        b'{"job": {"name": "a"}, "jobs": [{}]}',
        b'{"job": {"name": "a"}, "Job": {}}',
        b'{"jobs": []}',
        b'{"jobs": "a"}',
        b'{"job": [{}]}',
        b'{"job": "a"}',
        b'{"script": "#"}',
        b"[]",
        b"",
        b'{"job": {"name": "a",}}',
        b'{"job": {"name": "a"}',
        b'{"job" {"name": "a"}}',
        b'{7: {"name": "a"}}',
        b"job:\n  name: a\n",
        b'\xef\xbb\xbf{"job": {}}',
        b'{"job": {"name": "\xff"}}',
        b'{"job": {"a": ' + b"[" * 100_000,
        b'{"job": {"a": ' + b"9" * 5000 + b"}}",
    ],
    ids=lambda content: content[:30].decode("latin-1"),
)
def test_one_that_has_a_comment_or_cannot_be_told_gets_none(content: bytes) -> None:
    assert marked(content) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.booleans())
def test_what_is_read_after_marking_is_what_was_there_and_the_mark(value: object, indented: bool) -> None:
    tree = {"a": value, "job": {"name": "n", "b": value}, "c": value}
    found = marked(json.dumps(tree, ensure_ascii=False, indent=2 if indented else None).encode(errors="replace"))
    assert found is not None
    assert json.loads(found) == json.loads(json.dumps({**tree, "job": {"comment": MARK, "name": "n", "b": value}}).encode("utf-8", "replace"))


@given(st.binary(max_size=200))
def test_no_bytes_upset_it(content: bytes) -> None:
    read(content)


@pytest.mark.parametrize(
    ("content", "name", "comment"),
    [
        (b'{"job": {"name": "a", "comment": "b"}}', "a", "b"),
        (b'{"job": {"comment": "b"}}', None, "b"),
        (b'{"job": {"name": "", "comment": null}}', None, None),
        (b'{"job": {"name": 7}}', None, None),
        (b'{"jobs": [{"name": "first"}, {"name": "second"}]}', "first", None),
        (b"no JSON", None, None),
    ],
)
def test_it_says_by_what_the_job_can_be_told(content: bytes, name: str | None, comment: str | None) -> None:
    request = read(content)
    assert (request.name, request.comment) == (name, comment)


def test_what_takes_no_mark_is_not_marked_by_mistake() -> None:
    with pytest.raises(ValueError, match="takes no mark"):
        JobRequest().marked(MARK)


@pytest.mark.parametrize(
    ("comment", "expected"), [(MARK, True), (f"mine; {MARK}", True), ("idempotency:", False), ("idempotency:0123", False), ("", False)]
)
def test_anybodys_mark_is_known(comment: str, expected: bool) -> None:
    assert is_marked(comment) is expected

from __future__ import annotations

import pytest

from gateway.slurm.views.reply import ListNotUnderstood, Reply
from tests.unit.slurm import lists


def test_a_reply_keeps_what_stands_around_the_list_in_its_order() -> None:
    reply = Reply(lists.answer(42, "jobs", []), "jobs")
    assert list(reply.top) == ["meta", "errors", "jobs", "warnings", "last_update"]


def test_columns_are_the_very_bytes_of_the_members() -> None:
    columns = Reply(b'{"jobs": [{"a": 1.50, "b": {"c":  [1]}}, {"b": "\\/"}, {}]}', "jobs").columns(["b", "a"])
    assert (columns.column("a"), columns.column("b")) == ([b"1.50", b"", b""], [b'{"c":  [1]}', b'"\\/"', b""])
    assert (len(columns), columns.has("a")) == (3, True)


def test_a_member_that_no_item_has_is_in_no_column() -> None:
    columns = Reply(b'{"jobs": [{"a": null}]}', "jobs").columns(["a", "x"])
    assert (columns.has("a"), columns.has("x"), columns.column("x")) == (True, False, [b""])


@pytest.mark.parametrize("body", [b'{"nodes": []}', b'{"jobs": null}', b'{"jobs": {}}', b'{"jobs": "[]"}', b"{}"])
def test_without_a_list_there_are_no_items(body: bytes) -> None:
    reply = Reply(body, "jobs")
    assert (reply.items, reply.wholes(), len(reply.columns(["a"])), reply.unchanged) == (None, [], 0, False)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"jobs": [', b'{"jobs": [NaN]}', b'{"\xff": 1}', b'{"jobs": []} x', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ListNotUnderstood):
        Reply(body, "jobs")


@pytest.mark.parametrize("item", ["1", "null", "[]", '"a"'])
def test_an_item_that_is_no_object_is_refused(item: str) -> None:
    with pytest.raises(ListNotUnderstood):
        Reply(f'{{"jobs": [{item}]}}'.encode(), "jobs").columns(["a"])


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ("[]", None),
        ("[\n  ]", None),
        ("null", None),
        ("{}", None),
        ('[{"error": "Invalid node name", "errno": 2018}]', "Invalid node name"),
        (
            '[{"description": "Unable to query jobs", "error": "Protocol authentication error"}]',
            "Unable to query jobs: Protocol authentication error",
        ),
        ('[{"error": "a\\r\\n\\tb"}]', "a b"),
        ('[{"error_number": 1}]', "an error without a word"),
        ("[1]", "an error without a word"),
        (f'[{{"error": "{"x" * 9999}"}}]', "x" * 300),
    ],
)
def test_the_first_error_is_told_in_one_line(errors: str, told: str | None) -> None:
    assert Reply(f'{{"errors": {errors}, "jobs": []}}'.encode(), "jobs").error == told


def test_an_answer_without_errors_has_none() -> None:
    assert Reply(b'{"jobs": []}', "jobs").error is None


@pytest.mark.parametrize(
    ("last_update", "jobs", "unchanged"), [(0, [], True), (1795695966, [], False), (0, [lists.job(42, 1)], False), (None, [], False)]
)
def test_an_empty_list_last_updated_never_says_that_nothing_has_changed(last_update: int | None, jobs: list[lists.Item], unchanged: bool) -> None:
    body = lists.answer(42, "jobs", jobs, last_update=lists.number(42, last_update))
    assert Reply(body, "jobs").unchanged is unchanged


def test_older_versions_never_say_so_in_a_list() -> None:
    assert Reply(lists.answer(38, "jobs", []), "jobs").unchanged is False

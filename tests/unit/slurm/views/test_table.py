from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.views.projection import tops
from gateway.slurm.views.reply import Reply
from gateway.slurm.views.table import COLUMNS, cell, guarded, table
from gateway.slurm.views.view import Listing
from tests.unit.slurm import lists


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def made(items: list[lists.Item], *fields: str) -> str:
    columns = Reply(json.dumps({"jobs": items}, ensure_ascii=False).encode(), "jobs").columns(tops(fields))
    return table(fields, columns, range(len(items)))


def test_a_table_has_a_line_of_names_and_a_line_for_each_item() -> None:
    assert made([{"a": 1, "b": "x"}, {"a": 2}], "b", "a") == "b,a\r\nx,1\r\n,2\r\n"


def test_an_empty_table_has_its_names() -> None:
    assert made([], "a", "b.c") == "a,b.c\r\n"


def test_what_could_part_cells_or_lines_is_quoted() -> None:
    assert made([{"a": 'x,y"z\r\nw'}], "a") == 'a\r\n"x,y""z\r\nw"\r\n'


def test_a_line_of_one_empty_cell_is_a_line() -> None:
    assert rows(made([{}, {"a": 1}], "a")) == [["a"], [""], ["1"]]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"", ""),
        (b"null", ""),
        (b"true", "true"),
        (b"false", "false"),
        (b"-12", "-12"),
        (b"1.50e3", "1.50e3"),
        (b'"a\\/b"', "a/b"),
        (b'"\xff"', "\ufffd"),
        (b'{"set": true, "infinite": false, "number": -7}', "-7"),
        (b'{"set": false, "infinite": false, "number": 0}', ""),
        (b'{"set": false, "infinite": true, "number": 0}', "infinite"),
        (b'["RUNNING",\n "COMPLETING"]', '["RUNNING","COMPLETING"]'),
        (b'{"a": [1, 2.50]}', '{"a":[1,2.50]}'),
        (b"[]", "[]"),
        (b'["\xff"]', '["\ufffd"]'),
    ],
)
def test_a_cell_tells_the_value_plainly(value: bytes, told: str) -> None:
    assert cell(value) == told


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        # Where semicolons part cells, and a comma does not.
        ("x;=cmd|'/C calc'!A0;", "x;'=cmd|'/C calc'!A0;"),
        ("x\n=1", "x\n'=1"),
        ("a-b=c@d+e", "a-b=c@d+e"),
        ("", ""),
        ("'", "'"),
    ],
)
def test_nobodys_text_is_a_formula(text: str, harmless: str) -> None:
    assert guarded(text) == harmless


def test_a_formula_within_a_list_is_none_either() -> None:
    assert cell(b'["a;=1+1"]') == '["a;\'=1+1"]'


TEXTS = st.text(alphabet=st.sampled_from("=+-@;\t\r\n ,'\"ab\uff1d"), max_size=12) | st.text(max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_a_table_reads_back_as_it_was_but_for_the_guards(texts: list[tuple[str, str]]) -> None:
    read = rows(made([{"a": first, "b": second} for first, second in texts], "a", "b"))
    assert [[guarded(first), guarded(second)] for first, second in texts] == read[1:]


@given(TEXTS)
def test_no_cell_begins_as_a_formula_however_it_is_cut(text: str) -> None:
    for part in re.split("[;\t\r\n]", guarded(text)):
        assert not part.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@given(TEXTS)
def test_a_guard_adds_and_takes_nothing_away(text: str) -> None:
    left = iter(guarded(text))
    assert all(character in left for character in text)
    assert guarded(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("version", lists.VERSIONS)
def test_the_columns_that_nobody_asked_for_are_there_in_every_version(version: int) -> None:
    item = {Listing.JOBS: lists.job(version, 1), Listing.NODES: lists.node(version, "n1", "IDLE"), Listing.ACCOUNTED: lists.accounted(version, 1)}
    for listing, fields in COLUMNS.items():
        names, line = rows(made([item[listing]], *fields))
        assert names == list(fields)
        assert line[0] in {"1", "n1"}

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.views.accept import best

JSON, NDJSON, CSV = OFFERS = ("application/json", "application/x-ndjson", "text/csv")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/*", CSV),
        ("text/csv; charset=utf-8", CSV),
        ("text/csv;header=absent;q=0.5", CSV),
        ("application/x-ndjson", NDJSON),
        ("text/csv;q=0.5, application/x-ndjson;q=0.4", CSV),
        ("text/csv ; q=0.5 , application/x-ndjson ; q=0.6", NDJSON),
        # Named beats any, although both are liked the same.
        ("text/csv, */*", CSV),
        ("*/*, text/csv", CSV),
        # What is named decides for its type, although any would be liked better.
        ("text/csv;q=0.1, */*;q=0.9", JSON),
        ("application/json;q=0.1, application/*;q=0.9, */*;q=0.5", NDJSON),
        ("application/json;q=0, */*", NDJSON),
        ("application/json, text/csv", JSON),
        ("text/csv, application/json", JSON),
        ("text/html, */*;q=0.1", JSON),
        ("text/html", None),
        ("text/csv;q=0", None),
        ("text/csv;q=0.0001", None),
        ("text/csv;q=nan", None),
        ("text/csv;q=-1", None),
        ("text/csv;q=1.5", None),
        ("*/*;q=0", None),
        # A quoted comma does not part, and what is no range at all counts for nothing.
        ('text/csv;note="a, text/html"', CSV),
        ("text/csv, nonsense, //", CSV),
        ("nonsense", JSON),
        (";", JSON),
        (";q=0, text/csv", CSV),
        ("x/x," * 256 + "text/csv", None),
    ],
)
def test_the_form_is_the_one_that_is_liked_best(header: str | None, chosen: str | None) -> None:
    assert best(header, OFFERS) == chosen


@given(st.one_of(st.text(), st.text(alphabet='*/;,=q01.9"abc json', max_size=200)))
def test_whatever_is_sent_the_form_is_one_that_is_offered_or_none(header: str) -> None:
    assert best(header, OFFERS) in (None, *OFFERS)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("header", ['"' * 8000, 'a/b;"' * 1600, "," * 8000, ("a/b," * 2000), ' ;"' * 2600])
def test_a_header_made_to_take_long_does_not(header: str) -> None:
    assert best(header, OFFERS) in (None, *OFFERS)

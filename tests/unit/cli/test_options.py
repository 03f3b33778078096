"""Spans of time and sizes, as several commands take them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from gateway.cli.options import size, some_span, span


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2.0), ("0.5s", 0.5), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("7d", 604800.0), ("0", 0.0)]
)
def test_a_span_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("500k", 512_000), ("4M", 4_194_304)])
def test_a_size_has_a_unit_or_is_in_bytes(text: str, number: int) -> None:
    assert size(text) == number


NO_SPANS, NO_SIZES = ("", "-1", "soon", "1e3", "\u0661", "inf", "nan"), ("", "-1", "big", "\u00b2")


@pytest.mark.parametrize(("reads", "text"), [*((span, text) for text in NO_SPANS), *((size, text) for text in NO_SIZES), (some_span, "0s")])
def test_what_is_none_is_told_with_an_example(reads: Callable[[str], float], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as (30s, 5m or 1h|500k or 4m)$"):
        reads(text)


@pytest.mark.parametrize(("reads", "text"), [(span, "366d"), (span, "9" * 9 + "h"), (size, "0"), (size, "1025m"), (size, "9" * 12 + "m")])
def test_what_nobody_can_mean_is_refused(reads: Callable[[str], float], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is longer than a year|is not between a byte and 1024m"):
        reads(text)

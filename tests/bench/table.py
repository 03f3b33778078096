"""The table that the benchmarks print: each line a comparison with the same work done without the gateway, in the same run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = "| work | without us | with us | ratio | aim | | cores |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line; ``met`` is None where there is no aim."""

    work: str
    without: str
    ours: str
    ratio: str
    aim: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        return f"| {self.work} | {self.without} | {self.ours} | {self.ratio} | {self.aim} | {verdict} | {os.cpu_count()} |"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of the ratios, each of neighbours in time."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))

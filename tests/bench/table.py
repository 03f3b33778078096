"""The table that the benchmarks print: each line a comparison with the same work done without the gateway, in the same run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
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


def interleaved(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every way once a round, each round in the other order, and return what was measured."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names: Iterable[str] = ways if number % 2 == 0 else reversed(ways)
        for name in names:
            taken[name].append(ways[name]())
    return taken

"""Running steps: each as soon as those it needs are done, the others side by side, with a line for each and its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work; `work` returns what its line says."""

    name: str
    work: Callable[[], str]
    needs: tuple[str, ...] = ()


def say(name: str, seconds: float, outcome: str) -> None:
    """One line of progress."""
    print(f"  {name:<12} {seconds:5.1f} s  {outcome}", flush=True)


def run_one(step: Step) -> str:
    """Run a step and say its line."""
    began = time.monotonic()
    outcome = step.work()
    say(step.name, time.monotonic() - began, outcome)
    return outcome


def run_all(steps: Sequence[Step]) -> None:
    """Run them all. The first that fails is raised as soon as it does: no other begins, and none is waited for."""
    waiting = {step.name: step for step in steps}
    done: set[str] = set()
    pool = ThreadPoolExecutor(len(steps))
    running: dict[Future[str], str] = {}
    try:
        while waiting or running:
            for name in [name for name, step in waiting.items() if done.issuperset(step.needs)]:
                running[pool.submit(run_one, waiting.pop(name))] = name
            if not running:
                raise ValueError(f"steps that need each other or what is not there: {sorted(waiting)}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                done.add(running.pop(future))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

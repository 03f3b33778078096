"""Steps run when those they need are done, and not after a failure."""

from __future__ import annotations

import re
import threading

import pytest

from deploy.site.steps import Step, run_all
from deploy.site.trouble import Trouble


def noted(name: str, begun: list[str], *needs: str) -> Step:
    def work() -> str:
        begun.append(name)
        return "done"

    return Step(name, work, needs)


def test_a_step_comes_after_those_it_needs() -> None:
    order: list[str] = []
    run_all([noted("nginx", order, "gateway"), noted("gateway", order, "slapd"), noted("slapd", order)])
    assert order == ["slapd", "gateway", "nginx"]


def test_steps_that_need_nothing_of_each_other_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)
    run_all([Step(name, lambda: str(meeting.wait())) for name in ("a", "b")])


def test_each_step_says_its_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    run_all([Step("slapd", lambda: "started")])
    assert re.fullmatch(r"  slapd +\d+\.\d s  started\n", capsys.readouterr().out)


def test_nothing_begins_after_a_failure() -> None:
    begun: list[str] = []

    def fail() -> str:
        raise Trouble("slapd ended.", hint="look.")

    with pytest.raises(Trouble, match="slapd ended"):
        run_all([Step("slapd", fail), noted("gateway", begun, "slapd")])
    assert begun == []


def test_a_failure_is_said_while_others_still_run() -> None:
    release = threading.Event()

    def fail() -> str:
        raise Trouble("slapd ended.", hint="look.")

    try:
        with pytest.raises(Trouble):
            run_all([Step("slow", lambda: str(release.wait(30))), Step("slapd", fail)])
        assert not release.is_set()
    finally:
        release.set()


def test_steps_that_wait_for_each_other_are_a_fault() -> None:
    with pytest.raises(ValueError, match="need each other"):
        run_all([Step("a", str, ("b",)), Step("b", str, ("a",))])

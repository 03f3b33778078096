from __future__ import annotations

import pytest

from gateway.errors import BadRequest
from gateway.slurm.waiting import Verdict, Wait, is_over, verdict, wait_of

JOB = "/slurm/v0.0.38/job/7"


@pytest.mark.parametrize("query", ["", "fields=job_id", "awaited=1", "x=wait"])
def test_a_read_that_names_no_wait_does_not_wait(query: str) -> None:
    assert wait_of(JOB, query, 120) is None


@pytest.mark.parametrize("path", ["/slurm/v0.0.38/jobs", "/slurmdb/v0.0.38/job/7", "/slurm/v0.0.38/job/7/more", "/openapi"])
def test_only_a_job_can_be_waited_for(path: str) -> None:
    assert wait_of(path, "wait=1", 120) is None


@pytest.mark.parametrize(
    ("query", "seconds", "until", "rest"),
    [
        ("wait=60", 60, "finished", ""),
        ("wait=0&until=Started", 0, "started", ""),
        ("a=1&until=changed&wait=120&b=%20", 120, "changed", "a=1&b=%20"),
        ("until=running&wait=5", 5, "RUNNING", ""),
        ("until=CD&wait=5", 5, "COMPLETED", ""),
        ("w%61it=5", 5, "finished", ""),
    ],
)
def test_a_wait_says_how_long_and_for_what_and_leaves_the_rest_of_the_query(query: str, seconds: int, until: str, rest: str) -> None:
    assert wait_of(JOB, query, 120) == Wait(job_id=7, seconds=seconds, until=until, query=rest)


@pytest.mark.parametrize("version", ["v0.0.36", "v0.0.44", "latest"])
def test_every_version_has_it(version: str) -> None:
    assert wait_of(f"/slurm/{version}/job/4294967295", "wait=1", 120) is not None


@pytest.mark.parametrize(
    "query",
    ["wait=121", "wait=", "wait", "wait=-1", "wait=1.5", "wait=1e9", "wait=9999999", "wait=\u0661", "until=finished", "wait=1&wait=2",
     "wait=1&until=done", "wait=1&until=", "wait=1&until=%0Ax", "wait=1&until=\u017fuspended"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(BadRequest) as refused:
        wait_of(JOB, query, 120)
    assert refused.value.cause == "wait_malformed"


@pytest.mark.parametrize("name", ["12345678901", "7_1", "submit", "7%2B1"])
def test_a_job_is_waited_for_by_its_number_alone(name: str) -> None:
    with pytest.raises(BadRequest):
        wait_of(f"/slurm/v0.0.38/job/{name}", "wait=1", 120)


@pytest.mark.parametrize(
    ("states", "over"),
    [
        (("COMPLETED",), True),
        (("CANCELLED",), True),
        (("FAILED", "LAUNCH_FAILED"), True),
        (("COMPLETED", "COMPLETING"), False),
        (("COMPLETING",), False),
        (("RUNNING",), False),
        (("PENDING", "REQUEUED"), False),
        ((), False),
    ],
)
def test_a_job_is_over_when_it_has_ended_and_left_its_nodes(states: tuple[str, ...], over: bool) -> None:
    assert is_over(states) == over


P, R, C, X = ("PENDING",), ("RUNNING",), ("COMPLETED",), ("CANCELLED",)


@pytest.mark.parametrize(
    ("until", "now", "before", "expected"),
    [
        ("finished", [R], [P], None),
        ("finished", [C], [], "met"),
        ("finished", [C, R], [], None),
        ("finished", [C, X], [], "met"),
        ("started", [P], [], None),
        ("started", [("CONFIGURING",)], [], None),
        ("started", [("RUNNING", "CONFIGURING")], [], None),
        ("started", [R], [], "met"),
        ("started", [P, R], [], "met"),
        ("started", [X], [], "met"),
        ("changed", [R], [], None),
        ("changed", [R], [R], None),
        ("changed", [R], [P], "met"),
        ("changed", [P, R], [R, P], None),
        ("changed", [P, R, R], [R, P], "met"),
        ("changed", [C], [R], "met"),
        ("changed", [C, X], [], "over"),
        ("changed", [C, R], [], None),
        ("RUNNING", [P], [], None),
        ("RUNNING", [("RUNNING", "COMPLETING")], [], "met"),
        ("RUNNING", [C], [P], "over"),
        ("COMPLETED", [X], [], "over"),
        ("COMPLETED", [X, R], [], None),
    ],
)
def test_a_wait_ends_when_it_is_met_or_cannot_be_any_more(
    until: str, now: list[tuple[str, ...]], before: list[tuple[str, ...]], expected: Verdict | None
) -> None:
    assert verdict(until, now, before) == expected

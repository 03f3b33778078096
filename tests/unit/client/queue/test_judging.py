"""Whose fault an error is: a table."""

from __future__ import annotations

import pytest

from gateway.client.errors import GatewayError, JobFileError, JobForgottenError, NotUnderstoodError, UnreachableError
from gateway.client.queue.judging import Verdict, is_forgotten, is_passing, judge, may_be_told_later
from tests.unit.client.queue.fakes import by_slurm, refused


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (JobFileError("broken", hint="Correct it."), Verdict.FILE),
        (by_slurm(400, 2000), Verdict.FILE),
        (by_slurm(400), Verdict.FILE),
        (by_slurm(422), Verdict.FILE),
        (by_slurm(403, 2003), Verdict.FILE),
        (by_slurm(500, 2009), Verdict.FILE),
        (by_slurm(500, 9000), Verdict.FILE),
        (by_slurm(500, 2050), Verdict.LIMIT),
        (by_slurm(403, 2050), Verdict.LIMIT),
        (by_slurm(502, 1800), Verdict.ALL_LATER),
        (by_slurm(503, 2007), Verdict.ALL_LATER),
        (by_slurm(500, 5005), Verdict.ALL_LATER),
        (by_slurm(502, 7000), Verdict.ALL_LATER),
        (by_slurm(502), Verdict.ALL_LATER),
        (by_slurm(503), Verdict.ALL_LATER),
        (by_slurm(429), Verdict.ALL_LATER),
        (by_slurm(500), Verdict.ALL_LATER),
        (refused("too_large", 413), Verdict.FILE),
        (refused("bad_request", 400), Verdict.FILE),
        (refused("throttled", 429), Verdict.ALL_LATER),
        (refused("too_many_calls", 429), Verdict.ALL_LATER),
        (refused("upstream_unreachable", 502), Verdict.ALL_LATER),
        (refused("upstream_broken", 502), Verdict.ALL_LATER),
        (refused("upstream_timeout", 504), Verdict.ALL_LATER),
        (refused("upstream_busy", 503), Verdict.ALL_LATER),
        (refused("slurm_refused_gateway", 502), Verdict.ALL_LATER),
        (refused("store_unavailable", 503), Verdict.ALL_LATER),
        (refused("gateway_unavailable", 502), Verdict.ALL_LATER),
        (refused("gateway_timeout", 504), Verdict.ALL_LATER),
        (refused("internal_error", 500), Verdict.ALL_LATER),
        (refused("request_timeout", 408), Verdict.ALL_LATER),
        (refused("idempotency_under_way", 409), Verdict.THIS_LATER),
        (refused("submission_unknown", 409), Verdict.THIS_LATER),
        (refused("idempotency_key_reused", 422), Verdict.UNKNOWN),
        (refused("not_permitted", 403), Verdict.STOP),
        (refused("token_refused", 401), Verdict.STOP),
        (refused("second_factor_stale", 403), Verdict.STOP),
        (refused("not_found", 404), Verdict.STOP),
        (refused("version_gone", 410), Verdict.STOP),
        (UnreachableError("gone", hint="Wait.", sent=True), Verdict.ALL_LATER),
        (UnreachableError("gone", hint="Wait.", sent=False), Verdict.ALL_LATER),
        (UnreachableError("no such name", hint="Look.", sent=False, lasting=True), Verdict.ALL_LATER),
        (NotUnderstoodError("html", hint="Look."), Verdict.ALL_LATER),
        (GatewayError("nothing of the gateway's", hint="Do."), Verdict.STOP),
    ],
    ids=lambda value: getattr(value, "reason", None) and f"{value.reason}-{value.status}-{value}",
)
def test_an_error_is_somebodys_fault(error: GatewayError, verdict: Verdict) -> None:
    assert judge(error, wordless=0, reached=True) is verdict


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("no such name", hint="Look.", sent=False, lasting=True),
        NotUnderstoodError("html", hint="Look."),
    ],
)
def test_before_the_gateway_was_ever_reached_a_wrong_address_is_one(error: GatewayError) -> None:
    assert judge(error, wordless=0, reached=False) is Verdict.STOP


def test_a_refusal_without_a_word_is_the_files_in_the_end() -> None:
    assert judge(by_slurm(500), wordless=5, reached=True) is Verdict.FILE
    assert judge(by_slurm(502), wordless=5, reached=True) is Verdict.ALL_LATER
    assert judge(by_slurm(500, 1800), wordless=500, reached=True) is Verdict.ALL_LATER


def test_a_read_that_slurm_fails_may_succeed_later() -> None:
    assert is_passing(by_slurm(500), reached=True)
    assert not is_passing(by_slurm(400), reached=True)
    assert not is_passing(refused("not_permitted", 403), reached=True)


def test_a_job_is_forgotten_for_good_only_when_accounting_has_been_asked() -> None:
    known_to_none, not_asked = JobForgottenError("no", hint="Look."), JobForgottenError("no", hint="Look.")
    known_to_none.__cause__ = by_slurm(404, 2017)
    not_asked.__cause__ = by_slurm(502, 7000)
    assert is_forgotten(known_to_none)
    assert not may_be_told_later(known_to_none)
    assert may_be_told_later(not_asked)
    assert not is_forgotten(by_slurm(500))

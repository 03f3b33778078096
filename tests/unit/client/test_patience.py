"""What is sent again, and what is not: the reasons of the gateway, of nginx, and what others answer."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gateway
import gateway.errors
from gateway.client import patience
from gateway.client.asking import Answer, Ask
from gateway.client.errors import GatewayError, NotUnderstoodError, RefusedError, SlurmRefusedError, UnreachableError
from gateway.client.patience import Patience, ask, may_pass, refusal_of
from tests.unit.client.driving import Clock, Reply, drive, ok, page, problem, slurm

READ = Ask(method="GET", path="/x", repeatable=True)
CHANGE = Ask(method="POST", path="/x")
CODE = Ask(method="POST", path="/auth/login", once=True, anonymous=True, provable=False)
NEVER_LEFT = UnreachableError("no", hint="h", sent=False)
BROKE_OFF = UnreachableError("no", hint="h", sent=True)
LASTING = UnreachableError("no", hint="h", sent=False, lasting=True)
NGINX = Path(__file__).parents[3] / "nginx" / "slurm-gateway.conf.template"

# reply, then whether it is sent again: a read, a change, a code.
TABLE: list[tuple[str, Reply, bool, bool, bool]] = [
    ("it never left", NEVER_LEFT, True, True, True),
    ("it broke off", BROKE_OFF, True, False, False),
    ("no such host", LASTING, False, False, False),
    ("nginx has too many requests", problem("throttled", 429), True, True, False),
    ("too many calls", problem("too_many_calls", 429), True, True, False),
    ("sign-ins queue up", problem("sign_in_busy", 503), True, True, True),
    ("the directory is down", problem("directory_unavailable", 503), True, True, False),
    ("the trail is full", problem("audit_unavailable", 503), True, True, False),
    ("the store is down", problem("store_unavailable", 503), True, True, False),
    ("the body stopped", problem("request_timeout", 408), True, True, False),
    ("slurmrestd is busy", problem("upstream_busy", 503), True, True, False),
    ("slurmrestd is down", problem("upstream_unreachable", 502), True, True, False),
    ("slurmrestd broke off", problem("upstream_broken", 502), True, False, False),
    ("slurmrestd is slow", problem("upstream_timeout", 504), True, False, False),
    ("the gateway is down", problem("gateway_unavailable", 502), True, False, False),
    ("the gateway is slow", problem("gateway_timeout", 504), True, False, False),
    ("the key is under way", problem("idempotency_under_way", 409), True, False, False),
    ("the submission is unknown", problem("submission_unknown", 409), True, False, False),
    ("wrong password", problem("credentials_refused", 401), False, False, False),
    ("no right", problem("not_permitted", 403), False, False, False),
    ("a key of another job", problem("idempotency_key_reused", 422), False, False, False),
    ("the gateway failed", problem("internal_error", 500), False, False, False),
    ("slurm refused the gateway", problem("slurm_refused_gateway", 502), False, False, False),
    ("slurmctld is down", slurm(502, 1800, "Unable to contact slurm controller"), True, False, False),
    ("slurm said no", slurm(400, 2000), False, False, False),
    ("a page of something in between", page(503), True, False, False),
    ("a page that asks who one is", page(401), False, False, False),
    ("a redirect", page(302, location="https://elsewhere.example"), False, False, False),
]


@pytest.mark.parametrize(("reply", "read", "change", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_only_what_is_safe_is_sent_again(reply: Reply, read: bool, change: bool, code: bool) -> None:
    for question, again in ((READ, read), (CHANGE, change), (CODE, code)):
        driven = drive(ask(question, Patience(clock=Clock())), [reply, ok()])
        assert (len(driven.asked) == 2) is again, question
        assert (driven.error is None) is again


def test_each_reason_of_the_gateway_is_known_to_be_safe_or_not() -> None:
    """A reason that is new has to be put somewhere: as things are, it would never be sent again."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    theirs = {refusal.reason for refusal in _all(gateway.errors.Refusal) if refusal.__module__.startswith("gateway.")}
    of_nginx = set(re.findall(r"^ +/\.problem/\w+ ([a-z_]+);$", NGINX.read_text(), re.MULTILINE))
    settled = {
        "already_enrolled", "application_timeout", "application_unavailable", "bad_request", "conflict", "credentials_refused",
        "credentials_required", "enrolment_required", "factor_unavailable", "idempotency_key_reused", "internal_error", "method_not_allowed",
        "list_not_understood", "list_too_large", "not_acceptable", "not_found", "not_permitted", "second_factor_stale", "slurm_errors",
        "slurm_refused_gateway", "token_refused", "too_large", "unsupported_coding", "upstream_slow", "version_gone", "view_timeout", "wrong_host",
    }  # fmt: skip
    assert theirs | of_nginx == patience._NOTHING_DONE | patience._NOT_KNOWN | settled


def _all(root: type[gateway.errors.Refusal]) -> set[type[gateway.errors.Refusal]]:
    return {root} | {found for child in root.__subclasses__() for found in _all(child)}


def test_retry_after_is_waited_for() -> None:
    driven = drive(ask(READ, Patience(clock=Clock())), [problem("too_many_calls", 429, retry_after="7"), ok()])
    assert driven.pauses[0].seconds == 7
    assert driven.pauses[0].because is not None
    assert driven.pauses[0].because.reason == "too_many_calls"


@pytest.mark.parametrize("value", ["soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999", "1.5", "\u0663"])
def test_a_retry_after_that_is_no_number_of_seconds_is_left_aside(value: str) -> None:
    driven = drive(ask(READ, Patience(clock=Clock())), [problem("too_many_calls", 429, retry_after=value), ok()])
    assert driven.pauses[0].seconds < 1


def test_whoever_is_to_come_back_after_the_end_of_patience_is_told_at_once() -> None:
    driven = drive(ask(READ, Patience(seconds=30, clock=Clock())), [problem("throttled", 429, retry_after="31")])
    assert driven.error is not None
    assert driven.error.retry_after == 31
    assert driven.pauses == []


def test_patience_ends_and_pauses_grow_meanwhile() -> None:
    clock = Clock()
    driven = drive(ask(READ, Patience(seconds=60, clock=clock)), [NEVER_LEFT] * 100, clock=clock)
    assert driven.error is NEVER_LEFT
    assert sum(pause.seconds for pause in driven.pauses) <= 60
    assert 5 <= len(driven.pauses) <= 12
    assert driven.pauses[-1].seconds > driven.pauses[0].seconds


def test_patience_begins_with_the_first_failure_however_long_the_question_took() -> None:
    clock = Clock()
    conversation = ask(READ, Patience(seconds=30, clock=clock))
    next(conversation)
    clock.now += 3000
    conversation.throw(BROKE_OFF)


def test_without_patience_everything_is_asked_once() -> None:
    assert drive(ask(READ, Patience(seconds=0, clock=Clock())), [NEVER_LEFT, ok()]).error is NEVER_LEFT


@pytest.mark.parametrize("reason", ["token_refused", "credentials_required", "second_factor_stale"])
def test_a_session_that_has_ended_is_begun_anew_once_and_the_same_question_asked_again(reason: str) -> None:
    question = Ask(method="POST", path="/s", headers=(("Idempotency-Key", "k"),), body=b"{}", repeatable=True)
    driven = drive(ask(question, Patience(clock=Clock())), [problem(reason, 401), ok()])
    assert [proof.error.reason for proof in driven.proofs] == [reason]
    assert driven.asked == [question, question]
    driven = drive(ask(question, Patience(clock=Clock())), [problem(reason, 401), problem(reason, 401), ok()])
    assert len(driven.proofs) == 1
    assert driven.error is not None
    assert driven.error.reason == reason


def test_a_change_may_be_sent_again_after_signing_in_for_it_was_refused_before() -> None:
    driven = drive(ask(CHANGE, Patience(clock=Clock())), [problem("second_factor_stale", 403), ok()])
    assert len(driven.asked) == 2


def test_whoever_shows_a_code_is_not_asked_for_another_meanwhile() -> None:
    for reason in ("token_refused", "second_factor_stale"):
        assert drive(ask(CODE, Patience(clock=Clock())), [problem(reason, 401), ok()]).proofs == []


def test_what_goes_wrong_with_signing_in_is_what_is_told() -> None:
    wrong = GatewayError("no terminal", hint="h")
    driven = drive(ask(READ, Patience(clock=Clock())), [problem("token_refused", 401)], proof=wrong)
    assert driven.error is wrong


def test_a_401_of_something_else_is_no_ended_session() -> None:
    driven = drive(ask(READ, Patience(clock=Clock())), [page(401), ok()])
    assert driven.proofs == []
    assert isinstance(driven.error, NotUnderstoodError)
    assert "proxy" in driven.error.hint


def test_a_redirect_is_refused_and_says_where_it_leads() -> None:
    error = refusal_of(page(302, location="https://elsewhere.example/\x1b[31m"))
    assert isinstance(error, NotUnderstoodError)
    assert error.reason == "redirected"
    assert "https://elsewhere.example/?[31m" in str(error)
    assert "the gateway alone" in error.hint


def test_nothing_new_is_an_answer_of_success() -> None:
    assert refusal_of(Answer(status=304, headers={}, body=b"")) is None


def test_a_refusal_says_what_the_gateway_said() -> None:
    error = refusal_of(problem("not_permitted", 403, detail="Not you.", hint="Ask them."))
    assert isinstance(error, RefusedError)
    assert (str(error), error.hint, error.reason, error.status, error.request_id) == ("Not you.", "Ask them.", "not_permitted", 403, "abc")
    assert error.body is not None
    assert error.media_type == "application/problem+json"


def test_slurms_own_words_are_told_with_the_hint_that_the_gateway_added() -> None:
    error = refusal_of(slurm(400, 2000, "Invalid partition", hint="Correct it."))
    assert isinstance(error, SlurmRefusedError)
    assert (str(error), error.hint, error.reason) == ("Invalid partition", "Correct it.", "slurm_refused")
    assert error.errors[0]["error_number"] == 2000


def test_slurms_plain_text_is_told_too() -> None:
    error = refusal_of(Answer(status=400, headers={"content-type": "text/plain", "x-request-id": "abc"}, body=b"Unable to parse query."))
    assert isinstance(error, SlurmRefusedError)
    assert str(error) == "Unable to parse query."


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (404, "text/plain", b"404 page not found"),
        (404, "text/plain", b"default backend - 404"),
        (403, "application/json", b'{"message": "Forbidden"}'),
        (400, "application/json", b'{"error": "bad gateway name"}'),
    ],
)
def test_what_a_proxy_in_between_says_is_not_taken_for_slurms_word(status: int, media_type: str, body: bytes) -> None:
    error = refusal_of(Answer(status=status, headers={"content-type": media_type}, body=body))
    assert isinstance(error, NotUnderstoodError)
    assert str(error) == f"an answer came that is not the gateway's (status {status}, {media_type})"


@pytest.mark.parametrize(
    ("reply", "passes"),
    [
        (slurm(500, -1, "Unable to find JobId=7"), True),
        (slurm(502, 1800), True),
        (slurm(404, 2017), False),
        (problem("throttled", 429), True),
        (problem("upstream_timeout", 504), True),
        (problem("not_permitted", 403), False),
        (page(502), True),
        (page(404), False),
    ],
)
def test_what_a_read_is_refused_for_may_pass_or_not(reply: Answer, passes: bool) -> None:
    error = refusal_of(reply)
    assert error is not None
    assert may_pass(error) is passes


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"\xff\xfe", b"{", b'{"reason": 5}', b'{"errors": "no"}', b'{"errors": [1, null]}', b"[" * 5000]
)
@pytest.mark.parametrize("media_type", ["application/json", "application/problem+json", "text/plain", "text/html", ""])
@pytest.mark.parametrize("status", [400, 401, 404, 500, 502, 599])
def test_an_error_that_nobody_can_read_is_one_line_and_a_hint_all_the_same(body: bytes, media_type: str, status: int) -> None:
    error = refusal_of(Answer(status=status, headers={"content-type": media_type}, body=body))
    assert error is not None
    assert str(error)
    assert str(error).isprintable()
    assert error.hint

from __future__ import annotations

import http
import string

import pytest

from gateway import errors
from gateway.errors import CommandError, CredentialsRefused, Refusal, Throttled


def every_refusal(root: type[Refusal] = Refusal) -> list[type[Refusal]]:
    return [root, *(found for child in root.__subclasses__() for found in every_refusal(child))]


REFUSALS = [kind for kind in every_refusal() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_says_its_cause_to_the_inside_only(kind: type[Refusal]) -> None:
    refusal = kind("uid_below_minimum")
    assert (refusal.cause, str(refusal)) == ("uid_below_minimum", "uid_below_minimum")
    assert "uid_below_minimum" not in f"{refusal.title}{refusal.detail}{refusal.hint}{refusal.reason}"


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_has_a_status_that_http_knows_as_an_error(kind: type[Refusal]) -> None:
    assert http.HTTPStatus(kind.status) >= http.HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_reason_is_a_word_that_programs_can_match_on(kind: type[Refusal]) -> None:
    assert set(kind.reason) <= set(string.ascii_lowercase + "_")


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_says_what_is_wrong_and_what_to_do(kind: type[Refusal]) -> None:
    refusal = kind("cause")
    assert refusal.title
    assert refusal.detail.endswith(".")
    assert refusal.hint.endswith((".", "?"))


def test_no_two_refusals_share_a_reason() -> None:
    # The one is the root's own answer under a name, the others the common answer in the words of one way in.
    named = [kind for kind in REFUSALS if kind is not errors.InternalError and kind not in CredentialsRefused.__subclasses__()]
    assert len({kind.reason for kind in named}) == len(named)


def test_a_refusal_takes_a_detail_and_a_hint_of_its_own() -> None:
    refusal = CredentialsRefused("cause", detail="This once.", hint="Do that.")
    assert (refusal.detail, refusal.hint) == ("This once.", "Do that.")


def test_a_refusal_carries_the_headers_of_its_answer() -> None:
    assert Throttled("throttled_by_account", headers=(("Retry-After", "7"),)).headers == (("Retry-After", "7"),)


def test_credentials_are_refused_in_the_same_words_whatever_the_cause() -> None:
    first, second = CredentialsRefused("user_unknown"), CredentialsRefused("code_used")
    assert (first.status, first.reason, first.title, first.detail, first.hint, first.headers) == (
        second.status,
        second.reason,
        second.title,
        second.detail,
        second.hint,
        second.headers,
    )


@pytest.mark.parametrize("kind", [errors.UpstreamBroken, errors.UpstreamTimeout])
def test_after_an_answer_that_never_came_nobody_is_told_that_nothing_was_done(kind: type[Refusal]) -> None:
    assert "not known" in kind("cause").detail


@pytest.mark.parametrize("kind", [errors.UpstreamBusy, errors.UpstreamUnreachable])
def test_before_the_request_has_left_people_are_told_that_it_was_not_sent(kind: type[Refusal]) -> None:
    assert "was not sent" in kind("cause").detail


def test_a_command_that_failed_has_one_line_what_and_one_line_hint() -> None:
    error = CommandError("cannot read it", "chmod 0400 it", exit_code=3)
    assert (str(error), error.message, error.hint, error.exit_code) == ("cannot read it", "cannot read it", "chmod 0400 it", 3)


def test_a_command_fails_with_one_unless_told_otherwise() -> None:
    assert CommandError("what", "hint").exit_code == 1

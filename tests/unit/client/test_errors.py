"""Errors are one line and a hint, whatever a server said."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import errors
from gateway.client.errors import GatewayError, RefusedError, printable


@given(st.text(), st.text(), st.text())
def test_nothing_that_a_terminal_acts_upon_gets_through(message: str, hint: str, request_id: str) -> None:
    error = GatewayError(message, hint=hint, request_id=request_id)
    for text in (str(error), error.hint, error.request_id or ""):
        assert text.isprintable()


@pytest.mark.parametrize(("text", "shown"), [("a\x1b[31mb", "a?[31mb"), ("a\nb\tc", "a b c"), ("a\x9bb", "a?b"), ("a\u202eb", "a?b"), ("ü", "ü")])
def test_what_is_shown_in_its_place(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("document", [{}, {"detail": 5, "title": None, "hint": [], "reason": {}}, {"detail": ""}])
def test_a_refusal_that_says_nothing_is_told_all_the_same(document: dict[str, object]) -> None:
    error = RefusedError(document, status=418, request_id=None)
    assert str(error) == "the gateway refused with status 418"
    assert error.reason == "refused"
    assert error.hint == "Ask your administrators; the request id helps them to find it."


def test_each_kind_of_error_has_a_reason_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError) and "reason" in vars(kind)]
    assert len({kind.reason for kind in kinds}) == len(kinds) > 6


def test_an_error_can_be_told_apart_by_programs() -> None:
    error = RefusedError({"reason": "throttled", "request_id": "abc"}, status=429, request_id=None)
    assert (error.reason, error.status, error.request_id) == ("throttled", 429, "abc")
    assert isinstance(error, GatewayError)
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own; what an error was made of does not travel


def test_a_token_that_a_server_says_aloud_is_not_said_again() -> None:
    token = "sgw_" + "aB3" * 16 + "c"
    error = RefusedError({"detail": f"no such token: {token}", "hint": f"drop {token}."}, status=401, request_id=None)
    assert (str(error), error.hint) == ("no such token: sgw_…", "drop sgw_….")

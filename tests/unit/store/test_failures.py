from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from gateway.config import SecretFileError
from gateway.errors import StoreUnavailable
from gateway.store.failures import as_ours, explanation, kind

WRAPPED = OperationalError("SELECT hunter2", {"password": "hunter2"}, sqlite3.OperationalError("disk\n I/O error"), hide_parameters=True)
UNSENDABLE = UnicodeEncodeError("utf-8", "", 0, 1, "")
FOREIGN = [
    WRAPPED,
    sqlite3.DatabaseError("a"),
    psycopg.OperationalError("a"),
    OSError("a"),
    UNSENDABLE,
    SecretFileError(""),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_what_a_database_fails_with_becomes_ours_and_stays_the_cause(error: Exception) -> None:
    ours = as_ours(error)
    assert (type(ours), ours.__cause__) == (StoreUnavailable, error)


def test_everyone_who_asks_has_an_exception_of_their_own() -> None:
    assert as_ours(WRAPPED) is not as_ours(WRAPPED)


@pytest.mark.parametrize("error", [KeyError("a"), StoreUnavailable("a"), SystemExit(1)], ids=lambda error: type(error).__name__)
def test_what_is_no_failure_of_the_database_is_raised_as_it_is(error: BaseException) -> None:
    assert as_ours(error) is error


def test_the_kind_is_the_drivers_word_and_nothing_else_is_told() -> None:
    ours = as_ours(WRAPPED)
    assert isinstance(ours, StoreUnavailable)
    assert (kind(WRAPPED), ours.cause) == ("OperationalError", "store: OperationalError")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (WRAPPED, "disk I/O error"),
        (TimeoutError(), "it does not answer"),
        (OperationalError("", {}, psycopg.errors.ConnectionTimeout("connection timeout expired")), "it does not answer"),
        (None, "no reason given"),
        (OSError(), "no reason given"),
        (OSError("x" * 1000), "x" * 400),
    ],
)
def test_an_explanation_is_one_line_in_the_drivers_words(error: BaseException | None, words: str) -> None:
    assert explanation(error) == words

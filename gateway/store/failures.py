"""What a database fails with, and what of it is told: its kind to the log, its words to an administrator at a terminal."""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.config import SecretFileError
from gateway.errors import StoreUnavailable

# Whatever a database, its driver or the way to it fails with; UnicodeError: a text that the driver cannot send.
FOREIGN = (SQLAlchemyError, sqlite3.Error, psycopg.Error, OSError, UnicodeError, SecretFileError)
_LONGEST_EXPLANATION = 400


def as_ours(error: BaseException) -> BaseException:
    """Return what is raised for ``error``: a StoreUnavailable of its own for each who asks, or what is no failure of the store as it is."""
    if not isinstance(error, FOREIGN):
        return error
    ours = StoreUnavailable(f"store: {kind(error)}")
    ours.__cause__ = error
    return ours


def kind(error: BaseException) -> str:
    """Return what kind of failure it is, in the driver's word for it, which tells nothing of any value."""
    return type(_origin(error)).__name__


def explanation(error: BaseException | None) -> str:
    """Return the driver's own words, one line, for an administrator at a terminal; there are no parameters in it."""
    origin = _origin(error)
    if isinstance(origin, TimeoutError | psycopg.errors.ConnectionTimeout):
        return "it does not answer"
    words = " ".join(str(origin).split()) if origin is not None else ""
    return words[:_LONGEST_EXPLANATION] or "no reason given"


def _origin(error: BaseException | None) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error

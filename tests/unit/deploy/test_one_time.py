"""Which code the gateway will accept now."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import pytest

from deploy.site.one_time import code, last_step, next_step

# RFC 6238, appendix B: the SHA-1 rows, of whose eight digits the last six are ours.
SEED = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("at", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(at: int, expected: str) -> None:
    assert code(SEED, at // 30) == expected


def test_a_secret_without_padding_is_read() -> None:
    assert code("GEZDGNBVGY3TQOI", 1) == code("GEZDGNBVGY3TQOI=", 1)


@pytest.mark.parametrize(
    ("last_used", "step", "wait"),
    [
        (None, 100, 0),  # never used: this step's code
        (98, 100, 0),
        (99, 100, 0),
        (100, 101, 0),  # this step's is used: the next one's is taken already
        (101, 102, 20),  # that too: wait until the step after it is one ahead
        (102, 103, 50),
    ],
)
def test_the_next_code_is_the_first_unused_one_within_the_window(last_used: int | None, step: int, wait: float) -> None:
    assert next_step(100 * 30 + 10, last_used) == (step, wait)


def test_the_last_step_is_the_newest_of_all_authenticators(tmp_path: Path) -> None:
    store = tmp_path / "gateway.db"
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE authenticators (username TEXT, last_step INTEGER)")
        connection.executemany("INSERT INTO authenticators VALUES (?, ?)", [("alice", 5), ("alice", 7), ("bob", 9)])
    connection.close()
    assert (last_step(store, "alice"), last_step(store, "carol")) == (7, None)


def test_a_store_that_is_not_there_knows_no_last_step(tmp_path: Path) -> None:
    assert last_step(tmp_path / "none.db", "alice") is None

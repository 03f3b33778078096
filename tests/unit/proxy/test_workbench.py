"""Most of it is seen from the other side: test_workshop."""

from __future__ import annotations

import os
import pickle
from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.proxy.workbench import done, held


def message(work: Any, *given: Any) -> bytes:
    return pickle.dumps((work, given))


def refuse(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        raise BadRequest("work_refused", hint="Do not.") from error


def test_work_is_done_and_its_result_told_with_what_is_held() -> None:
    outcome = done(message(sum, (1, 2)))
    assert (outcome.result, outcome.refusal, outcome.failure) == (3, None, None)
    assert outcome.held > 0


def test_a_refusal_is_told_without_what_led_to_it() -> None:
    outcome = pickle.loads(pickle.dumps(done(message(refuse, "secret"))))  # noqa: S301 - our own
    assert isinstance(outcome.refusal, BadRequest)
    assert (outcome.refusal.cause, outcome.refusal.hint, outcome.refusal.__cause__) == ("work_refused", "Do not.", None)


@pytest.mark.parametrize(("work", "given"), [(int, "secret"), (os.stat, "/secret"), (divmod, 1)])
def test_a_failure_tells_its_kind_and_place_and_nothing_of_what_was_worked_on(work: Any, given: Any) -> None:
    failure = done(message(work, given)).failure
    assert failure is not None
    assert ("Error at workbench.py:" in failure, "secret" in failure) == (True, False)


def test_a_message_that_is_none_is_a_failure() -> None:
    assert done(b"nonsense").failure is not None


def test_what_is_held_is_counted_in_bytes() -> None:
    before = held()
    block = bytearray(64 * 1024**2)
    assert 32 * 1024**2 < held() - before < 128 * 1024**2
    assert len(block) == 64 * 1024**2

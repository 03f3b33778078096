from __future__ import annotations

import pytest

from gateway.slurm.meaning.causes import CAUSES, CONTROLLER_DOWN, IN_WORDS, NO_SUCH_JOB, Cause


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.title)
def test_a_cause_has_a_status_a_title_and_a_hint(cause: Cause) -> None:
    assert cause.status in {400, 403, 404, 409, 500, 502, 503}
    assert cause.title
    assert not cause.title.endswith(".")
    assert cause.hint.endswith(".")


def test_a_number_is_one_of_slurms() -> None:
    assert all(1000 <= number < 10_000 for number in CAUSES)


def test_a_refused_token_is_no_cause_of_the_users() -> None:
    assert not {1007, 5005} & CAUSES.keys()


def test_what_slurm_writes_without_a_number_is_known_by_its_words() -> None:
    assert IN_WORDS["Invalid job id specified"] is NO_SUCH_JOB
    assert IN_WORDS["Unable to contact slurm controller (connect failure)"] is CONTROLLER_DOWN

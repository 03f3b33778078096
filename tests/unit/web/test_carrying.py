"""What is made of an answer. The way there is in tests/web/test_carrying.py and test_streaming.py."""

from __future__ import annotations

import json
from typing import cast

import pytest

from gateway.config import Server
from gateway.web.call import Call
from gateway.web.carrying import Answer, explained
from gateway.web.context import Context, open_context
from tests.unit.web.conftest import Make

SERVER = Server.model_validate({"listen": "127.0.0.1:1"})
BAD_PARTITION = b'{"errors": [{"error_number": 2000}]}'


class Asked:
    """As much of a call as is looked at."""

    method, path = "POST", "/slurm/v0.0.42/job/submit"

    def __init__(self, make: Make) -> None:
        self.context: Context = open_context(make(self.method, self.path), SERVER)


def told(make: Make, answer: Answer, not_repaired: str | None = None) -> Answer:
    asked = Asked(make)
    asked.context.not_repaired = not_repaired
    return explained(cast("Call", asked), answer)


def test_an_answer_goes_out_as_it_came() -> None:
    response = Answer(status=500, headers={"Content-Type": "application/json", "Retry-After": "5"}, content=b'{"errors":[]}').response()
    assert (response.status, response.content_type, response.headers["Retry-After"], response.body) == (
        500,
        "application/json",
        "5",
        b'{"errors":[]}',
    )


def test_an_answer_that_needs_no_words_is_the_very_same(make: Make) -> None:
    answer = Answer(status=200, headers={"Content-Type": "application/json"}, content=b'{"job_id": 7, "errors": []}')
    assert told(make, answer) is answer


def test_text_becomes_a_problem_document_and_other_headers_stay(make: Make) -> None:
    answer = told(make, Answer(status=503, headers={"Content-Type": "text/plain", "Retry-After": "5"}, content=b"busy"))
    assert answer.headers == {"Content-Type": "application/problem+json", "Retry-After": "5"}
    assert (json.loads(answer.content)["status"], json.loads(answer.content)["reason"]) == (503, "slurm_refused")


@pytest.mark.parametrize("why", [None, "two scripts", 'a "quoted" word'])
def test_a_hint_tells_why_the_body_went_on_as_it_came(make: Make, why: str | None) -> None:
    tree = json.loads(told(make, Answer(status=500, headers={"Content-Type": "application/json"}, content=BAD_PARTITION), why).content)
    assert tree["hint"].endswith(f"as it came, for it has {why}.") == (why is not None)
    assert tree["errors"] == [{"error_number": 2000}]


def test_a_hint_of_slurms_own_is_left_alone(make: Make) -> None:
    content = b'{"hint": "mine", "errors": [{"error_number": 2000}]}'
    answer = told(make, Answer(status=500, headers={"Content-Type": "application/json"}, content=content), "two scripts")
    assert answer.content == content

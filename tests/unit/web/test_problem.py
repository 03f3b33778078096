from __future__ import annotations

import json

import pytest

from gateway import errors
from gateway.slurm.meaning import Explained
from gateway.web import problem

REFUSALS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refusal)]


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("proxied", [True, False])
def test_the_inside_cause_stays_inside(kind: type[errors.Refusal], proxied: bool) -> None:
    assert "the-inside-cause" not in json.dumps(problem.document(kind("the-inside-cause"), "id", proxied=proxied))


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_says_what_to_do_next(kind: type[errors.Refusal]) -> None:
    tree = problem.document(kind("cause"), "id", proxied=False)
    assert all(tree[key] for key in ("type", "title", "status", "detail", "reason", "hint", "request_id"))


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_challenge_stands_in_a_401_and_nowhere_else(kind: type[errors.Refusal]) -> None:
    answer = problem.response(kind("cause"), "id", proxied=False)
    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)


def test_a_refusal_may_bring_headers_of_its_own() -> None:
    answer = problem.response(errors.Throttled("cause", headers=(("Retry-After", "7"),)), "id", proxied=False)
    assert answer.headers["Retry-After"] == "7"


def test_the_answer_is_a_problem_document_of_its_status() -> None:
    answer = problem.response(errors.NotFound("cause"), "id", proxied=False)
    assert isinstance(answer.body, bytes)
    assert (answer.status, answer.headers["Content-Type"], json.loads(answer.body)["status"]) == (404, "application/problem+json", 404)


def test_slurms_clients_are_shown_detail_and_hint() -> None:
    (error,) = problem.document(errors.TooLarge("cause", detail="Too much.", hint="Send less."), "id", proxied=True)["errors"]
    assert (error["description"], error["error_number"], error["source"]) == ("Too much. Send less.", 413, "slurm-gateway")


def test_what_slurm_refused_in_plain_text_is_told_in_its_clients_form() -> None:
    explained = Explained(status=404, title="No such call", detail='It says: "x".', hint="Look.", body=None)
    tree = json.loads(problem.of_slurm(explained, "id"))
    assert [tree[key] for key in ("type", "title", "status", "detail", "reason", "hint", "request_id")] == [
        *("about:blank", "No such call", 404, 'It says: "x".', "slurm_refused", "Look.", "id")
    ]
    assert tree["errors"] == [{"error": "No such call", "error_number": 404, "description": 'It says: "x". Look.', "source": "slurmrestd"}]

from __future__ import annotations

from typing import Any

from gateway.observe.audit.tracing import trace

SUBMIT = "/slurm/v0.0.38/job/submit"


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {"event": kind, **fields}


def request(job_id: object = 4711, path: object = SUBMIT, status: object = 200, **fields: object) -> dict[str, Any]:
    return event("request", job_id=job_id, path=path, status=status, **fields)


SIGN_IN = event("sign_in", session="s1", factor="totp", request_id="r1")


def test_a_job_leads_to_the_sign_in_that_its_session_began_with() -> None:
    submitted = request(session="s1")
    (act,) = trace(lambda: [SIGN_IN, event("sign_in", session="s2"), submitted], 4711)
    assert (act.request, act.origin, act.made_it) == (submitted, (SIGN_IN,), True)


def test_a_job_of_a_personal_token_leads_to_its_making_and_on_to_the_sign_in() -> None:
    made, used = event("token_made", session="s1", target="t1", name="ci"), event("token_ended", session="s3", target="t1")
    (act,) = trace(lambda: [SIGN_IN, made, request(session="t1"), used], 4711)
    assert act.origin == (made, SIGN_IN)


def test_a_job_of_a_single_request_leads_to_the_sign_in_with_the_same_id() -> None:
    signed_in = event("sign_in", request_id="r7", factor="recovery_code")
    (act,) = trace(lambda: [SIGN_IN, signed_in, request(request_id="r7")], 4711)
    assert act.origin == (signed_in,)


def test_everybody_who_touched_the_job_is_told_in_order() -> None:
    lines = [request(session="s1"), request(path="/slurm/v0.0.38/job/4711", session="s2"), event("refusal", job_id=4711), request(4712)]
    acts = trace(lambda: lines, 4711)
    assert ([act.request for act in acts], [act.made_it for act in acts]) == (lines[:3], [True, False, False])


def test_a_submission_that_failed_made_nothing() -> None:
    (act,) = trace(lambda: [request(status=500)], 4711)
    assert (act.made_it, act.origin) == (False, ())


def test_the_same_number_on_another_cluster_is_another_job() -> None:
    lines = [request(cluster="main"), request(cluster="other"), request()]
    assert [act.request for act in trace(lambda: lines, 4711, "main")] == [lines[0], lines[2]]


def test_tokens_that_make_each_other_end_the_search() -> None:
    circle = [event("token_made", session="t2", target="t1"), event("token_made", session="t1", target="t2"), request(session="t1")]
    assert len(trace(lambda: circle, 4711)) == 1


def test_fields_of_the_wrong_kind_are_nobodys() -> None:
    lines = [request(4711, session=7), request(True), request("4711"), request([4711]), request(4711, path=7, status="x")]
    assert [act.made_it for act in trace(lambda: lines, 4711)] == [True, False]

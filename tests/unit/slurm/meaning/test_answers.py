from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.meaning import controller_answers, might_have_refused_the_token, refused_the_token, submitted_job_id, telltale

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from([5005, 1007, -1]))
ERRORS = st.one_of(SCALARS, st.dictionaries(st.sampled_from(["error", "error_number", "error_code", "errno", "description"]), SCALARS))
TREES = st.one_of(SCALARS, st.lists(ERRORS), st.fixed_dictionaries({}, optional={"errors": st.one_of(SCALARS, st.lists(ERRORS)), "job_id": SCALARS}))
BODIES = st.one_of(st.binary(), TREES.map(lambda tree: json.dumps(tree).encode()))
STATUSES = st.sampled_from([200, 400, 401, 404, 500, 503, 511])
NO_ANSWERS = [
    b"",
    b"Authentication failure",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"5005"',
    b"{}",
    b'{"errors": 5005}',
    b'{"errors": {"errno": 5005}}',
    b'{"errors": [5005, "5005", null, []]}',
]
NO_ANSWERS += [b"[" * 100_000, b'{"errors":' * 50_000, b'{"errors": [{"error_number": 1' + b"0" * 5000 + b"}]}"]


def answer(**error: object) -> bytes:
    return json.dumps({"meta": {}, "errors": [{"error": "other", "error_number": 2017}, error]}).encode()


@pytest.mark.parametrize("status", [401, 511])
@pytest.mark.parametrize("body", [b"", b"Authentication failure", b"{}"])
def test_a_status_alone_says_that_the_token_was_refused(status: int, body: bytes) -> None:
    assert refused_the_token(status, body)


@pytest.mark.parametrize("key", ["error_number", "error_code", "errno"])
@pytest.mark.parametrize("number", [5005, 1007])
def test_an_error_number_says_that_the_token_was_refused_in_each_version(key: str, number: int) -> None:
    assert refused_the_token(500, answer(**{key: number}))


@pytest.mark.parametrize("number", [2017, 5004, 0, -1, "5005", None, True])
def test_another_error_is_the_users_own(number: object) -> None:
    assert not refused_the_token(500, answer(error_number=number))


@pytest.mark.parametrize("status", [200, 304, 400, 403, 404, 502, 503])
def test_an_error_number_under_another_status_says_nothing(status: int) -> None:
    assert not refused_the_token(status, answer(error_number=5005))


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:16]))
def test_a_500_that_makes_no_sense_does_not_blame_the_token(body: bytes) -> None:
    assert not refused_the_token(500, body)


@pytest.mark.parametrize("errors", [[], [{"error_number": -1}], [{"errno": -1}, {"error_code": -1}]])
def test_a_500_without_a_cause_might_be_the_token(errors: list[object]) -> None:
    assert might_have_refused_the_token(500, json.dumps({"errors": errors}).encode())


@pytest.mark.parametrize("errors", [[{"error_number": 2017}], [{"error_number": -1}, {"error_number": 2017}], [{}], [-1], None, "x"])
def test_a_500_with_a_cause_is_not_the_token(errors: object) -> None:
    assert not might_have_refused_the_token(500, json.dumps({"errors": errors}).encode())


def test_another_status_without_a_cause_is_not_the_token() -> None:
    assert not might_have_refused_the_token(404, b'{"errors": []}')


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:16]))
def test_a_500_that_makes_no_sense_does_not_suspect_the_token(body: bytes) -> None:
    assert not might_have_refused_the_token(500, body)


@given(STATUSES, BODIES)
def test_whatever_slurmrestd_answers_is_judged(status: int, body: bytes) -> None:
    assert isinstance(refused_the_token(status, body), bool)
    assert isinstance(might_have_refused_the_token(status, body), bool)


@given(BODIES)
def test_a_job_id_is_a_number_of_a_job_or_none(body: bytes) -> None:
    found = submitted_job_id(body)
    assert found is None or (type(found) is int and found > 0)


def test_a_submission_names_its_job() -> None:
    assert submitted_job_id(b'{"job_id": 42, "step_id": "BATCH", "errors": []}') == 42


@pytest.mark.parametrize("value", ["0", "-1", '"42"', "42.0", "true", "null", "[42]", '{"number": 42}'])
def test_what_is_no_number_of_a_job_is_none(value: str) -> None:
    assert submitted_job_id(f'{{"job_id": {value}}}'.encode()) is None


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:16]))
def test_an_answer_that_makes_no_sense_names_no_job(body: bytes) -> None:
    assert submitted_job_id(body) is None


@pytest.mark.parametrize("number", [[], {}, "5005", None, 5005.5])
def test_an_error_whose_number_is_none_is_no_refusal(number: object) -> None:
    assert not refused_the_token(500, json.dumps({"errors": [{"error_number": number}]}).encode())


# As slurmrestd 22.05.8 and 24.11.5 answer to a token that was signed with another key, less ``meta``.
REFUSED = [
    (200, b'{"errors": [{"error_number": 1007, "error": "Protocol authentication error", "source": "slurmdb_jobs_get"}], "jobs": []}'),
    (500, b'{"errors": [{"error_number": 1007, "error": "Protocol authentication error", "source": "slurmdb_users_get"}], "users": []}'),
    (500, b'{"errors": [{"error_code": 5005, "error": "Zero Bytes were transmitted or received"}]}'),
    (
        500,
        b'{"errors": [{"error": "unable to kill job 1 with signal 9: Zero Bytes were transmitted or received", "error_code": 0}]}',
    ),
    (
        502,
        b'{"errors": [{"description": "Failed to open slurmdbd connection, authentication error", "error_number": 7000}], "warnings": []}',
    ),
    (511, b'{"errors": [], "warnings": []}'),
]
# Likewise, but said in the same words when slurmctld is down or, for the named ones, when there is no such thing.
SAYS_NOTHING = [
    b'{"errors": [], "jobs": []}',
    b'{"errors": [{"error": "_handle_job_get: unknown job 1", "error_code": 0}], "jobs": []}',
    b'{"errors": [{"error": "Invalid node name specified", "errno": 2018}], "nodes": []}',
    b'{"errors": [{"error": "Invalid partition name specified", "errno": 2000}], "partitions": []}',
    b'{"errors": [{"error": "Requested reservation is invalid", "errno": 2053}], "reservations": []}',
    b'{"errors": [{"description": "job update from x failed", "error_number": 1000, "error": "Unexpected message received", "source": "_parse"}]}',
    b'{"errors": [{"description": "slurm_associations_get_shares() failed: GET", "error_number": -1, "error": "Unspecified error"}], "warnings": []}',
    b'{"status": [], "errors": [{"description": "Signal request failed", "error_number": 1, "error": "Operation not permitted"}], "warnings": []}',
]
NOT_REFUSED = [
    (
        200,
        b'{"errors": [{"description": "Failed connecting to slurmdbd", "error_number": 7000, "error": "Unable to connect to database"}], "jobs": []}',
    ),
    (200, b'{"errors": [{"error_number": 1007}], "job_id": 5}'),
    (200, b'{"errors": [], "jobs": [{"comment": "1007", "job_id": 1007}]}'),
    (502, b'{"errors": [{"description": "Failed to open slurmdbd connection", "error_number": 7000, "error": "Unable to connect to database"}]}'),
    (502, b'{"errors": [{"description": "authentication error", "error_number": 1800}]}'),
    (502, b"authentication error"),
    (500, b'{"errors": [{"error_code": 2000, "error": "Invalid partition name specified"}]}'),
    (500, b'{"errors": [{"error": "_handle_job_delete: unable to kill job 2 with signal 9: Access/permission denied", "error_code": 0}]}'),
]


@pytest.mark.parametrize(("status", "body"), REFUSED)
def test_a_recorded_refusal_is_one(status: int, body: bytes) -> None:
    assert refused_the_token(status, body)


@pytest.mark.parametrize("body", SAYS_NOTHING)
def test_a_recorded_answer_that_says_nothing_might_be_one(body: bytes) -> None:
    assert not refused_the_token(500, body)
    assert might_have_refused_the_token(500, body)


@pytest.mark.parametrize(("status", "body"), NOT_REFUSED)
def test_another_recorded_answer_is_none(status: int, body: bytes) -> None:
    assert not refused_the_token(status, body)
    assert not might_have_refused_the_token(status, body)


def test_a_large_list_is_not_read_for_a_refusal() -> None:
    assert not refused_the_token(200, b'{"errors": [{"error_number": 1007}], "jobs": ["' + b"x" * 100_000 + b'"]}')


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slurm/v0.0.36/jobs", "/slurm/v0.0.36/ping"),
        ("/slurm/v0.0.38/job/5", "/slurm/v0.0.36/ping"),
        ("/slurmdb/v0.0.37/jobs", "/slurm/v0.0.36/ping"),
        ("/slurm/v0.0.42/job/5", "/slurm/v0.0.42/diag"),
        ("/slurmdb/v0.0.40/jobs", "/slurm/v0.0.40/diag"),
        ("/openapi/v3", "/slurm/v0.0.36/ping"),
    ],
)
def test_the_telltale_is_a_call_of_the_same_slurmrestd(path: str, expected: str) -> None:
    assert telltale(path) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"errors": [], "pings": [{"hostname": "demo", "ping": "UP", "status": 0, "mode": "primary"}]}', True),
        (200, b'{"statistics": {}, "errors": [], "warnings": []}', True),
        (500, b'{"errors": [{"error": "slurmctld config is unable to load: Unknown error 1800", "errno": 1800}]}', False),
        (502, b'{"errors": [{"error_number": 1800}], "warnings": []}', False),
        (200, b'{"errors": [{"error_number": 1}]}', False),
        (200, b"", False),
        (404, b"Unable find requested URL.", False),
    ],
)
def test_slurmctld_answers_where_the_telltale_has_no_errors(status: int, body: bytes, expected: bool) -> None:
    assert controller_answers(status, body) is expected


PINGS: list[tuple[object, bool]] = [
    ([{"pinged": "DOWN", "mode": "primary"}], True),
    ([{"pinged": "DOWN"}, {"pinged": "DOWN"}], True),
    ([{"pinged": "DOWN"}, {"pinged": "UP"}], False),
    ([{"pinged": "UP", "hostname": "DOWN"}], False),
    ([], False),
    ({"pinged": "DOWN"}, False),
    (["DOWN"], False),
]


@pytest.mark.parametrize(("pings", "doubtful"), PINGS)
def test_a_ping_that_finds_every_slurmctld_down_might_be_the_token(pings: object, doubtful: bool) -> None:
    assert might_have_refused_the_token(200, json.dumps({"pings": pings, "errors": []}).encode()) is doubtful

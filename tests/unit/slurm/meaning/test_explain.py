from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.slurm.meaning import explain
from gateway.slurm.meaning.causes import CAUSES

JSON = "application/json"


def error(number: int, text: str, **more: str) -> bytes:
    """Return an answer with one error, as 24.11 writes it."""
    return json.dumps({"errors": [{"error_number": number, "error": text, **more}], "warnings": []}).encode()


# Recorded from slurmrestd 22.05.8 and 24.11.5, less ``meta``: method, path, status, body, the true status, and a word of the hint.
RECORDED = [
    ("POST", "/slurm/v0.0.36/job/submit", 500, b'{"errors": [{"error_code": 2000, "error": "Invalid partition name specified"}]}', 400, "partition"),
    (
        "POST",
        "/slurm/v0.0.42/job/submit",
        500,
        error(2000, "Invalid partition name specified", description="Batch job submission failed"),
        400,
        "sinfo",
    ),
    (
        "POST",
        "/slurm/v0.0.36/job/submit",
        500,
        b'{"errors": [{"error_code": 2045, "error": "Invalid account or account/partition combination specified"}]}',
        400,
        "sacctmgr",
    ),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2045, "Invalid account or account/partition combination specified"), 400, "account"),
    (
        "POST",
        "/slurm/v0.0.38/job/submit",
        500,
        b'{"errors": [{"error_code": 2014, "error": "Requested node configuration is not available"}]}',
        400,
        "-Nel",
    ),
    ("POST", "/slurm/v0.0.38/job/submit", 500, b'{"errors": [{"error_code": 2029, "error": "Invalid feature specification"}]}', 400, "constraints"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2038, "Job dependency problem"), 400, "afterok"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2066, "Invalid qos specification"), 400, "qos"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2051, "Requested time limit is invalid"), 400, "MaxTime"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2050, "Job violates accounting/QOS policy"), 403, "limits"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2072, "Invalid generic resource (gres) specification"), 400, "gres"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2010, "Invalid user id"), 403, "another user"),
    ("POST", "/slurm/v0.0.36/job/submit", 500, b'{"errors": [{"error_code": 2009, "error": "Job script not specified"}]}', 400, "script"),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2012, "Pathname of a file, directory or other parameter too long"), 400, "max_script_size"),
    (
        "POST",
        "/slurm/v0.0.36/job/submit",
        400,
        b'{"errors": [{"error": "environment must be set", "error_code": 2127}, {"error_code": 9001, "error": "Failure during parsing"}]}',
        400,
        "PATH=/usr/bin:/bin",
    ),
    ("POST", "/slurm/v0.0.42/job/submit", 500, error(2019, "I/O error writing script/environment to file"), 500, "environment"),
    (
        "POST",
        "/slurm/v0.0.38/job/submit",
        400,
        b'{"errors": [{"description": "Unknown key \\"x\\"", "source": "hsearch_r"}, {"error_code": 9001, "error": "Failure during parsing"}]}',
        400,
        "GET /openapi/v3",
    ),
    (
        "POST",
        "/slurm/v0.0.42/job/submit",
        500,
        error(9202, "Unable to convert Data type", description='Expected integer but got "1:00:00"'),
        400,
        "form",
    ),
    ("POST", "/slurm/v0.0.42/job/submit", 422, error(9000, "Query empty or not RFC7320 compliant"), 422, "descriptions"),
    (
        "POST",
        "/slurm/v0.0.36/job/submit",
        500,
        b'{"errors": [{"error_code": 1800, "error": "Unable to contact slurm controller"}]}',
        500,
        "scontrol ping",
    ),
    ("POST", "/slurm/v0.0.42/job/submit", 502, error(1800, "Unable to contact slurm controller (connect failure)"), 502, "scontrol ping"),
    (
        "DELETE",
        "/slurm/v0.0.36/job/1",
        500,
        b'{"errors": [{"error": "unable to kill job 1 with signal 9: Unable to contact slurm controller (connect failure)", "error_code": 0}]}',
        500,
        "scontrol ping",
    ),
    (
        "DELETE",
        "/slurm/v0.0.36/job/2",
        500,
        b'{"errors": [{"error": "_handle_job_delete: unable to kill job 2 with signal 9: Access/permission denied", "error_code": 0}]}',
        403,
        "owner",
    ),
    ("DELETE", "/slurm/v0.0.38/job/3", 500, error(2002, "Access/permission denied", source="slurm_kill_job"), 403, "owner"),
    (
        "DELETE",
        "/slurm/v0.0.36/job/999999",
        500,
        b'{"errors": [{"error": "_handle_job_delete: unable to kill job 999999 with signal 9: Invalid job id specified", "error_code": 0}]}',
        404,
        "/slurm/v0.0.36/jobs",
    ),
    ("DELETE", "/slurm/v0.0.42/job/1", 500, error(1, "Operation not permitted", description="Signal request failed"), 500, "/slurm/v0.0.42/diag"),
    ("GET", "/slurm/v0.0.38/job/999999", 500, error(2017, "Invalid job id specified", description="Unable to find JobId=999999"), 404, "MinJobAge"),
    ("GET", "/slurm/v0.0.42/job/999999", 404, error(2017, "Invalid job id specified"), 404, "/slurmdb/v0.0.42/job/ID"),
    (
        "POST",
        "/slurm/v0.0.36/job/999999",
        500,
        b'{"errors": [{"error": "_handle_job_post: job update from /x.sock->fd:8 failed: Invalid job id specified", "error_code": 0}]}',
        404,
        "MinJobAge",
    ),
    ("GET", "/slurm/v0.0.37/job/abc", 400, error(9002, "Jobs description entry not found", description="Unable to find JobId=abc"), 400, "MinJobAge"),
    ("GET", "/slurm/v0.0.42/partition/nope", 422, error(9000, "Query empty", description="Unable to find partition nope"), 422, "sinfo"),
    ("GET", "/slurm/v0.0.40/reconfigure", 500, error(2010, "Invalid user id", description="slurm_reconfigure() failed"), 403, "AdminLevel"),
    ("POST", "/slurmdb/v0.0.36/users/", 500, error(2002, "Access/permission denied", source="slurmdb_users_add"), 403, "operators"),
    ("DELETE", "/slurmdb/v0.0.42/account/x", 500, error(2002, "Access/permission denied"), 403, "operators"),
    ("GET", "/slurmdb/v0.0.38/user/nosuch", 500, error(9003, "Nothing found with query", description="Nothing found"), 404, "spelling"),
    ("GET", "/slurmdb/v0.0.36/user/nosuch", 400, error(9003, "Nothing found with query", description="Nothing found"), 400, "spelling"),
    (
        "GET",
        "/slurmdb/v0.0.38/users",
        500,
        error(7000, "Unable to connect to database", description="Failed connecting to slurmdbd"),
        500,
        "slurmdbd",
    ),
    ("GET", "/slurmdb/v0.0.42/users", 502, error(7000, "Unable to connect to database"), 502, "slurmdbd"),
    (
        "GET",
        "/slurmdb/v0.0.36/jobs",
        200,
        b'{"errors": [{"error_number": 7000, "error": "Unable to connect to database"}], "jobs": []}',
        502,
        "slurmdbd",
    ),
    (
        "GET",
        "/slurmdb/v0.0.36/diag",
        200,
        b'{"errors": [{"error_number": 7008, "error": "Database connection reference is invalid"}]}',
        502,
        "slurmdbd",
    ),
    ("GET", "/slurmdb/v0.0.36/job/9", 200, b'{"errors": [{"error_number": 9003, "error": "Nothing found with query"}], "jobs": []}', 200, "spelling"),
    ("GET", "/slurm/v0.0.42/node/nope", 200, error(0, "No error", description="Failure to query node nope"), 200, "sinfo -N"),
    ("GET", "/slurm/v0.0.42/reservation/nope", 200, error(0, "No error", description="Unable to query reservations"), 200, "reservations"),
    (
        "GET",
        "/slurm/v0.0.42/ping",
        200,
        b'{"pings": [{"hostname": "demo", "pinged": "DOWN", "responding": false}], "errors": [], "warnings": []}',
        200,
        "token",
    ),
    (
        "DELETE",
        "/slurm/v0.0.42/job/10",
        200,
        b'{"status": [{"error": {"string": "Access/permission denied", "code": 2002}, "step_id": "10"}], "errors": [], "warnings": []}',
        200,
        "Slurm did not do this",
    ),
    (
        "POST",
        "/slurm/v0.0.42/job/submit",
        200,
        b'{"errors": [], "warnings": [{"description": "Expected OpenAPI type=integer", "source": "#/job/minimum_nodes/"}]}',
        200,
        "nothing was submitted",
    ),
    (
        "POST",
        "/slurm/v0.0.42/job/submit",
        500,
        b'{"job_id": 151, "step_id": "batch", "errors": [{"description": "Unknown flag", "error_number": 9207, "error": "Data parser"}]}',
        500,
        "it is job 151",
    ),
]

PLAIN = [
    (404, b"Unable find requested URL. Please view /openapi/v3 for API reference.", "GET /openapi/v3"),
    (405, b"Requested REST method is not defined at URL. Please view /openapi/v3 for API reference.", "methods"),
    (415, b"Accept content type is unknown", "Accept: application/json"),
    (400, b"Unable to parse query.", "Content-Type: application/json"),
    (400, b"", "GET /openapi/v3"),
    (411, b"", "Content-Length"),
    (413, b"", "files on the cluster"),
    (500, b"", "diag"),
    (503, b"busy", "diag"),
]

SUCCESSES = [
    ("GET", "/slurm/v0.0.36/jobs", b'{"meta": {}, "errors": [\n  ], "jobs": []}'),
    ("GET", "/slurm/v0.0.42/jobs", b'{"jobs": [], "last_update": {"set": true, "infinite": false, "number": 0}, "errors": [], "warnings": [{}]}'),
    ("GET", "/slurm/v0.0.42/ping", b'{"pings": [{"hostname": "demo", "pinged": "UP"}], "errors": [], "warnings": []}'),
    ("POST", "/slurm/v0.0.36/job/submit", b'{"errors": [{"error_code": 2042, "error": "Job is in held state"}], "job_id": 5, "step_id": "BATCH"}'),
    ("POST", "/slurm/v0.0.42/job/submit", b'{"job_id": 5, "errors": [], "warnings": [{"description": "Job is in held state"}]}'),
    ("DELETE", "/slurm/v0.0.36/job/5", b'{"meta": {}, "errors": [\n  ]}'),
    ("DELETE", "/slurm/v0.0.42/job/5", b'{"status": [{"error": {"string": "", "code": 0}, "step_id": "5"}], "errors": [], "warnings": []}'),
    ("GET", "/openapi/v3", b'{"paths": {}}'),
    ("GET", "/slurm/v0.0.36/jobs", b""),
    ("GET", "/slurm/v0.0.36/jobs", b"jobs: []\n"),
]


def hint_of(body: bytes | None) -> Any:
    return json.loads(body or b"{}")["hint"]


@pytest.mark.parametrize(("method", "path", "status", "body", "expected", "word"), RECORDED)
def test_a_recorded_answer_gets_its_true_status_and_a_hint(method: str, path: str, status: int, body: bytes, expected: int, word: str) -> None:
    explained = explain(method, path, status, JSON, body)
    assert explained is not None
    assert explained.status == expected
    assert word in explained.hint
    assert hint_of(explained.body) == explained.hint
    assert {**json.loads(body), "hint": explained.hint} == json.loads(explained.body or b"")


@pytest.mark.parametrize(("status", "body", "word"), PLAIN)
def test_a_rejection_in_plain_text_is_put_into_words(status: int, body: bytes, word: str) -> None:
    explained = explain("GET", "/slurm/v0.0.36/x", status, "text/plain" if body else None, body)
    assert explained is not None
    assert (explained.status, explained.body) == (status, None)
    assert word in explained.hint
    assert body.decode() in explained.detail


@pytest.mark.parametrize(("method", "path", "body"), SUCCESSES)
def test_a_success_needs_no_words(method: str, path: str, body: bytes) -> None:
    assert explain(method, path, 200, JSON, body) is None


UNKNOWN_JOB = b'{"errors": [{"error": "_handle_job_get: unknown job 999999", "error_code": 0}], "jobs": []}'
UNKNOWN_NODE = b'{"errors": [{"error": "Invalid node name specified", "errno": 2018}], "nodes": []}'
SILENT = b'{"errors": [{"description": "Unable to find JobId=1", "error_number": -1, "error": "Unspecified error"}], "jobs": []}'


@pytest.mark.parametrize(
    ("path", "body", "answers", "status", "word"),
    [
        ("/slurm/v0.0.36/job/999999", UNKNOWN_JOB, True, 404, "MinJobAge"),
        ("/slurm/v0.0.36/job/999999", UNKNOWN_JOB, None, 500, "tells which"),
        ("/slurm/v0.0.36/job/999999", UNKNOWN_JOB, False, 500, "scontrol ping"),
        ("/slurm/v0.0.36/node/nope", UNKNOWN_NODE, True, 404, "sinfo -N"),
        ("/slurm/v0.0.36/node/nope", UNKNOWN_NODE, False, 500, "scontrol ping"),
        ("/slurm/v0.0.36/nodes", UNKNOWN_NODE, True, 500, "log"),
        ("/slurm/v0.0.38/job/1", SILENT, True, 500, "log"),
        ("/slurm/v0.0.38/job/1", SILENT, None, 500, "diag"),
        ("/slurm/v0.0.38/job/1", SILENT, False, 500, "scontrol ping"),
        ("/slurmdb/v0.0.38/diag", SILENT, False, 500, "diag"),
    ],
)
def test_what_is_said_of_anything_is_believed_where_slurmctld_answers(path: str, body: bytes, answers: bool | None, status: int, word: str) -> None:
    explained = explain("GET", path, 500, JSON, body, controller_answers=answers)
    assert explained is not None
    assert explained.status == status
    assert word in explained.hint


def test_every_byte_that_slurm_sent_stays() -> None:
    body = b'\n{  "meta": {"a": 1.10, "b": "\\u00e4\\/"},\n"errors": [ {"error_code":2000} ]}\n'
    explained = explain("POST", "/slurm/v0.0.36/job/submit", 500, JSON, body)
    assert explained is not None
    assert explained.body is not None
    assert explained.body.startswith(b'\n{"hint": "')
    assert explained.body.endswith(body.partition(b"{")[2])


def test_a_hint_that_is_there_stays() -> None:
    body = b'{"errors": [{"error_code": 2000}], "hint": "mine"}'
    explained = explain("POST", "/slurm/v0.0.36/job/submit", 500, JSON, body)
    assert explained is not None
    assert (explained.status, explained.body) == (400, body)


@pytest.mark.parametrize("body", [b"errors:\n- error_number: 2000\n", b"%PDF", b"\xff\xfe"])
def test_another_form_is_passed_on(body: bytes) -> None:
    assert explain("GET", "/slurm/v0.0.42/jobs", 500, "application/yaml", body) is None


@pytest.mark.parametrize("body", [b"{", b'{"errors": ', b"{" * 10_000, b'{"errors": [{"errno": 1' + b"0" * 5000 + b"}]}", b"{}"])
def test_what_is_no_answer_is_passed_on(body: bytes) -> None:
    assert explain("GET", "/slurm/v0.0.42/jobs", 500, JSON, body) is None


def test_a_list_is_not_taken_for_an_error() -> None:
    assert explain("GET", "/slurm/v0.0.42/jobs", 500, JSON, b'{"errors": [], "jobs": "' + b"x" * 300_000 + b'"}') is None


@pytest.mark.parametrize("status", [204, 301, 304])
def test_a_status_that_is_no_error_is_passed_on(status: int) -> None:
    assert explain("GET", "/slurm/v0.0.42/jobs", status, JSON, b'{"errors": [{"errno": 2000}]}') is None


def test_plain_text_is_shown_without_what_cannot_be_printed() -> None:
    explained = explain("GET", "/slurm/v0.0.42/jobs", 500, "text/plain", b"a\x1b[31mb\r\nc\x00\xff" + b"d" * 1000)
    assert explained is not None
    assert explained.detail.isprintable()
    assert len(explained.detail) < 400


NUMBERS = st.one_of(st.sampled_from(sorted(CAUSES)), st.integers(-5, 20_000), st.none(), st.text(max_size=3))
ENTRIES = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["error_number", "error_code", "errno", "error", "description"]), NUMBERS, max_size=4),
)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "errors": st.one_of(st.lists(ENTRIES, max_size=4), st.integers()),
        "status": st.one_of(st.none(), st.lists(st.one_of(ENTRIES, st.fixed_dictionaries({"error": st.fixed_dictionaries({"code": NUMBERS})})))),
        "job_id": st.one_of(st.none(), st.integers(-1, 5)),
        "hint": st.text(max_size=3),
    },
)
BODIES = st.one_of(st.binary(), TREES.map(lambda tree: json.dumps(tree).encode()))
CALLS = st.tuples(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(["/slurm/v0.0.36/job/5", "/slurm/v0.0.42/job/submit", "/slurmdb/v0.0.38/jobs", "/slurm/v0.0.36/ping", "/openapi", "", "/x"]),
)


@given(CALLS, st.sampled_from([200, 304, 400, 404, 500, 502, 511]), st.one_of(st.none(), st.text()), BODIES, st.sampled_from([None, True, False]))
def test_no_error_becomes_a_success_and_nothing_that_slurm_said_is_lost(
    call: tuple[str, str], status: int, content_type: str | None, body: bytes, answers: bool | None
) -> None:
    explained = explain(*call, status, content_type, body, controller_answers=answers)
    if explained is None:
        return
    assert (explained.status >= 400) >= (status >= 400)
    assert explained.hint
    assert "VERSION" not in explained.hint or not call[1].startswith("/slurm")
    assert explained.status == status or (status == 500 and 400 <= explained.status < 500) or (status == 200 and explained.status == 502)
    if explained.body is not None:
        tree = json.loads(explained.body)
        said = json.loads(body)
        assert {**said, "hint": tree["hint"]} == tree

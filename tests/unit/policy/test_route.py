from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MethodNotAllowed, NotFound
from gateway.policy.route import (
    Route,
    changes_something,
    events_cluster,
    is_events,
    is_proxied,
    is_submission,
    methods_of,
    named_job,
    route,
    submission_version,
)

CLUSTERS = ("main", "gpu-2")


@pytest.mark.parametrize(
    "path", ["/slurm/v0.0.38/ping", "/slurmdb/v0.0.38/jobs", "/clusters/main/slurm/x", "/openapi", "/openapi.json", "/openapi.yaml", "/openapi/v3"]
)
def test_slurms_paths_are_proxied(path: str) -> None:
    assert is_proxied(path)


@pytest.mark.parametrize(
    "path",
    ["/", "/slurm", "/slurmdb", "/slurmx/v1", "/SLURM/v1", "/auth/login", "/clusters", "/openapi.xml", "/openapi/v3/x", "/health/live", "/metrics"],
)
def test_other_paths_are_not(path: str) -> None:
    assert not is_proxied(path)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/slurm/v0.0.38/ping", Route("main", "/slurm/v0.0.38/ping")),
        ("/slurmdb/v0.0.38/job/7", Route("main", "/slurmdb/v0.0.38/job/7")),
        ("/openapi/v3", Route("main", "/openapi/v3")),
        ("/clusters/gpu-2/slurm/v0.0.38/ping", Route("gpu-2", "/slurm/v0.0.38/ping")),
        ("/clusters/main/openapi.json", Route("main", "/openapi.json")),
    ],
)
def test_a_path_leads_to_its_cluster_under_slurmrestds_own_name(path: str, where: Route) -> None:
    assert route(path, "GET", "main", CLUSTERS) == where


@pytest.mark.parametrize(
    "path",
    [
        "/auth/login",
        "/health/ready",
        "/metrics",
        "/slurm",
        "/slurm/v0.0.38",
        "/slurmdb/v0.0.36",
        "/slurm/v0.0.37/job",
        "/slurm/v0.0.44/new",
        "/clusters/main/slurm/v0.0.37/job",
        "/clusters/main",
        "/clusters/main/",
        "/clusters/main/auth/login",
        "/clusters/main/metrics",
        "/clusters/main/clusters/main/slurm/v0.0.38/ping",
        "/clusters/main/slurmdb/v0.0.36",
        "/clusters/other/slurm/v0.0.38/ping",
        "/clusters/MAIN/slurm/v0.0.38/ping",
        "/clusters/-x/slurm/v0.0.38/ping",
        "/openapi/v3/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
def test_what_is_no_call_of_slurms_leads_nowhere(path: str, method: str) -> None:
    with pytest.raises(NotFound):
        route(path, method, "main", CLUSTERS)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "CONNECT", "TRACE", "get", "Post", "head", "", "GET ", "HEAD "])
def test_a_method_that_slurmrestd_does_not_know_leads_nowhere(method: str) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        route("/slurm/v0.0.38/ping", method, "main", CLUSTERS)
    assert caught.value.headers == (("Allow", "GET, HEAD, POST, DELETE, OPTIONS"),)


def test_a_head_leads_where_the_get_does() -> None:
    assert route("/slurm/v0.0.38/ping", "HEAD", "main", CLUSTERS) == route("/slurm/v0.0.38/ping", "GET", "main", CLUSTERS)


@pytest.mark.parametrize("path", ["/slurm/v0.0.40/reconfigure", "/slurm/latest/reconfigure", "/clusters/main/slurm/v0.0.45/job/7/requeue"])
def test_a_head_does_not_lead_where_the_get_changes_something(path: str) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        route(path, "HEAD", "main", CLUSTERS)
    assert caught.value.headers == (("Allow", "GET, POST, DELETE, OPTIONS"),)


@given(st.text().map("/".__add__), st.sampled_from(["GET", "POST", "DELETE", "HEAD"]))
def test_every_path_leads_to_a_cluster_of_ours_or_nowhere(path: str, method: str) -> None:
    try:
        assert route(path, method, "main", CLUSTERS).cluster in CLUSTERS
    except (NotFound, MethodNotAllowed) as refusal:
        assert refusal.status in {404, 405}  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/slurm/v0.0.38/job/submit"),
        ("POST", "/slurm/v0.0.38/ping"),
        ("DELETE", "/slurm/v0.0.38/job/7"),
        ("GET", "/slurm/v0.0.40/reconfigure"),
        ("GET", "/slurm/v0.0.45/job/7/requeue"),
        ("GET", "/slurm/v0.0.45/job/7_1+2/requeue"),
        ("HEAD", "/slurm/v0.0.40/reconfigure"),
        ("head", "/slurm/v0.0.38/ping"),
        ("get", "/slurm/v0.0.38/ping"),
    ],
)
def test_a_call_that_may_change_the_cluster_is_known_as_one(method: str, path: str) -> None:
    assert changes_something(method, path)


@pytest.mark.parametrize(
    "path", ["/slurm/v0.0.38/jobs", "/slurm/v0.0.38/job/7", "/slurm/v0.0.38/diag", "/slurmdb/v0.0.38/users", "/openapi", "/slurm/v0.0.45/job/requeue"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_changes_nothing(path: str, method: str) -> None:
    assert not changes_something(method, path)


@pytest.mark.parametrize("path", ["/slurm/v0.0.38/jobs", "/slurm/v0.0.38/job/submit", "/slurm/v0.0.40/reconfigure"])
def test_to_ask_what_may_be_done_changes_nothing(path: str) -> None:
    assert not changes_something("OPTIONS", path)


@pytest.mark.parametrize("version", ["v0.0.36", "v0.0.42", "v1.0"])
def test_a_submission_is_known_in_every_version(version: str) -> None:
    assert is_submission("POST", f"/slurm/{version}/job/submit")
    assert submission_version("POST", f"/slurm/{version}/job/submit") == version


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/slurm/v0.0.38/job/submit"),
        ("POST", "/slurm/v0.0.38/job/7"),
        ("POST", "/slurmdb/v0.0.38/job/submit"),
        ("POST", "/slurm/v0.0.38/job/submit/x"),
    ],
)
def test_other_calls_submit_nothing(method: str, path: str) -> None:
    assert not is_submission(method, path)
    assert submission_version(method, path) is None


@pytest.mark.parametrize(
    ("path", "job_id"),
    [
        ("/slurm/v0.0.38/job/4711", 4711),
        ("/clusters/main/slurm/v0.0.38/job/7", 7),
        ("/slurm/v0.0.45/job/7/requeue", 7),
        ("/slurm/v0.0.38/job/submit", None),
        ("/slurm/v0.0.38/jobs", None),
        ("/slurm/v0.0.38/job/99999999999", None),
    ],
)
def test_a_call_about_a_job_names_it(path: str, job_id: int | None) -> None:
    assert named_job(path) == job_id


@pytest.mark.parametrize(
    ("path", "yes"),
    [("/events", True), ("/clusters/main/events", True), ("/events/more", False), ("/slurm/v0.0.40/events", False), ("/clusters/a/b/events", False)],
)
def test_events_have_paths_of_their_own(path: str, yes: bool) -> None:
    assert is_events(path) == yes
    assert is_proxied("/events")


def test_events_are_those_of_a_cluster_that_there_is() -> None:
    found = [events_cluster(path, "main", {"main", "gpu"}) for path in ("/events", "/clusters/gpu/events")]
    assert found == ["main", "gpu"]
    with pytest.raises(NotFound):
        events_cluster("/clusters/other/events", "main", {"main"})


def test_events_can_be_read_and_nothing_else() -> None:
    assert methods_of("/events") == methods_of("/clusters/main/events") == ("GET", "HEAD", "OPTIONS")

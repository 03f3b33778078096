from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotFound, Unavailable, VersionGone
from gateway.slurm.versions import resolve, served_versions

BOOKWORM = ("v0.0.36", "v0.0.37", "v0.0.38")
TRIXIE = ("v0.0.40", "v0.0.41", "v0.0.42")


def document(*paths: str) -> bytes:
    return json.dumps({"openapi": "3.0.3", "info": {"version": "x"}, "paths": {path: {"get": {}} for path in paths}}).encode()


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("/slurm/v0.0.38/jobs", "/slurm/v0.0.36/jobs", "/slurmdb/v0.0.37/users/", "/openapi", "/openapi/v3"), BOOKWORM),
        (("/slurmdb/v0.0.42/users/", "/slurm/v0.0.40/ping/", "/slurm/v0.0.41/job/{job_id}"), TRIXIE),
        (("/slurm/v0.0.100/jobs", "/slurm/v0.0.99/jobs"), ("v0.0.99", "v0.0.100")),
        (
            ("/slurm/v0.0.36", "/slurm/latest/jobs", "/slurm/v0.0.x/jobs", "/slurm/v1.0.40/jobs", "/other/v0.0.40/jobs", "/slurm/v0.0.036/j"),
            ("v0.0.36",),
        ),
        ((), ()),
    ],
)
def test_the_versions_are_those_of_the_paths(paths: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert served_versions(document(*paths)) == expected


@pytest.mark.parametrize(
    "openapi",
    [b"", b"[]", b"null", b"openapi: 3.0.3", b"{}", b'{"paths": []}', b'{"paths": {"x": 1}', b"\xff", b"[" * 100_000, b"Authentication failure"],
    ids=lambda openapi: repr(openapi[:16]),
)
def test_what_is_no_document_names_no_version(openapi: bytes) -> None:
    assert served_versions(openapi) == ()


@given(st.binary())
def test_whatever_slurmrestd_answers_is_read(openapi: bytes) -> None:
    served_versions(openapi)


@pytest.mark.parametrize(
    ("path", "served", "expected"),
    [
        ("/slurm/latest/jobs", BOOKWORM, "/slurm/v0.0.38/jobs"),
        ("/slurmdb/latest/job/5", TRIXIE, "/slurmdb/v0.0.42/job/5"),
        ("/slurm/latest/job/submit", ("v0.0.40",), "/slurm/v0.0.40/job/submit"),
    ],
)
def test_latest_is_the_newest_version_that_is_served(path: str, served: tuple[str, ...], expected: str) -> None:
    resolved = resolve(path, served)
    assert (resolved.path, resolved.headers) == (expected, ())


def test_latest_waits_until_the_versions_are_known() -> None:
    with pytest.raises(Unavailable):
        resolve("/slurm/latest/jobs", ())


@pytest.mark.parametrize(("path", "served"), [("/slurm/v0.0.36/jobs", TRIXIE), ("/slurmdb/v0.0.39/users", TRIXIE), ("/slurm/v0.0.0/x", BOOKWORM)])
def test_a_version_that_is_served_no_more_is_gone(path: str, served: tuple[str, ...]) -> None:
    with pytest.raises(VersionGone) as refused:
        resolve(path, served)
    assert refused.value.status == 410
    assert ", ".join(served) in refused.value.detail
    assert ", ".join(served) in refused.value.hint


@pytest.mark.parametrize("path", ["/slurm/v0.0.40/jobs", "/slurmdb/v0.0.999/users"])
def test_a_version_that_is_not_served_yet_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as refused:
        resolve(path, BOOKWORM)
    assert ", ".join(BOOKWORM) in refused.value.hint


@pytest.mark.parametrize(
    "path",
    [
        "/slurm/v0.0.42/jobs",
        "/slurm/Latest/jobs",
        "/slurm/v0.0.042/jobs",
        "/slurm/v0.1.42/jobs",
        "/slurm/v0.0.42x/jobs",
        "/slurm/v0.0.9999999/jobs",
        "/slurm//jobs",
        "/openapi",
        "/openapi/v3",
        "/openapi/latest/jobs",
        "/",
        "",
    ],
)
def test_another_path_goes_on_as_it_came(path: str) -> None:
    resolved = resolve(path, TRIXIE)
    assert (resolved.path, resolved.headers) == (path, ())


@pytest.mark.parametrize("path", ["/slurm/v0.0.36/jobs", "/slurm/v0.0.99/jobs"])
def test_while_nothing_is_known_a_named_version_goes_on(path: str) -> None:
    assert resolve(path, ()).path == path


@pytest.mark.parametrize(
    ("version", "served", "deprecated", "gone"),
    [
        ("v0.0.36", BOOKWORM, (2021, 8, 26), (2023, 2, 28)),
        ("v0.0.37", BOOKWORM, (2022, 5, 26), (2023, 11, 21)),
        ("v0.0.40", TRIXIE, (2024, 5, 30), (2025, 11, 6)),
        ("v0.0.41", TRIXIE, (2024, 11, 29), (2026, 5, 26)),
        ("v0.0.44", ("v0.0.44", "v0.0.45"), (2026, 5, 26), (2027, 11, 1)),
    ],
)
def test_a_version_that_will_go_says_since_when_and_when(
    version: str, served: tuple[str, ...], deprecated: tuple[int, int, int], gone: tuple[int, int, int]
) -> None:
    headers = dict(resolve(f"/slurm/{version}/jobs", served).headers)
    assert headers["Deprecation"] == f"@{int(datetime(*deprecated, tzinfo=UTC).timestamp())}"
    assert parsedate_to_datetime(headers["Sunset"]) == datetime(*gone, tzinfo=UTC)
    assert headers["Sunset"].endswith(" GMT")


@pytest.mark.parametrize("served", [BOOKWORM, TRIXIE, ("v0.0.45", "v0.0.46"), ("v0.0.37",)])
def test_the_newest_version_says_nothing(served: tuple[str, ...]) -> None:
    assert resolve(f"/slurm/{served[-1]}/jobs", served).headers == ()


def test_a_version_whose_end_is_not_announced_says_nothing() -> None:
    assert resolve("/slurm/v0.0.45/jobs", ("v0.0.45", "v0.0.46")).headers == ()


@pytest.mark.parametrize("path", ["/slurm/v0.0.40/jobs", "/slurmdb/v0.0.40/job/5", "/slurm/v0.0.40/job/5/requeue"])
@pytest.mark.parametrize("prefix", ["", "/clusters/north"])
def test_the_successor_is_the_same_call_of_the_next_version(path: str, prefix: str) -> None:
    link = dict(resolve(path, TRIXIE).headers)["Link"]
    target, _, relation = link.partition("; ")
    assert relation == 'rel="successor-version"'
    assert urljoin(f"https://gateway{prefix}{path}", target.strip("<>")) == f"https://gateway{prefix}{path.replace('v0.0.40', 'v0.0.41')}"


@given(st.text(), st.lists(st.integers(0, 60).map(lambda number: f"v0.0.{number}"), unique=True))
def test_whatever_path_comes_is_answered(path: str, served: list[str]) -> None:
    assert resolve(path, tuple(served)).path == path

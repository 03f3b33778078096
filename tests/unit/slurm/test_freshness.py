from __future__ import annotations

import json

import pytest

from gateway.slurm.freshness import can_be_confirmed, is_shared_read, is_unchanged, last_update, with_update_time

READS: list[tuple[str, bool]] = [
    ("/slurm/v0.0.38/jobs", True),
    ("/slurm/v0.0.42/jobs/state", True),
    ("/slurm/v0.0.38/job/17", True),
    ("/slurm/v0.0.38/nodes", True),
    ("/slurm/v0.0.38/node/n1", True),
    ("/slurm/v0.0.38/partitions", True),
    ("/slurm/v0.0.38/partition/main", True),
    ("/slurm/v0.0.38/reservations", True),
    ("/slurm/v0.0.38/licenses", True),
    ("/slurm/v0.0.38/diag", True),
    ("/slurm/v0.0.38/ping", True),
    ("/slurmdb/v0.0.38/jobs", True),
    ("/slurmdb/v0.0.38/job/1", True),
    ("/openapi", True),
    ("/openapi/v3", True),
    ("/slurm/v0.0.42/reconfigure", False),
    ("/slurm/v0.0.45/job/17/requeue", False),
    ("/slurm/v0.0.38/job/submit", False),
    ("/slurm/v0.0.38/shares", False),
    ("/slurm/v0.0.38/jobs/", False),
    ("/slurm/jobs", False),
    ("/auth/session", False),
    ("/openapi/v4", False),
]


@pytest.mark.parametrize(("path", "shared"), READS)
def test_the_reads_that_are_shared_are_those_that_change_nothing_and_that_many_ask_for(path: str, shared: bool) -> None:
    assert is_shared_read(path) is shared


CONFIRMED: list[tuple[str, str, bool]] = [
    ("/slurm/v0.0.36/jobs", "", False),
    ("/slurm/v0.0.37/jobs", "", True),
    ("/slurm/v0.0.38/nodes", "", True),
    ("/slurm/v0.0.42/partitions", "", True),
    ("/slurm/v0.0.38/reservations", "", True),
    ("/slurm/v0.0.38/job/1", "", False),
    ("/slurm/v0.0.38/ping", "", False),
    ("/slurmdb/v0.0.38/jobs", "", False),
    ("/slurm/v0.0.38/jobs", "update_time=1", False),
    ("/slurm/v0.0.38/jobs", "flags=ALL", True),
]


@pytest.mark.parametrize(("path", "query", "confirmed"), CONFIRMED)
def test_what_can_be_confirmed_is_a_list_whose_version_has_update_time(path: str, query: str, confirmed: bool) -> None:
    assert can_be_confirmed(path, query) is confirmed


def test_the_question_goes_behind_what_the_client_asks() -> None:
    path = "/slurm/v0.0.38/jobs"
    assert [with_update_time(path, query, 5) for query in ("", "flags=ALL")] == ["update_time=5", "flags=ALL&update_time=5"]


@pytest.mark.parametrize(("version", "question"), [(37, "5"), (39, "5"), (40, "uts5"), (42, "uts5"), (46, "uts5")])
def test_each_version_is_told_the_time_in_the_way_that_it_takes(version: int, question: str) -> None:
    assert with_update_time(f"/slurm/v0.0.{version}/nodes", "", 5) == f"update_time={question}"


def number(value: int) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": value}


UNCHANGED: list[tuple[int, bytes, bool]] = [
    (304, b"", True),
    (200, json.dumps({"jobs": [], "last_update": number(0), "meta": {}}).encode(), True),
    (200, json.dumps({"jobs": [], "last_update": number(1795695966)}).encode(), False),
    (200, json.dumps({"jobs": [], "last_update": 0}).encode(), True),
    (200, json.dumps({"jobs": []}).encode(), False),
    (200, b"", False),
    (200, b"no JSON", False),
    (200, b"[" * 10_000, False),
    (500, json.dumps({"last_update": number(0)}).encode(), False),
]


@pytest.mark.parametrize(("status", "content", "unchanged"), UNCHANGED)
def test_unchanged_is_said_in_each_versions_own_way(status: int, content: bytes, unchanged: bool) -> None:
    assert is_unchanged(status, content) is unchanged


TIMES: list[tuple[bytes, int | None]] = [
    (b'"last_update": {\n "set": true,\n "infinite": false,\n "number": 1795695966\n }, "meta"', 1795695966),
    (b'"last_update":{"set":true,"infinite":false,"number":12}', 12),
    (b'"last_update":12,', 12),
    (b'"last_update":{"set":false,"infinite":false,"number":0}', None),
    (b'"name":"\\"last_update\\":99", "last_update":12,', 12),
    (b'"last_update":12, "last_update":13', None),
    (b'"last_update":0', None),
    (b"", None),
]


@pytest.mark.parametrize(("ends", "time"), TIMES)
def test_the_time_of_an_answer_is_its_own_where_it_says_it_once(ends: bytes, time: int | None) -> None:
    assert last_update(ends) == time

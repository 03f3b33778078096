"""Requests that just work: what people and programs send before a real Slurm of each kind, through nginx, as they have always sent it."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.chain import Chain, chain
from tests.system.support import Answer, Site, version_number, wait_for

PAGE = "https://portal.example.org"
SCRIPT = "#!/bin/sh\nid -un\necho $GREETING\n"
JSON = ("Content-Type", "application/json")
RELEASES = ("site", "trixie")


@pytest.fixture(scope="module")
def open_to_pages(site: Site) -> Iterator[Chain]:
    """A gateway that a web page of another origin may call."""
    with chain(site, settings={"cors": f'origins = ["{PAGE}"]\n', "slurm": ""}) as made:
        yield made


def curl(site: Site, path: str, *words: str, stdin: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Run curl as a scientist would; return the status, the headers and the body."""
    command = ["curl", "-sS", "--cacert", site.told["ca_file"], "-H", f"Authorization: Bearer {site.token('alice')}", *words]
    dumped = ["-D", "/dev/stderr", "-w", "\n%{http_code}", site.told["url"] + path]
    done = subprocess.run([*command, *dumped], capture_output=True, check=True, timeout=60, input=stdin)
    body, _, status = done.stdout.rpartition(b"\n")
    lines = [line.partition(":") for line in done.stderr.decode("latin-1").splitlines() if ":" in line]
    return int(status), {name.strip().lower(): value.strip() for name, _, value in lines}, body


def job_file(site: Site, shape: str, output: Path) -> dict[str, Any]:
    """Return a job as somebody wrote it down for a version of the API, or as the seed of this project did."""
    home = str(site.home("alice"))
    job = {"name": f"from-{shape}", "partition": site.partition(), "current_working_directory": home, "standard_output": str(output)}
    if shape == "seed":
        return {"jobs": {**job, "environment": {"PATH": "/bin:/usr/bin", "GREETING": "hello"}}, "script": SCRIPT}
    if version_number(shape) <= 38:
        return {"job": {**job, "environment": {"PATH": "/bin:/usr/bin", "GREETING": "hello"}, "ntasks": 1, "time_limit": 5}, "script": SCRIPT}
    number = {"set": True, "infinite": False, "number": 5}
    return {"job": {**job, "environment": ["PATH=/bin:/usr/bin", "GREETING=hello"], "tasks": 1, "time_limit": number, "script": SCRIPT}}


def submit(site: Site, api: str, body: object, *headers: tuple[str, str]) -> Answer:
    known = ("Authorization", f"Bearer {site.token('alice')}")
    return site.ask("POST", f"/slurm/{api}/job/submit", headers=[known, *(headers or [JSON])], body=json.dumps(body).encode())


@pytest.mark.parametrize("shape", ["seed", "v0.0.36", "v0.0.38", "v0.0.42"])
def test_a_job_file_of_any_version_runs_on_every_version(either: Site, shape: str) -> None:
    for api in (*either.told["api_versions"], "latest"):
        output = either.home("alice") / f"just-works-{shape}-{api}.out"
        output.unlink(missing_ok=True)
        answer = submit(either, api, job_file(either, shape, output))
        # 24.11 takes a plain number for a limit, and remarks upon it.
        remarks = [warning for warning in answer.json.get("warnings", []) if "got OpenAPI type=integer" not in warning["description"]]
        assert (answer.status, answer.json["errors"], remarks) == (200, [], []), (api, answer.body)
        job_id = int(answer.json["job_id"])
        wait_for(lambda job_id=job_id: either.state_of("alice", job_id) == "COMPLETED", 20, f"the end of a job sent to {api}")  # type: ignore[misc]
        assert output.read_text().split() == ["alice", "hello"]


def test_each_repair_is_named_and_what_needs_none_is_not_touched(either: Site) -> None:
    old, new = either.told["api_versions"][0], "v0.0.42" if version_number(either.told["api_versions"][0]) <= 38 else "v0.0.36"
    output = either.home("alice") / "just-works.out"
    own, foreign = submit(either, old, job_file(either, old, output)), submit(either, old, job_file(either, new, output))
    assert (own.headers["X-Gateway-Repaired"], "environment" in foreign.headers["X-Gateway-Repaired"].split(", ")) == (None, True)


def test_a_job_without_an_environment_runs_with_a_path(either: Site) -> None:
    output = either.home("alice") / "just-works-bare.out"
    output.unlink(missing_ok=True)
    job = {"name": "bare", "current_working_directory": str(either.home("alice")), "standard_output": str(output)}
    answer = submit(either, "latest", {"job": job, "script": SCRIPT})
    assert (answer.status, answer.headers["X-Gateway-Repaired"]) == (200, "environment-default"), answer.body
    wait_for(lambda: either.state_of("alice", int(answer.json["job_id"])) == "COMPLETED", 20, "the job's end")
    assert output.read_text().split() == ["alice"]


SENT: dict[str, Callable[[bytes], tuple[list[str], bytes]]] = {
    "with curl's own type": lambda body: ([], body),
    "with a charset": lambda body: (["-H", "Content-Type: application/json; charset=utf-8"], body),
    "without a type": lambda body: (["-H", "Content-Type:"], body),
    "in chunks": lambda body: (["--http1.1", "-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked"], body),
    "compressed": lambda body: (["-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip"], gzip.compress(body)),
    "compressed, in chunks, without a type": lambda body: (
        ["--http1.1", "-H", "Content-Type:", "-H", "Content-Encoding: gzip", "-H", "Transfer-Encoding: chunked"],
        gzip.compress(body),
    ),
    "after a question": lambda body: (["-H", "Content-Type: application/json", "-H", "Expect: 100-continue"], body),
    "with Keep-Alive": lambda body: (["-H", "Content-Type: application/json", "-H", "Keep-Alive: timeout=5", "-H", "Connection: keep-alive"], body),
}


@pytest.mark.parametrize("way", SENT)
def test_a_job_file_is_taken_however_it_is_sent(either: Site, way: str) -> None:
    api = either.api
    words, sent = SENT[way](json.dumps(either.submission(api, "alice", SCRIPT, hold=True)).encode())
    status, _, body = curl(either, f"/slurm/{api}/job/submit", *words, "--data-binary", "@-", stdin=sent)
    assert (status, json.loads(body)["job_id"] > 0) == (200, True), body
    either.call("alice", "DELETE", f"/slurm/{api}/job/{json.loads(body)['job_id']}")


def test_a_bomb_reaches_nobody(either: Site) -> None:
    bomb = gzip.compress(bytes(60 * 1024 * 1024))
    status, _, body = curl(either, f"/slurm/{either.api}/job/submit", "-H", "Content-Encoding: gzip", "--data-binary", "@-", stdin=bomb)
    assert (status, json.loads(body)["reason"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/slurm/{}/ping", "/slurm/{}/jobs", "/slurm/latest/nodes", "/openapi/v3", "/auth/session", "/health/live"])
def test_curl_dash_capital_i_shows_the_head_of_the_answer(either: Site, path: str) -> None:
    target = path.format(either.api)
    status, head, body = curl(either, target, "-I")
    _, get, whole = curl(either, target)
    assert (status, body.count(b"\n") < 40, b"{" in body) == (200, True, False)
    assert head["content-type"] == get["content-type"]
    assert int(head["content-length"]) == len(whole) or "/jobs" in path or "/ping" in path


def test_a_head_of_what_changes_something_is_405(trixie: Site) -> None:
    status, head, _ = curl(trixie, "/slurm/v0.0.42/reconfigure", "-I")
    assert (status, head["allow"]) == (405, "GET, POST, DELETE, OPTIONS")


def test_a_browser_is_shown_json(either: Site) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    for said in (accept, "text/html"):
        status, head, body = curl(either, f"/slurm/{either.api}/ping", "-H", f"Accept: {said}")
        assert (status, head["content-type"], b"pings" in body) == (200, "application/json", True)


# Versions.


def test_a_version_that_the_cluster_does_not_serve_is_told_with_those_that_it_does(either: Site) -> None:
    served, gone = either.told["api_versions"], {"v0.0.36": "v0.0.35", "v0.0.40": "v0.0.39"}[either.api]
    answer = either.call("alice", "GET", f"/slurm/{gone}/jobs")
    assert (answer.status, answer.reason) == (410, "version_gone")
    assert all(api in answer.json["detail"] for api in served)
    to_come = either.call("alice", "POST", "/slurm/v0.0.77/job/submit", either.submission(either.api, "alice", SCRIPT))
    assert (to_come.status, served[-1] in to_come.json["hint"]) == (404, True)


def test_a_version_that_will_go_is_announced_and_the_newest_is_not(either: Site) -> None:
    oldest, newest = either.told["api_versions"][0], either.told["api_versions"][-1]
    either.call("alice", "GET", "/slurm/latest/ping")
    old, new = [either.call("alice", "GET", f"/slurm/{api}/partitions") for api in (oldest, newest)]
    assert (old.headers["Deprecation"][0], "GMT" in old.headers["Sunset"], new.headers["Deprecation"]) == ("@", True, None)


def test_the_trail_names_the_version_that_latest_was(either: Site) -> None:
    body = either.submission(either.told["api_versions"][-1], "alice", SCRIPT, hold=True)
    job_id = int(submit(either, "latest", body).json["job_id"])
    newest = either.told["api_versions"][-1]
    wait_for(lambda: either.audit_lines(job_id=job_id, path=f"/slurm/{newest}/job/submit"), 10, "the line in the trail")
    either.call("alice", "DELETE", f"/slurm/latest/job/{job_id}")


# Errors.


def test_slurms_errors_say_what_to_do(either: Site) -> None:
    api = either.api
    unknown = either.call("alice", "GET", f"/slurm/{api}/job/999999")
    partition = either.call("alice", "POST", f"/slurm/{api}/job/submit", either.submission(api, "alice", SCRIPT, partition="nope"))
    broken = either.ask("POST", f"/slurm/{api}/job/submit", headers=[JSON, ("Authorization", f"Bearer {either.token('alice')}")], body=b'{"job": ')
    nonsense = either.call("alice", "GET", f"/slurm/{api}/nonsense")
    assert [answer.status for answer in (unknown, partition, broken, nonsense)] == [404, 400, 400, 404]
    assert all(answer.json["hint"] and int(answer.headers["Content-Length"]) == len(answer.body) for answer in (unknown, partition, broken, nonsense))
    assert [answer.headers.get_content_type() for answer in (partition, broken, nonsense)] == [
        "application/json",
        "application/problem+json",
        "application/problem+json",
    ]


# Web pages.


def preflight(site: Site, origin: str, path: str = "/slurm/v0.0.36/job/submit") -> Answer:
    asks = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")]
    return site.ask("OPTIONS", path, headers=[("Origin", origin), *asks])


def test_a_page_asks_first_and_then_reads_its_answers(open_to_pages: Chain) -> None:
    site = open_to_pages.site
    open_to_pages.witness.taken()
    allowed = preflight(site, PAGE)
    assert (allowed.status, allowed.body, allowed.headers["Access-Control-Allow-Origin"], open_to_pages.witness.taken()) == (204, b"", PAGE, [])
    assert "Idempotency-Key" in allowed.headers["Access-Control-Allow-Headers"]
    known = [("Authorization", f"Bearer {site.token('alice')}"), ("Origin", PAGE)]
    for method, path, status in (("GET", "/slurm/v0.0.38/jobs", 200), ("GET", "/slurm/v0.0.38/jobs", 200), ("GET", "/nowhere", 404)):
        answer = site.ask(method, path, headers=known)
        assert (answer.status, answer.headers.get_all("Access-Control-Allow-Origin")) == (status, [PAGE])
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://portal.example.org.evil.example", "http://portal.example.org", "null", "https://PORTAL.example.org"])
def test_any_other_page_is_told_nothing(open_to_pages: Chain, origin: str) -> None:
    site = open_to_pages.site
    open_to_pages.witness.taken()
    refused = preflight(site, origin)
    assert (refused.status, "cors.origins" in refused.json["hint"], open_to_pages.witness.taken()) == (403, True, [])
    read = site.ask("GET", "/slurm/v0.0.38/ping", headers=[("Authorization", f"Bearer {site.token('alice')}"), ("Origin", origin)])
    assert (refused.headers["Access-Control-Allow-Origin"], read.headers["Access-Control-Allow-Origin"]) == (None, None)


def test_where_no_page_is_listed_options_is_just_answered(site: Site) -> None:
    answer = preflight(site, PAGE)
    assert (answer.status, answer.headers["Allow"], answer.headers["Access-Control-Allow-Origin"]) == (
        204,
        "GET, HEAD, POST, DELETE, OPTIONS",
        None,
    )

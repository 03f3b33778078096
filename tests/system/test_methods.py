"""Method by method through nginx and the gateway, and bodies in every form that a client may send them in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.system.support import Site

SUBMIT = "/slurm/v0.0.36/job/submit"


def curl(site: Site, *arguments: str, stdin: bytes | None = None) -> tuple[int, bytes]:
    """Run curl as a scientist would; return the status and the body."""
    command = [
        "curl",
        "-sS",
        "--cacert",
        site.told["ca_file"],
        "-H",
        f"Authorization: Bearer {site.token('alice')}",
        "-w",
        "\n%{http_code}",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, input=stdin)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def job_file(site: Site, folder: Path, script: str = "#!/bin/sh\ntrue\n") -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps({"job": site.job("alice", hold=True), "script": script}))
    return path


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_that_slurmrestd_does_not_have_is_refused(site: Site, method: str) -> None:
    answer = site.ask(method, "/slurm/v0.0.36/ping", headers=[("Authorization", f"Bearer {site.token('alice')}")])
    assert answer.status in {400, 405}
    assert answer.status == 400 or answer.headers["Allow"] in {"GET, HEAD, POST, DELETE, OPTIONS", "GET, POST, DELETE", None}


def test_a_method_that_the_path_does_not_take_is_refused_in_slurms_words(site: Site) -> None:
    site.token("alice", younger_than=200)  # the rules ask for a young second factor for what is no read and no job
    answer = site.call("alice", "DELETE", "/slurm/v0.0.36/ping")
    assert (answer.status, answer.reason, "Requested REST method is not defined at URL" in answer.json["detail"]) == (405, "slurm_refused", True)


def test_a_body_with_a_length_is_submitted(site: Site, tmp_path: Path) -> None:
    status, body = curl(site, site.told["url"] + SUBMIT, "-H", "Content-Type: application/json", "-d", f"@{job_file(site, tmp_path)}")
    assert (status, json.loads(body)["job_id"] > 0) == (200, True)


def test_a_chunked_body_is_submitted(site: Site, tmp_path: Path) -> None:
    status, body = curl(
        site,
        site.told["url"] + SUBMIT,
        "--http1.1",
        *("-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked", "-X", "POST", "-T", "-"),
        stdin=job_file(site, tmp_path).read_bytes(),
    )
    assert (status, json.loads(body)["job_id"] > 0) == (200, True)


def test_a_body_announced_by_expect_is_submitted(site: Site, tmp_path: Path) -> None:
    script = "#!/bin/sh\n" + "# padding\n" * 200_000
    status, body = curl(
        site,
        site.told["url"] + SUBMIT,
        *("-H", "Content-Type: application/json", "-H", "Expect: 100-continue"),
        "-d",
        f"@{job_file(site, tmp_path, script)}",
    )
    assert (status, json.loads(body)["job_id"] > 0) == (200, True)


def test_a_submission_over_http_2_works(site: Site, tmp_path: Path) -> None:
    job = ["-H", "Content-Type: application/json", "-d", f"@{job_file(site, tmp_path)}"]
    status, body = curl(site, "--http2", "-i", site.told["url"] + SUBMIT, *job)
    assert status == 200
    assert body.startswith(b"HTTP/2 200")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_body_above_the_limit_is_refused_with_a_reason(site: Site, tmp_path: Path, version: str) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b'{"script": "' + b"x" * (50 * 1024 * 1024) + b'"}')
    status, body = curl(site, version, site.told["url"] + SUBMIT, "-H", "Content-Type: application/json", "-d", f"@{large}")
    assert (status, json.loads(body)["reason"]) == (413, "too_large")


def test_the_client_of_old_works_unchanged(site: Site, tmp_path: Path) -> None:
    """What the seed sent: both of Slurm's headers and no other, with the gateway's token in the place of Slurm's."""
    headers = ["-H", "X-SLURM-USER-NAME: alice", "-H", f"X-SLURM-USER-TOKEN: {site.token('alice')}"]
    command = ["curl", "-sS", "--cacert", site.told["ca_file"], *headers]
    submitted = subprocess.run(
        [*command, "-X", "POST", site.told["url"] + SUBMIT, "-H", "Content-Type: application/json", "-d", f"@{job_file(site, tmp_path)}"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    job_id = json.loads(submitted.stdout)["job_id"]
    shown = subprocess.run([*command, f"{site.told['url']}/slurm/v0.0.36/job/{job_id}"], capture_output=True, check=True, timeout=60)
    assert json.loads(shown.stdout)["jobs"][0]["user_id"] == site.uid("alice")

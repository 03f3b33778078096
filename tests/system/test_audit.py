"""The audit trail of a real site: who is behind a job, and one sound chain through kills, rotation and several writers at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.system.support import Site, free_port, wait_for
from tests.system.test_minting import as_toml, private_copy

TRUE = "#!/bin/sh\ntrue\n"


def trail(site: Site) -> Path:
    return site.state / "gateway" / "audit.jsonl"


def verify(site: Site, *words: str) -> tuple[int, dict[str, Any]]:
    ran = site.gateway("audit", "verify", "--json", *words, check=False)
    return ran.returncode, json.loads(ran.stdout)


def sound(site: Site) -> dict[str, Any]:
    code, told = verify(site)
    assert (code, told["faults"]) == (0, []), told
    return told


def test_who_started_a_job_from_where_and_with_which_factors_is_one_command(site: Site) -> None:
    job_id = site.submit("alice", TRUE)
    site.call("alice", "DELETE", f"/slurm/v0.0.36/job/{job_id}")
    told = json.loads(site.gateway("audit", "job", str(job_id), "--json").stdout)
    (submitted,) = told["submitted"]
    (signed_in,) = submitted["origin"]
    assert (submitted["request"]["user"], signed_in["event"], signed_in["address"], signed_in["factor"]) == ("alice", "sign_in", "127.0.0.1", "totp")
    assert submitted["request"]["session"] == signed_in["session"]
    assert [act["request"]["method"] for act in told["touched"]] == ["DELETE"]
    text = site.gateway("audit", "job", str(job_id)).stdout
    assert f"submitted by alice at {submitted['request']['time']} from 127.0.0.1" in text
    assert "with password and totp" in text


def test_the_trail_is_sound_and_a_changed_copy_is_not(site: Site, tmp_path: Path) -> None:
    site.submit("alice", TRUE)
    sound(site)
    copy = tmp_path / "copy.jsonl"
    shutil.copyfile(trail(site), copy)
    key = tmp_path / "key.pem"
    key.write_text(site.gateway("audit", "key").stdout)
    words = [*site.told["command"], "audit", "verify", "--public-key", str(key), str(copy)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    copy.write_bytes(copy.read_bytes().replace(b'"user":"alice"', b'"user":"mallo"', 1))
    changed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (changed.returncode, "changed_line" in changed.stdout) == (1, True)


def test_a_gateway_that_was_killed_and_one_that_comes_after_it_write_one_chain(site: Site) -> None:
    site.submit("alice", TRUE)
    before = sound(site)
    os.kill(json.loads((site.state / "demo.json").read_text())["pids"]["gateway"], signal.SIGKILL)
    site.demo("restart", "gateway")
    site.submit("alice", TRUE)
    after = sound(site)
    assert (after["trails"], after["last_seq"] > before["last_seq"]) == (before["trails"], True)


def test_moving_the_file_away_as_logrotate_does_keeps_the_chain_while_it_is_written(site: Site) -> None:
    site.token("alice")
    threads = [threading.Thread(target=site.submit, args=("alice", TRUE)) for _ in range(4)]
    for thread in threads:
        thread.start()
    moved = trail(site).with_name(f"audit.jsonl.{time.time_ns()}")
    trail(site).rename(moved)
    site.fresh_code("bob")  # commands write to the trail too
    for thread in threads:
        thread.join()
    site.submit("alice", TRUE)
    told = sound(site)
    assert [Path(file["file"]).name for file in told["files"]][-2:] == [moved.name, "audit.jsonl"]


def test_rotating_by_command_keeps_the_chain_and_the_owner(site: Site) -> None:
    job_id = site.submit("alice", TRUE)
    name = Path(site.gateway("audit", "rotate").stdout.strip())
    site.submit("alice", TRUE)
    told = sound(site)
    assert str(name) in [file["file"] for file in told["files"]]
    assert {path.stat().st_uid for path in (name, trail(site), trail(site).with_name("audit.jsonl.head"))} == {trail(site).parent.stat().st_uid}
    assert "submitted by alice" in site.gateway("audit", "job", str(job_id)).stdout


def test_what_is_shown_is_what_was_asked_for(site: Site) -> None:
    site.token("alice")
    lines = [
        json.loads(line)
        for line in site.gateway("audit", "show", "--user", "alice", "--event", "sign_in", "--since", "1h", "--json").stdout.splitlines()
    ]
    assert {(line["user"], line["event"]) for line in lines} == {("alice", "sign_in")}


@contextlib.contextmanager
def three_workers(site: Site, folder: Path) -> Iterator[tuple[int, list[int]]]:
    """Run a gateway of three workers on the site's store and slurmrestd, with a trail in ``folder``; give its port and their pids."""
    tree, port = tomllib.loads(Path(site.told["config"]).read_text()), free_port()
    tree["server"], tree["audit"] = {"listen": f"127.0.0.1:{port}", "workers": 3}, {"file": str(folder / "audit.jsonl")}
    key = private_copy(site.told["jwt_key"], folder)
    tree["clusters"] = {tree["slurm"]["default_cluster"]: {"url": site.told["slurmrestd"], "jwt_key_file": str(key)}}
    (folder / "gateway.toml").write_text(as_toml(tree))
    with subprocess.Popen([*site.told["command"], "--config", str(folder / "gateway.toml"), "serve"], stderr=subprocess.DEVNULL) as gateway:
        try:
            children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
            wait_for(lambda: len(children.read_text().split()) == 3 and _listens(port), 20, "the gateway's start")
            yield port, [int(pid) for pid in children.read_text().split()]
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_several_workers_of_which_one_is_killed_write_one_chain(site: Site, tmp_path: Path) -> None:
    token, statuses = site.token("alice"), []

    def cancel(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("DELETE", "/slurm/v0.0.36/job/1", headers={"Authorization": f"Bearer {token}"})
            statuses.append(connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            pass  # it was with the worker that was killed
        finally:
            connection.close()

    with three_workers(site, tmp_path) as (port, workers), ThreadPoolExecutor(8) as at_once:
        turns = at_once.map(cancel, [port] * 60)
        wait_for(lambda: len(statuses) > 10, 30, "some answers")
        os.kill(workers[0], signal.SIGKILL)
        list(turns)
    (tmp_path / "key.pem").write_text(site.gateway("audit", "key").stdout)
    words = [*site.told["command"], "audit", "verify", "--json", "--public-key", str(tmp_path / "key.pem"), str(tmp_path / "audit.jsonl")]
    told = json.loads(subprocess.run(words, capture_output=True, check=False).stdout)
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (told["sound"], told["faults"], told["last_seq"]) == (True, [], len(lines))
    assert len([line for line in lines if line["event"] in {"request", "refusal"}]) >= len(statuses) > 40

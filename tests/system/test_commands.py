"""The everyday commands on real sites of both Slurms, as a script uses them: no terminal, both streams pipes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.system.people import Person, signed_in
from tests.system.second_gateway import second_gateway
from tests.system.support import Site, free_port, wait_for

NAP = "#!/bin/sh\nsleep 1\n"
THREE = "#!/bin/sh\nexit 3\n"


@pytest.fixture
def alice(either: Site, tmp_path: Path) -> Person:
    return signed_in(either, "alice", tmp_path)


@pytest.fixture
def held(alice: Person) -> Iterator[int]:
    """A job that waits until the test is over."""
    job = alice.site.submit("alice", NAP, name="held", hold=True)
    yield job
    alice.run("cancel", job)


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# Lists.


def test_my_jobs_are_listed_and_others_not(alice: Person, held: int) -> None:
    others = alice.site.submit("bob", NAP, name="bobs", hold=True)
    mine = [line.split()[0] for line in alice.run("jobs").stdout.splitlines()]
    everybodys = [line.split() for line in alice.run("jobs", "--all").stdout.splitlines()]
    bobs = [line.split()[0] for line in alice.run("jobs", "--user", "bob").stdout.splitlines()]
    alice.site.call("bob", "DELETE", f"/slurm/{alice.site.api}/job/{others}")
    assert (str(held) in mine, str(others) in mine) == (True, False)
    assert {(words[0], words[2]) for words in everybodys} >= {(str(held), "alice"), (str(others), "bob")}
    assert (str(held) in bobs, str(others) in bobs) == (False, True)


def test_a_name_is_written_in_full_where_nobody_looks(alice: Person) -> None:
    job = alice.site.submit("alice", NAP, name="x" * 150, hold=True)
    assert "x" * 150 in alice.run("jobs", "--state", "PD", "--partition", "main").stdout
    assert alice.run("cancel", job).returncode == 0


def test_jobs_are_chosen_by_state_and_partition(alice: Person, held: int) -> None:
    def ids(*words: str) -> list[int]:
        return [job["job_id"] for job in json.loads(alice.run("jobs", "--json", *words).stdout)["jobs"]]

    assert held in ids("--state", "pending")
    assert held not in ids("--state", "R,CD")
    assert held in ids("--partition", "main,other")
    assert held not in ids("--partition", "other")


def test_a_state_that_is_none_is_refused_with_those_that_there_are(alice: Person) -> None:
    for command in ("jobs", "nodes"):
        code, out, err = told(alice.run(command, "--state", "RUNING"))
        assert (code, out, bool(re.match(r"hint: (Did you mean [A-Z_]+\? )?The states are ", err.splitlines()[1]))) == (1, "", True)


def test_a_job_that_has_failed_says_how(alice: Person) -> None:
    job = alice.site.submit("alice", THREE, name="three")
    wait_for(lambda: alice.site.state_of("alice", job) == "FAILED", 60, "the end of the job")
    found = json.loads(alice.run("job", job, "--json").stdout)["jobs"][0]
    assert (found["job_id"], found["state"], found["exit_code"], found["user"], found["nodes"]) == (job, "FAILED", 3, "alice", "demo")
    assert found["submitted_at"] <= found["started_at"] <= found["ended_at"]
    assert re.search(r"^Exit code +3$", alice.run("job", job).stdout, re.MULTILINE)


def test_an_array_is_its_tasks(alice: Person) -> None:
    job = alice.site.submit("alice", NAP, name="sweep", array="1-4%2", hold=True)
    assert alice.run("job", job).stdout.splitlines()[0].split() == ["Job", f"{job}_[1-4%2]"]
    assert told(alice.run("cancel", f"{job}_2")) == (0, f"{job}_2: cancelled\n", "")
    code, _, err = told(alice.run("job", f"{job}_2"))
    assert (code, f"'slurm-gateway job {job}' shows it." in err) == (1, True)
    assert json.loads(alice.run("job", f"{job}_3", "--json").stdout)["jobs"][0]["array_job_id"] == job
    assert told(alice.run("cancel", job)) == (0, f"{job}: cancelled\n", "")


def test_it_is_said_where_the_output_is(alice: Person, held: int) -> None:
    code, out, err = told(alice.run("output", held))
    assert (code, out) == (1, "")
    assert f"It is on the cluster, in {alice.site.home('alice')}/slurm-{held}.out: fetch it" in err


def test_the_cluster_is_told_for_programs(alice: Person) -> None:
    (controller,) = json.loads(alice.run("ping", "--json").stdout)["controllers"]
    (node,) = json.loads(alice.run("nodes", "--json").stdout)["nodes"]
    (partition,) = json.loads(alice.run("partitions", "--json").stdout)["partitions"]
    assert (controller["host"], controller["role"], controller["up"]) == ("demo", "primary", True)
    assert (node["name"], node["partitions"], node["cpus"] > 0) == ("demo", ["main"], True)
    assert (partition["name"], partition["states"], partition["total_nodes"], partition["time_limit"]) == ("main", ["UP"], 1, None)


# Cancelling.


def test_somebody_elses_job_is_not_cancelled_whatever_slurm_says(alice: Person) -> None:
    job = alice.site.submit("bob", NAP, name="bobs", hold=True)
    code, out, err = told(alice.run("cancel", job))
    assert (code, out, err.startswith(f"{job}: was not cancelled: "), "\nhint: " in err) == (1, "", True, True)
    assert alice.site.state_of("bob", job) == "PENDING"
    alice.site.call("bob", "DELETE", f"/slurm/{alice.site.api}/job/{job}")


def test_an_unknown_job_is_not_cancelled_whatever_slurm_says(alice: Person) -> None:
    code, out, err = told(alice.run("cancel", 9999999))
    assert (code, out, err.startswith("9999999: Slurm knows no job 9999999"), "\nhint: " in err) == (1, "", True, True)


def test_what_is_over_is_said_to_be(alice: Person, held: int) -> None:
    assert told(alice.run("cancel", held)) == (0, f"{held}: cancelled\n", "")
    assert told(alice.run("cancel", held)) == (0, f"{held}: had ended already (CANCELLED)\n", "")


def test_all_of_mine_are_cancelled_and_nobody_elses(either: Site, tmp_path: Path) -> None:
    # Not alice, nor bob: what cancels all of somebody's jobs would cancel other tests'.
    adele = signed_in(either, "adele", tmp_path)
    jobs = [either.submit("adele", NAP, name="hers", hold=True) for _ in range(2)]
    others = either.submit("bob", NAP, name="bobs", hold=True)
    assert adele.run("cancel", "--all").returncode == 1
    dry = adele.run("cancel", "--state", "PD", "--dry-run").stdout
    assert {f"{job}: would be cancelled (PENDING)" for job in jobs} <= set(dry.splitlines())
    done = adele.run("cancel", "--all", "--yes").stdout
    assert {f"{job}: cancelled" for job in jobs} <= set(done.splitlines())
    assert either.state_of("bob", others) == "PENDING"
    either.call("bob", "DELETE", f"/slurm/{either.api}/job/{others}")


# Anything else.


def test_an_answer_is_printed_as_it_came(alice: Person) -> None:
    path = "/slurm/latest/partitions"
    code, out, err = told(alice.run("api", "GET", path))
    assert (code, err) == (0, "")
    assert out.encode() == alice.site.call("alice", "GET", path).body


def test_a_job_is_submitted_by_hand(alice: Person) -> None:
    body = json.dumps(alice.site.submission(alice.site.api, "alice", NAP, name="by hand"))
    code, out, _ = told(alice.run("api", "POST", f"/slurm/{alice.site.api}/job/submit", "-d", "-", typed=body))
    assert (code, alice.run("cancel", json.loads(out)["job_id"]).returncode) == (0, 0)


def test_a_refusal_is_printed_and_told(alice: Person) -> None:
    code, out, err = told(alice.run("api", "GET", "/slurm/latest/job/9999999", "--include"))
    head, _, body = out.partition("\n\n")
    assert (code, head.splitlines()[0]) == (1, "HTTP/1.1 404 Not Found")
    assert json.loads(body)["errors"][0]["error_number"] == 2017
    assert [line.partition(":")[0] for line in err.splitlines()] == ["slurm-gateway", "hint"]


def test_a_list_is_a_table_for_other_programs(alice: Person, held: int) -> None:
    out = alice.run("api", "GET", "/slurm/latest/jobs?fields=job_id,name&user=alice&state=PD", "-H", "Accept: text/csv").stdout
    assert f"{held},held" in out.splitlines()


# Lists that go on.


class Lines:
    """What a command writes to standard output, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(iter(self._process.stdout.readline, ""))

    def states(self, job: int) -> list[str]:
        return [change["job"]["state"] for change in map(json.loads, list(self.lines)) if change["job"]["job_id"] == job]

    def interrupted(self) -> tuple[int, str]:
        """Press Ctrl-C, and return the exit code and what was said."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(30)
        self._reader.join(30)
        assert self._process.stderr is not None
        return code, self._process.stderr.read()


@contextmanager
def watching(alice: Person, **environment: str) -> Iterator[Lines]:
    """Watch alice's jobs until the block ends."""
    with alice.start("jobs", "--watch", "--json", **environment) as process:
        try:
            yield Lines(process)
        finally:
            process.kill()


def test_each_change_of_a_job_is_a_line(alice: Person) -> None:
    with watching(alice) as watch:
        before = alice.site.submit("alice", NAP, name="before")
        job = alice.site.submit("alice", THREE, name="watched", dependency=f"afterany:{before}")
        wait_for(lambda: "FAILED" in watch.states(job), 60, "the end of the job")
        assert watch.states(job)[0] == "PENDING"
        assert watch.interrupted() == (0, "")


def test_a_watch_outlives_the_gateway(site: Site, tmp_path: Path) -> None:
    alice = signed_in(site, "alice", tmp_path)
    port = free_port()

    def on_loopback(text: str) -> str:
        return re.sub(r"(?m)^listen = .*$", f'listen = "127.0.0.1:{port}"', text)

    environment = {"SLURM_GATEWAY_URL": f"http://127.0.0.1:{port}", "SLURM_GATEWAY_TOKEN": site.token("alice")}
    with ExitStack() as stack:
        with second_gateway(site, on_loopback):
            watch = stack.enter_context(watching(alice, **environment))
            first = site.submit("alice", NAP, name="first", hold=True)
            wait_for(lambda: watch.states(first), 30, "the first job on the list")
        second = site.submit("alice", NAP, name="second", hold=True)
        with second_gateway(site, on_loopback):
            wait_for(lambda: watch.states(second), 60, "the second job on the list")
            assert watch.states(first) == ["PENDING"]
            code, said = watch.interrupted()
        assert (code, "trying again in " in said) == (0, True)
    assert alice.run("cancel", first, second).returncode == 0

"""``submit`` and ``wait`` on both Slurm generations: what people type, what they are told, and what becomes of their jobs."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client.sites import Site as Known
from gateway.client.sites import Sites
from gateway.secret import Secret
from tests.system.people import Person, signed_in
from tests.system.relay import Relay
from tests.system.slurm_commands import inside
from tests.system.support import ROOT, Site, wait_for
from tests.system.tmux import masked, terminal

EXAMPLES = ROOT / "deploy" / "examples" / "jobs"


@pytest.fixture(scope="module")
def bob(either: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody on either site, whose jobs run in their home there."""
    yield signed_in(either, "bob", tmp_path_factory.mktemp("bob"))
    inside(either, "bob", "scancel", "--user=bob", check=False)


def write(bob: Person, name: str, text: str) -> Path:
    file = bob.folder / name
    file.write_text(text)
    return file


def script(bob: Person, name: str, *lines: str, options: str = "") -> Path:
    return write(bob, name, "\n".join(["#!/bin/sh", f"#SBATCH --chdir={bob.site.home('bob')} {options}", *lines, ""]))


def test_a_batch_script_is_submitted_and_waited_for_to_its_end(bob: Person) -> None:
    done = bob.run("submit", script(bob, "hello.sh", "echo hello"), "--wait")
    first, last = done.stdout.splitlines()
    number = first.split()[2]
    assert (done.returncode, first) == (0, f"Submitted job {number} (hello.sh)")
    assert last.startswith(f"Job {number} (hello.sh) COMPLETED")
    assert last.endswith("exit code 0")
    wait_for((bob.site.home("bob") / f"slurm-{number}.out").exists, 5, "the output")
    assert (bob.site.home("bob") / f"slurm-{number}.out").read_text() == "hello\n"


@pytest.mark.parametrize(("ends", "code"), [("exit 3", 3), ("kill -TERM $$", 143), ("exit 0", 0)])
def test_the_exit_code_is_the_jobs(bob: Person, ends: str, code: int) -> None:
    done = bob.run("submit", script(bob, "ends.sh", ends), "--wait", "--json")
    submitted, ended = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, ended["exit_code"], submitted["name"]) == (code, code, "ends.sh")
    assert bob.run("wait", submitted["job_id"]).returncode == code


def test_a_job_that_is_cancelled_is_no_success(bob: Person) -> None:
    waiting = bob.start("submit", script(bob, "long.sh", "sleep 600", options="--hold"), "--wait", "--json")
    assert waiting.stdout is not None
    number = json.loads(waiting.stdout.readline())["job_id"]
    inside(bob.site, "bob", "scancel", str(number))
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, json.loads(out)["state"]) == (1, "CANCELLED")


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir()))
def test_an_example_of_each_version_runs_on_either_site(bob: Person, example: str) -> None:
    done = bob.run("submit", EXAMPLES / example, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    submitted, ended = map(json.loads, done.stdout.splitlines())
    assert ended["state"] == "COMPLETED"
    name = submitted["name"]
    output = Path(f"/tmp/{name}-{submitted['job_id']}.out")
    try:
        assert output.read_text() == f"hello from {name}\n"
    finally:
        output.unlink(missing_ok=True)


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("job.v*.json")))
def test_an_example_runs_in_the_version_that_it_is_for(bob: Person, example: str) -> None:
    version = example.removeprefix("job.").removesuffix(".json")
    if version not in bob.site.told["api_versions"]:
        assert bob.site.call("bob", "GET", f"/slurm/{version}/ping").status in {404, 410}
        return
    answer = bob.site.call("bob", "POST", f"/slurm/{version}/job/submit", json.loads((EXAMPLES / example).read_text()))
    assert (answer.status, answer.headers.get("X-Gateway-Repaired")) == (200, None)
    assert bob.run("wait", answer.json["job_id"]).returncode == 0
    Path(f"/tmp/{json.loads((EXAMPLES / example).read_text())['job']['name']}-{answer.json['job_id']}.out").unlink()


def test_what_was_repaired_and_what_was_set_is_said_and_done(bob: Person) -> None:
    home = bob.site.home("bob")
    file = write(bob, "seed.json", json.dumps({"jobs": {"name": "seed"}, "script": "#!/bin/sh\necho $A > set.txt\n"}))
    done = bob.run("submit", file, "--set", f"current_working_directory={home}", "--set", "environment.A=two words", "--wait")
    assert done.returncode == 0, done.stderr
    assert "Brought up to the cluster's version: 'jobs' was one job, so it is called 'job'." in done.stderr
    assert (home / "set.txt").read_text() == "two words\n"


def test_a_job_from_standard_input_is_held_where_that_is_asked_for(bob: Person) -> None:
    text = script(bob, "held.sh", "id").read_text()
    done = bob.run("submit", "-", "--hold", "--json", typed=text)
    number = json.loads(done.stdout)["job_id"]
    waiting = bob.run("wait", number, "--timeout", "2s")
    assert (waiting.returncode, f"Job {number} (sbatch) PENDING (JobHeldUser)" in waiting.stderr) == (124, True)
    assert f"hint: Go on waiting: slurm-gateway wait {number}." in waiting.stderr
    inside(bob.site, "bob", "scancel", str(number))


def test_ctrl_c_stops_the_waiting_and_not_the_job(bob: Person) -> None:
    waiting = bob.start("submit", script(bob, "stays.sh", "sleep 600"), "--wait", "--json")
    assert waiting.stdout is not None
    number = json.loads(waiting.stdout.readline())["job_id"]
    wait_for(lambda: bob.site.state_of("bob", number) == "RUNNING", 20, "the start of the job")
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=20)
    assert (waiting.returncode, f"Job {number} goes on." in said) == (130, True)
    assert bob.site.state_of("bob", number) == "RUNNING"
    inside(bob.site, "bob", "scancel", str(number))


def test_several_jobs_are_waited_for_and_each_end_is_told(bob: Person) -> None:
    numbers = [
        json.loads(bob.run("submit", script(bob, f"end-{code}.sh", f"sleep {seconds}; exit {code}"), "--json").stdout)["job_id"]
        for code, seconds in ((2, 6), (4, 1))
    ]
    done = bob.run("wait", *numbers, "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, [one["exit_code"] for one in told]) == (4, [4, 2])


def test_the_tasks_of_an_array_are_waited_for(bob: Person) -> None:
    array = script(bob, "array.sh", "exit $SLURM_ARRAY_TASK_ID", options="--array=0,3,1")
    done = bob.run("submit", array, "--wait")
    assert (done.returncode, done.stdout.splitlines()[1].endswith("exit code 3, 3 tasks")) == (3, True), done.stdout


def test_one_task_of_an_array_is_waited_for_alone(bob: Person) -> None:
    array = script(bob, "task.sh", "[ $SLURM_ARRAY_TASK_ID = 0 ] && sleep 600; exit $SLURM_ARRAY_TASK_ID", options="--array=0,3")
    number = json.loads(bob.run("submit", array, "--json").stdout)["job_id"]
    done = bob.run("wait", f"{number}_3", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (
        3,
        {"job_id": number, "array_task": 3, "name": "task.sh", "state": "FAILED", "exit_code": 3},
    )
    assert bob.run("cancel", f"{number}_0").returncode == 0
    none = bob.run("wait", f"{number}_7")
    assert (none.returncode, none.stderr) == (
        1,
        f"slurm-gateway: Slurm shows no job {number}_7\nhint: 'slurm-gateway job {number}' shows what there is of it.\n",
    )


def test_a_job_that_nobody_knows_is_an_error(bob: Person) -> None:
    done = bob.run("wait", 4000000)
    assert (done.returncode, done.stdout, "hint: " in done.stderr) == (1, "", True)


def test_what_slurm_refuses_is_said_with_a_hint(bob: Person) -> None:
    done = bob.run("submit", script(bob, "none.sh", "id", options="-p none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "hint: Correct 'partition' of the job." in done.stderr


def test_a_value_of_the_wrong_type_is_refused_at_once_whatever_the_generation_says_of_it(bob: Person) -> None:
    job = {"job": {"tasks": "many", "current_working_directory": "/tmp", "environment": {"PATH": "/bin"}}, "script": "#!/bin/sh\ntrue\n"}
    run = bob.run("submit", "-", typed=json.dumps(job), timeout=20)
    assert (run.returncode, run.stdout) == (1, "")
    assert "\nhint: " in run.stderr


def test_a_terminal_shows_how_a_job_stands_on_one_line_until_it_ends(bob: Person) -> None:
    file = script(bob, "shown.sh", "sleep 4; exit 3")
    with terminal(bob) as screen:
        screen.start("submit", file.name, "--wait")  # a command that is longer than a line would be shown as two
        shown = screen.wait(r"RUNNING on demo 0:0[1-9]$")
        number = shown.split("Submitted job ")[1].split()[0]
        assert shown.splitlines()[-1].startswith(f"Job {number} (shown.sh) RUNNING on demo 0:0")
        code, shown = screen.ended()
    assert code == 3
    assert (
        masked(shown, JOB=rf"\b{number}\b", LASTED=r"after 0:\d\d").splitlines()
        == masked(
            "This machine's environment does not travel: the job has PATH=/usr/local/bin:/usr\n"
            "/bin:/bin. --export=NONE gives it that of a login on its node.\n"
            f"Submitted job {number} (shown.sh)\n"
            f"Job {number} (shown.sh) FAILED after 0:04, exit code 3",
            JOB=rf"\b{number}\b",
            LASTED=r"after 0:\d\d",
        ).splitlines()
    )


def test_ctrl_c_on_a_terminal_leaves_no_half_line(bob: Person) -> None:
    with terminal(bob) as screen:
        screen.start("submit", script(bob, "left.sh", "sleep 600", options="--hold"), "--wait")
        shown = screen.wait(r"PENDING \(JobHeldUser\) 0:0[1-9]$")
        number = shown.split("Submitted job ")[1].split()[0]
        screen.press("C-c")
        code, shown = screen.ended()
    assert (code, "PENDING" in shown, f"Job {number} goes on." in shown) == (130, False, True)
    inside(bob.site, "bob", "scancel", number)


def test_a_network_that_is_lost_is_waited_for_and_the_job_is_submitted_once(bob: Person, tmp_path: Path) -> None:
    with Relay(bob.site) as network:
        Sites(tmp_path / "slurm-gateway").keep(
            "default", Known(url=network.url, ca=bob.site.told["ca_file"], username="bob"), Secret(bob.site.token("bob").encode())
        )
        far = Person(site=bob.site, user="bob", folder=tmp_path)
        name = f"far-{network.url.rpartition(':')[2]}"
        waiting = far.start("submit", script(far, "far.sh", "sleep 8; exit 5", options=f"-J {name}"), "--wait", "--json")
        assert waiting.stdout is not None
        number = json.loads(waiting.stdout.readline())["job_id"]
        wait_for(lambda: bob.site.state_of("bob", number) == "RUNNING", 20, "the start of the job")
        network.cut()
        network.mend()
        network.cut()
        wait_for(lambda: bob.site.state_of("bob", number) == "FAILED", 30, "the end of the job")
        network.mend()
        out, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, json.loads(out)["state"]) == (5, "FAILED")
    assert said.count("waiting until that is over") >= 1
    assert sum(job["name"] == name for job in bob.site.call("bob", "GET", "/slurm/latest/jobs").json["jobs"]) == 1


def test_a_submission_is_sent_until_it_is_answered(bob: Person, tmp_path: Path) -> None:
    with Relay(bob.site) as network:
        Sites(tmp_path / "slurm-gateway").keep(
            "default", Known(url=network.url, ca=bob.site.told["ca_file"], username="bob"), Secret(bob.site.token("bob").encode())
        )
        far = Person(site=bob.site, user="bob", folder=tmp_path)
        network.cut()
        refused = far.run("submit", script(far, "far.sh", "exit 0"), "--patience", "1")
        assert (refused.returncode, "cannot be reached" in refused.stderr, "hint: " in refused.stderr) == (1, True, True)
        sending = far.start("submit", script(far, "far.sh", "exit 0"), "--json")
        # It is up, has read the script and tries: no earlier would cutting the network have been of any use.
        assert sending.stderr is not None
        assert sending.stderr.readline()
        network.mend()
        out, _ = sending.communicate(timeout=60)
    assert (sending.returncode, json.loads(out)["name"]) == (0, "far.sh")

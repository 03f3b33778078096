"""Batch scripts: what each #SBATCH line asks for arrives in Slurm as when the site's own sbatch submits the same script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.system.people import Person, signed_in
from tests.system.slurm_commands import inside, sbatch, shown
from tests.system.support import Site, wait_for

# What differs between any two jobs, or says who has submitted one.
_OWN = {"JobId", "SubmitTime", "LastSchedEval", "AllocNode:Sid", "AccrueTime", "Command", "SubmitLine", "OOMKillStep"}


@pytest.fixture(scope="module")
def bob(either: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody on either site, whose jobs are gone in the end."""
    inside(either, "bob", "scancel", "--user=bob", check=False)
    yield signed_in(either, "bob", tmp_path_factory.mktemp("bob"))
    inside(either, "bob", "scancel", "--user=bob", check=False)


def submitted(bob: Person, script: str, *words: str) -> int:
    file = bob.folder / "job.sh"
    file.write_text(script)
    done = bob.run("submit", file, "--json", *words)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["job_id"])


def seen(bob: Person, job_id: int) -> dict[str, str]:
    """Return what Slurm tells of a job, without what differs between any two, and with its number taken out of the names of its files."""
    told = {name: value for name, value in shown(bob.site, "bob", job_id).items() if name not in _OWN}
    for name in told.keys() & {"StdOut", "StdErr", "ArrayJobId"}:
        told[name] = re.sub(rf"(?<![0-9A-Za-z]){job_id}(?![0-9A-Za-z])", "ID", told[name])
    if told.get("Comment", "").startswith("idempotency:"):
        del told["Comment"]
    if told.get("TresPerTask") == f"cpu={told.get('CPUs/Task')}":  # what 24.11's sbatch makes of -c beside what it is
        del told["TresPerTask"]
    return told


# What is told of now is one moment for the one, and another for the other.
_TIMES, _APART = {"StartTime", "EligibleTime"}, 30.0


def _seconds(told: str) -> float | None:
    try:
        return datetime.fromisoformat(told).timestamp()
    except ValueError:
        return None


CASES = {
    "nothing": "",
    "a name": "--job-name=hello",
    "a partition, an account, a quality of service": "-p main -A demo -q normal",
    "minutes": "-t 90",
    "a time with seconds": "--time=1:30",
    "days and hours": "--time 1-12",
    "no limit": "--time=UNLIMITED",
    "zero, which is no limit": "--time=0",
    "the least time": "--time=2:00:00 --time-min=0:10:00",
    "nodes": "-N1",
    "a range of nodes": "--nodes=1-3",
    "tasks": "-n 4",
    "tasks with CPUs": "--ntasks=2 --cpus-per-task=3",
    "tasks a node": "--ntasks-per-node=4",
    "nodes with tasks a node": "-N 1 --ntasks-per-node=4 -c2",
    "CPUs": "-c 5",
    "the fewest CPUs of a node": "--mincpus=4",
    "memory": "--mem=100M",
    "memory in kilobytes": "--mem=1500K",
    "all memory": "--mem=0",
    "memory for each CPU": "--mem-per-cpu=10",
    "a scratch disk": "--tmp=1G",
    "output files": "-o out-%j.txt -e /tmp/err-%j.txt -i /dev/zero",
    "no output": "--output=none",
    "a folder": "-D /tmp",
    "an array": "-a 1-3%2",
    "a dependency": "-d singleton --kill-on-invalid-dep=yes",
    "a dependency that may stay": "-d singleton --kill-on-invalid-dep=no",
    "a node": "-w demo",
    "a node for oneself": "--exclusive",
    "a node for one user": "--exclusive=user",
    "shared nodes": "-s",
    "no second try": "--no-requeue",
    "a second try": "--requeue",
    "how files are opened": "--open-mode=append",
    "mail": "--mail-type=END,FAIL,TIME_LIMIT_80 --mail-user=bob@example.org",
    "mail in two places": "--mail-type=END --mail-type=BEGIN",
    "a beginning": "--begin=2037-01-20T12:34:00",
    "a beginning in a while": "--begin=now+10hours",
    "a deadline": "--deadline=2037-01-20T12:34:00",
    "a comment": "--comment='two words' # and a remark",
    "a lower priority": "--nice=100",
    "a lower priority by default": "--nice",
    "threads": "--threads-per-core=1",
    "sockets": "--sockets-per-node=1",
    "sockets and threads": "-B 1:*:1",
    "cores": "--ntasks-per-core=1 --ntasks-per-socket=2 -n2",
    "specialized cores": "-S 1",
    "specialized threads": "--thread-spec=1",
    "a spread": "--spread-job",
    "as few nodes as possible": "--use-min-nodes -N1-2",
    "bound resources": "--gres-flags=enforce-binding",
    "free resources": "--gres-flags=disable-binding",
    "a distribution": "-m cyclic:block",
    "a frequency": "--cpu-freq=medium",
    "a container": "--container=/srv/image",
    "a sampling interval": "--acctg-freq=30",
    "a burst buffer": "--bb=none",
    "whether all nodes are waited for": "--wait-all-nodes=1",
    "a label": "--mcs-label=x",
    "a warning": "--signal=USR1@120",
    "a priority": "--priority=7",
    "a key of workload": "--wckey=x",
    "a hold beside letters": "-Hn2",
    "the beginning of a name": "--ntasks-per-n=2 --cpus-per-ta 2",
    "what sbatch itself does": "--parsable --quiet --ignore-pbs",
}


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in CASES.items()])
def test_a_job_is_what_sbatch_would_have_made_of_it(bob: Person, options: str) -> None:
    script = f"#!/bin/sh\n#SBATCH --chdir={bob.site.home('bob')} --job-name=compared\n#SBATCH {options}\nsleep 1\n"
    ours = submitted(bob, script, "--hold")
    theirs = sbatch(bob.site, "bob", script, "--hold")
    one, other = seen(bob, ours), seen(bob, theirs)
    for name in _TIMES & one.keys() & other.keys():
        if _seconds(one[name]) is not None and abs((_seconds(one[name]) or 0) - (_seconds(other[name]) or 0)) <= _APART:
            other[name] = one[name]
    assert {name: (one.get(name), other.get(name)) for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == {}


ELSEWHERE = {
    "--contiguous": "contiguous",
    "--overcommit": "overcommit",
    "--signal=B:USR1@90": "signal",
    "--switches=1@10:00": "switches",
    "--oom-kill-step=1": "oom-kill-step",
}


@pytest.mark.parametrize("options", ELSEWHERE)
def test_what_an_older_version_cannot_say_is_an_error_with_its_place_and_arrives_in_a_newer_one(bob: Person, options: str) -> None:
    file = bob.folder / "new.sh"
    file.write_text(f"#!/bin/sh\n#SBATCH --hold -J new --chdir={bob.site.home('bob')}\n#SBATCH {options}\nsleep 1\n")
    done = bob.run("submit", file, "--json")
    if bob.site.told["release"] == "bookworm":
        assert done.returncode == 1
        assert f"--{ELSEWHERE[options]}, {file}:3: the REST API of this cluster does not take it" in done.stderr
        assert "hint: Take it out of the script" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [warning for warning in told["warnings"] if "unknown" in warning.lower()] == []
    theirs = sbatch(bob.site, "bob", file.read_text())
    assert seen(bob, told["job_id"]) == seen(bob, theirs)


def test_the_script_sees_what_sbatch_would_have_told_it(bob: Person) -> None:
    home = bob.site.home("bob")
    script = f"#!/bin/bash\n#SBATCH -D {home} -n2 -c2 --ntasks-per-node=2 -o told-%j.txt\nenv | grep ^SLURM_ | sort\n"
    ours, theirs = submitted(bob, script), sbatch(bob.site, "bob", script)
    for job_id in (ours, theirs):
        wait_for(lambda job_id=job_id: bob.site.state_of("bob", job_id) == "COMPLETED", 30, "the end of the job")  # type: ignore[misc]
    one, other = (dict(line.partition("=")[::2] for line in (home / f"told-{job_id}.txt").read_text().splitlines()) for job_id in (ours, theirs))
    names = {"SLURM_SUBMIT_DIR", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_CPUS_PER_TASK", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_ON_NODE"}
    assert {name: one.get(name) for name in names} == {name: other.get(name) for name in names}
    # Of the machine that it was submitted from, which is another one here; SLURM_TRES_PER_TASK is how 24.11's sbatch writes -c.
    assert other.keys() - one.keys() <= {"SLURM_SUBMIT_HOST", "SLURM_PRIO_PROCESS", "SLURM_UMASK", "SLURM_TRES_PER_TASK"}


def test_the_script_has_the_variables_that_it_asks_for(bob: Person) -> None:
    home = bob.site.home("bob")
    file = bob.folder / "variables.sh"
    file.write_text(f"#!/bin/bash\n#SBATCH -D {home} -o variables.txt --export=A=1,HERE,GONE\necho $A $HERE ${{GONE-gone}}\n")
    (home / "variables.txt").unlink(missing_ok=True)
    done = bob.run("submit", file, "--wait", HERE="yes")
    assert (done.returncode, (home / "variables.txt").read_text()) == (0, "1 yes gone\n")
    assert "--export names GONE, which is not set here." in done.stderr

"""``submit`` and ``wait`` on both Slurm generations: what people type, what they are told, and what becomes of their jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.people import Person, signed_in
from tests.system.slurm_commands import inside
from tests.system.support import Site, wait_for

HELLO = "#!/bin/sh\necho hello\n"


@pytest.fixture(params=["site", "trixie"], scope="module")
def bob(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody on either site, whose jobs run in their home there."""
    site = request.getfixturevalue(request.param)
    assert isinstance(site, Site)
    return signed_in(site, "bob", tmp_path_factory.mktemp("bob"))


@pytest.fixture
def held(bob: Person) -> Iterator[None]:
    """Cancel what a test has left."""
    yield
    inside(bob.site, "bob", "scancel", "--user=bob", check=False)


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

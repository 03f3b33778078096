"""What the README says to somebody who is new works as it stands: the blocks of its first section, run one after the other in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.system.people import signed_in
from tests.system.support import ROOT, Site, wait_for
from tests.terminal import Terminal

USER = "bob"
HEADING = "## From nothing to a finished job in five minutes"
# What somebody writes their own into.
EXAMPLES = ("https://slurm.example.org", "/home/alice", "alice")
INSTALLING = re.compile(r"^pip install ", re.MULTILINE)


def section(heading: str = HEADING) -> str:
    """Return a section of the README, that for newcomers by default."""
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^##+ )", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no section {heading!r}"
    return found[1]


def blocks(heading: str = HEADING) -> list[tuple[str, str]]:
    """Return its blocks of code with their languages, but that which installs."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if not INSTALLING.search(text)]


def as_script(site: Site) -> str:
    """Return a shell's script that does what the blocks say, with our own in the place of the example's."""
    lines = []
    for number, (language, text) in enumerate(blocks()):
        lines.append(text if language == "sh" else f"cat > block-{number}.py <<'BLOCK'\n{text}BLOCK\npython block-{number}.py\n")
    script = "\n".join(lines)
    for example, own in zip(EXAMPLES, (site.told["url"], str(site.home(USER)), USER), strict=True):
        script = script.replace(example, own)
    return script


def test_every_block_of_it_works_when_it_is_pasted(either: Site, tmp_path: Path) -> None:
    site, code = either, either.fresh_code(USER)
    (tmp_path / "blocks").write_text(as_script(site))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        # The one thing that the demo's people have to be told, and others not: a CA that their system does not know.
        "SLURM_GATEWAY_CA": site.told["ca_file"],
        "CURL_CA_BUNDLE": site.told["ca_file"],
        "PYTHONPATH": str(ROOT),
    }
    output = site.home(USER) / "from-curl.out"
    output.unlink(missing_ok=True)
    with Terminal(["bash", "-eu", "blocks"], environment, cwd=tmp_path) as terminal:
        terminal.answer("User", USER)
        terminal.answer("Password", site.password(USER))
        terminal.answer("Code", code)
        assert terminal.ended(120) == 0, terminal.shown
    shown = terminal.shown
    assert "(hello) COMPLETED" in shown, shown
    assert f"Hello from {USER}" in (site.home(USER) / "hello.out").read_text()
    assert shown.count("Job Submitted: Job ID :") == 3
    assert re.search(r"\"name\": *\"hello\", *\"job_state\": *\W*COMPLETED", shown), shown  # curl's line
    assert re.search(r"\d+ hello COMPLETED\n", shown), shown  # Python's line
    wait_for(output.exists, 30, "the output of curl's job")


def test_the_block_for_those_who_write_programs_works_as_it_stands(either: Site, tmp_path: Path) -> None:
    person = signed_in(either, USER, tmp_path)
    [(language, text)] = blocks("### From Python")
    assert language == "python"
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.sh").write_text("#!/bin/sh\n#SBATCH --chdir=/tmp --output=/dev/null\ntrue\n")
    environment = person.environment | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", text], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    first, *events = done.stdout.splitlines()
    assert (first, events[0], events[-1]) == ("COMPLETED 0", "started None", "finished None")
    assert [event for event in events if event.endswith(" job.sh")] == ["submitting job.sh", "submitted job.sh", "ended job.sh"]


def test_the_commands_that_it_names_are_all_that_a_newcomer_needs() -> None:
    """Signing in, a job, the jobs, the queue; curl; Python."""
    text = "".join(text for _, text in blocks())
    for words in ("slurm-gateway login", "slurm-gateway submit", "slurm-gateway jobs", "slurm-gateway queue", "curl ", "Gateway"):
        assert words in text

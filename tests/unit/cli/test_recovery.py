from __future__ import annotations

import json
import re
from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.web import fakes


def test_a_program_gets_ten_new_codes(run: Run, config: Path) -> None:
    old = json.loads(run("--config", config, "enroll", "alice", "--json").out)["recovery_codes"]
    ran = run("--config", config, "recovery", "alice", "--json")
    new = json.loads(ran.out)["recovery_codes"]
    assert (ran.code, len(set(new)), set(old) & set(new)) == (0, 10, set())


def test_a_person_gets_them_in_lines(run: Run, config: Path) -> None:
    ran = run("--config", config, "recovery", "alice")
    assert (ran.code, len(re.findall(r"^  [a-z2-7]{4}(?:-[a-z2-7]{4}){3}$", ran.out, re.MULTILINE))) == (0, 10)


def test_it_is_in_the_trail_without_the_codes(run: Run, config: Path) -> None:
    new = json.loads(run("--config", config, "recovery", "alice", "--json").out)["recovery_codes"]
    (line,) = fakes.json_lines(config.parent / "audit.log")
    assert (line["event"], line["user"]) == ("recovery_codes_renewed", "alice")
    assert not any(code in str(line) for code in new)


def test_what_is_no_user_name_is_usage(run: Run, config: Path) -> None:
    assert run("--config", config, "recovery", "a b").code == 2

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.unit.cli.kept import keep


def test_sessions_are_listed_newest_first_without_those_that_are_over(run: Run, config: Path) -> None:
    keep(config, "alice", 1, age=60.0)
    keep(config, "bob", 2)
    keep(config, "bob", 3, age=3601.0, lifetime=7200.0)
    keep(config, "bob", 4, "token")
    lines = run("--config", config, "sessions", "list").out.splitlines()
    assert lines[0].split() == ["ID", "USER", "CREATED", "AT", "LAST", "USED", "AT", "ADDRESS", "CLIENT"]
    assert [line.split()[1] for line in lines[1:]] == ["bob", "alice"]


def test_the_sessions_of_one_user_are_listed(run: Run, config: Path) -> None:
    keep(config, "alice", 1)
    keep(config, "bob", 2)
    (session,) = json.loads(run("--config", config, "sessions", "list", "--user", "alice", "--json").out)["sessions"]
    assert set(session) == {"id", "user", "created_at", "last_used_at", "expires_at", "second_factor_at", "factor", "address", "client"}
    assert (session["id"], session["user"]) == (f"{1:032x}", "alice")


def test_sessions_without_an_action_is_usage(run: Run, config: Path) -> None:
    assert run("--config", config, "sessions").code == 2

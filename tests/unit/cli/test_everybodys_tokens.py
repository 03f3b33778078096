from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.unit.cli.kept import keep


def test_tokens_are_listed_with_what_they_are_good_for(run: Run, config: Path) -> None:
    keep(config, "alice", 1, "token", age=3601.0, lifetime=7200.0)
    keep(config, "bob", 2, "session")
    keep(config, "bob", 3, "token", age=2.0, lifetime=1.0)
    lines = run("--config", config, "tokens", "list").out.splitlines()
    assert [line.split("  ")[:4] for line in lines[1:]] == [[f"{1:032x}", "alice", "nightly", "read, submit"]]


def test_tokens_are_listed_for_programs(run: Run, config: Path) -> None:
    keep(config, "alice", 1, "token")
    (token,) = json.loads(run("--config", config, "tokens", "list", "--json").out)["tokens"]
    assert (token["user"], token["name"], token["scopes"], token["networks"], token["last_used_at"]) == (
        "alice",
        "nightly",
        ["read", "submit"],
        [],
        None,
    )

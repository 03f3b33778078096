"""What sessions and tokens share; what each of them says is in its own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.ending import is_alive
from tests.unit.cli.conftest import Run, failure
from tests.unit.cli.kept import keep, trail

COMMANDS = pytest.mark.parametrize(("command", "word", "kind"), [("sessions", "end", "session"), ("tokens", "revoke", "token")])


@COMMANDS
def test_one_is_ended_by_its_id_and_the_trail_says_whose_it_was(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    keep(config, "alice", 1, kind)
    keep(config, "bob", 2, kind)
    ran = run("--config", config, command, word, f"{1:032x}")
    assert (ran.code, ran.out, ran.err) == (0, f"alice: 1 {kind}(s) ended\n", "")
    assert trail(config) == [(f"{kind}_ended", "alice", f"{1:032x}")]
    assert f"{2:032x}" in run("--config", config, command, "list").out


@COMMANDS
def test_all_of_a_user_are_ended_and_nobody_elses(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    for number, user in enumerate(("alice", "alice", "bob"), 1):
        keep(config, user, number, kind)
    keep(config, "alice", 9, "token" if kind == "session" else "session")
    assert run("--config", config, command, word, "--user", "alice").out == f"alice: 2 {kind}(s) ended\n"
    assert trail(config) == [(f"{kind}s_ended", "alice", None)]


@COMMANDS
def test_programs_are_told_whose_and_how_many(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    for number in (1, 2, 3):
        keep(config, "alice", number, kind)
    assert run("--config", config, command, word, f"{1:032x}", "--json").out == '{"user": "alice", "ended": 1}\n'
    assert run("--config", config, command, word, "--user", "alice", "--json").out == '{"user": "alice", "ended": 2}\n'


@COMMANDS
def test_one_that_is_not_there_or_of_the_other_kind_is_told_so(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    keep(config, "alice", 1, "token" if kind == "session" else "session")
    ran = run("--config", config, command, word, f"{1:032x}")
    hint = f"It may have ended already; 'slurm-gateway {command} list' shows those that there are."
    assert (ran.code, ran.err) == (1, failure(f"there is no {kind} {1:032x}", hint))
    assert trail(config) == []


@COMMANDS
@pytest.mark.parametrize("words", [["x"], ["0" * 31], [], ["0" * 32, "--user", "alice"], ["--user", "a b"]])
def test_what_names_nothing_to_end_is_usage(run: Run, config: Path, command: str, word: str, kind: str, words: list[str]) -> None:
    keep(config, "alice", 1, kind)
    assert run("--config", config, command, word, *words).code == 2


@COMMANDS
def test_nothing_to_list_is_told_so(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    del word
    assert run("--config", config, command, "list").out == f"no {kind}s\n"
    assert run("--config", config, command, "list", "--json").out == f'{{"{command}": []}}\n'


@COMMANDS
def test_what_cannot_be_written_down_is_not_ended(run: Run, config: Path, command: str, word: str, kind: str) -> None:
    keep(config, "alice", 1, kind)
    (config.parent / "audit.log").mkdir()
    assert run("--config", config, command, word, f"{1:032x}").code == 1
    assert run("--config", config, command, word, "--user", "alice").code == 1
    assert f"{1:032x}" in run("--config", config, command, "list").out


@dataclass
class Row:
    kind: str
    expires_at: float = 100.0
    last_used_at: float = 0.0


@pytest.mark.parametrize(("kind", "now", "alive"), [("session", 9.0, True), ("session", 10.0, False), ("token", 10.0, True), ("token", 100.0, False)])
def test_a_session_lives_while_it_is_used_and_a_token_to_its_end(kind: str, now: float, alive: bool) -> None:
    assert is_alive(Row(kind), now, idle=10.0) == alive  # type: ignore[arg-type]  # as much of a SessionRow as it takes

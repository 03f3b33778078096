from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.people import People, Task, note, on_store, user_name
from gateway.config import load
from gateway.errors import CommandError
from gateway.store.authenticators import AuthenticatorRow
from tests.web import fakes


@pytest.mark.parametrize("name", ["alice", "a", "_svc", "A.b-c_d", "33", "a" * 64])
def test_a_name_that_a_slurm_user_could_have_is_taken(name: str) -> None:
    assert user_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a\n", "\uff41", "a" * 65, "a;b", "a@b"])
def test_any_other_is_usage(name: str) -> None:
    with pytest.raises(CommandError) as raised:
        user_name(name)
    assert raised.value.exit_code == 2


def test_the_store_is_made_if_need_be_and_the_answer_handed_on(config: Path) -> None:
    async def action(people: People) -> tuple[AuthenticatorRow, ...]:
        return await people.authenticators.of("alice")

    assert on_store(load(config), action) == ()
    assert (config.parent / "gateway.db").stat().st_mode & 0o777 == 0o600


def test_a_store_in_no_folder_ends_the_command(tmp_path: Path) -> None:
    config = load(fakes.site(tmp_path, "http://127.0.0.1:1", {"store": {"url": f"sqlite:///{tmp_path}/nowhere/gateway.db"}}))

    async def action(people: People) -> int:
        return await people.sessions.end_all_of("alice")

    with pytest.raises(CommandError, match=r"store\.url"):
        on_store(config, action)


def test_the_trail_says_who_did_it(config: Path) -> None:
    note(Task(user="alice", config=load(config), by="root"), "enrol", reason="why")
    (line,) = fakes.json_lines(config.parent / "audit.log")
    assert (line["user"], line["reason"], line["address"], line["by"]) == ("alice", "why", "local", "root")

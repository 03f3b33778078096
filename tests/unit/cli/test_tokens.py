from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests import saying
from tests.fake_gateway import FakeGateway
from tests.unit.cli.conftest import Desk, Run
from tests.unit.cli.kept import keep


def test_a_token_is_shown_once_and_alone(run: Run, desk: Desk) -> None:
    desk.signed_in()
    ran = run("tokens", "create", "--name", "nightly")
    assert (ran.code, ran.err, ran.out.strip() in desk.fake.known) == (0, "", True)
    assert desk.fake.sent("/auth/tokens") == [{"name": "nightly"}]


def test_a_token_is_asked_for_as_the_command_line_says(run: Run, desk: Desk) -> None:
    desk.signed_in()
    words = ("--expires", "7d", "--scope", "read", "GET /slurm/*/nodes", "--scope", "submit", "--network", "192.0.2.0/24")
    run("tokens", "create", "--name", "nightly", *words)
    assert desk.fake.sent("/auth/tokens") == [
        {"name": "nightly", "expires_in": 604800, "scopes": ["read", "GET /slurm/*/nodes", "submit"], "networks": ["192.0.2.0/24"]}
    ]


def test_a_token_is_written_to_a_file_that_is_its_owners_alone_and_shown_nowhere(run: Run, desk: Desk) -> None:
    desk.signed_in()
    file = desk.home / "token"
    for output in ([], ["--json"]):
        file.unlink(missing_ok=True)
        ran = run("tokens", "create", "--name", "nightly", "--output", file, *output)
        token = file.read_text().removesuffix("\n")
        assert (token in desk.fake.known, stat.S_IMODE(file.stat().st_mode)) == (True, 0o600)
        assert (token in ran.out + ran.err, str(file) in ran.out) == (False, True)


def test_no_file_is_written_over_and_nothing_made(run: Run, desk: Desk) -> None:
    desk.signed_in()
    file = desk.home / "token"
    file.write_text("old")
    ran = run("tokens", "create", "--name", "nightly", "--output", file)
    assert (ran.code, file.read_text(), desk.fake.sent("/auth/tokens")) == (1, "old", [])
    assert ran.err == (f"slurm-gateway: {file} is there already\nhint: Name a file that is not there yet: no token is ever written over another.\n")


def test_a_token_that_cannot_be_written_is_ended_again(run: Run, desk: Desk) -> None:
    desk.signed_in()
    file = desk.home / "nowhere" / "token"
    ran = run("tokens", "create", "--name", "nightly", "--output", file)
    assert (ran.code, [known for known in desk.fake.known.values() if known.kind == "token"]) == (1, [])
    assert ran.err == (
        f"slurm-gateway: {file} cannot be written: No such file or directory\n"
        "hint: The token was ended again. Name a new file in a folder that you may write to.\n"
    )


def test_one_that_could_not_be_ended_again_is_not_said_to_be(run: Run, gateway: saying.FakeGateway, tmp_path: Path) -> None:
    gateway.on("POST /auth/tokens", saying.Says(status=201, body={"token": saying.TOKEN, "id": "5f", "name": "n"}))
    gateway.on("DELETE /auth/tokens/5f", saying.refuses(403, "not_permitted"))
    ran = run("tokens", "create", "--name", "n", "--output", tmp_path / "nowhere" / "token")
    hint = "The token could not be ended again: 'slurm-gateway tokens revoke 5f' does it. Name a new file in a folder that you may write to."
    assert (ran.code, ran.err.splitlines()[1]) == (1, f"hint: {hint}")


@pytest.mark.parametrize("said", ["7", "d", "7 d", "0d", "-1d", "7x", "99999w", ""])
def test_a_time_that_is_none_is_usage(run: Run, desk: Desk, said: str) -> None:
    desk.signed_in()
    ran = run("tokens", "create", "--name", "x", f"--expires={said}")
    assert (ran.code, ran.err) == (2, f"slurm-gateway: {said!r} is no span of time\nhint: Say it like 90s, 30m, 12h or 7d.\n")


def test_an_old_second_factor_is_asked_for_and_it_goes_on(desk: Desk) -> None:
    desk.signed_in(fresh=False)
    with desk.types("tokens", "create", "--name", "x") as terminal:
        terminal.answer("Code: ", "000100")
        assert terminal.ended() == 0
    assert terminal.shown.splitlines()[-1] in desk.fake.known


def test_an_old_second_factor_without_a_terminal_is_told(run: Run, desk: Desk) -> None:
    desk.signed_in(fresh=False)
    ran = run("tokens", "create", "--name", "x")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "slurm-gateway: This needs a second factor that was proved more recently. (request id r-1)\nhint: Sign in again: slurm-gateway login\n"
    )


def test_mine_are_listed_and_what_they_are_is_not(run: Run, desk: Desk) -> None:
    desk.signed_in()
    assert run("tokens", "list").out == "No tokens.\n"
    token = run("tokens", "create", "--name", "nightly").out.strip()
    out = run("tokens", "list").out
    assert ([line.split()[:3] for line in out.splitlines()][1], token in out) == ([desk.fake.known[token].id, "nightly", "read"], False)
    assert [row["name"] for row in json.loads(run("tokens", "list", "--json").out)["tokens"]] == ["nightly"]


def test_several_are_revoked(run: Run, desk: Desk) -> None:
    desk.signed_in()
    ids = [desk.fake.known[run("tokens", "create", "--name", name).out.strip()].id for name in ("one", "two", "three")]
    assert run("tokens", "revoke", *ids[:2]).out == "".join(f"{id_}: ended\n" for id_ in ids[:2])
    assert run("tokens", "revoke", ids[2], "--json").out == json.dumps({"ended": ids[2:]}) + "\n"
    assert run("tokens", "list").out == "No tokens.\n"


def test_one_that_is_not_there_is_told_with_what_was_ended(run: Run, desk: Desk) -> None:
    desk.signed_in()
    id_ = desk.fake.known[run("tokens", "create", "--name", "one").out.strip()].id
    ran = run("tokens", "revoke", id_, "x/../y")
    assert (ran.code, desk.fake.calls()[-1]) == (1, "DELETE /auth/tokens/x%2F..%2Fy")
    assert ran.err == (f"slurm-gateway: you have no token x/../y\nhint: 'slurm-gateway tokens list' shows yours. Ended by now: {id_}.\n")


def test_revoking_nothing_is_usage(run: Run, desk: Desk) -> None:
    desk.signed_in()
    ran = run("tokens", "revoke")
    assert (ran.code, ran.err) == (2, "slurm-gateway: no token is named\nhint: 'slurm-gateway tokens list' shows the ids.\n")


@pytest.mark.parametrize("words", [("list", "--user", "alice"), ("revoke", "--user", "alice")])
def test_others_are_the_administrators_affair(run: Run, desk: Desk, words: tuple[str, ...]) -> None:
    desk.signed_in()
    ran = run("tokens", *words)
    assert (ran.code, ran.err) == (
        2,
        "slurm-gateway: --user is the administrator's\nhint: Name the gateway's configuration (--config), and no --site.\n",
    )


def test_where_a_configuration_is_named_everybodys_are_meant(run: Run, desk: Desk, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in("mine")
    keep(config, "bob", 1, "token")
    assert "bob" in run("--config", config, "tokens", "list").out
    monkeypatch.setenv("SLURM_GATEWAY_CONFIG", str(config))
    assert "bob" in run("tokens", "list").out
    assert run("tokens", "list", "--site", "mine").out == "No tokens.\n"
    assert run("tokens", "create", "--name", "x").out.strip() in desk.fake.known


def test_several_of_anybodys_are_revoked(run: Run, config: Path) -> None:
    for number in (1, 2):
        keep(config, "bob", number, "token")
    assert run("--config", config, "tokens", "revoke", f"{1:032x}", f"{2:032x}").out == "bob: 1 token(s) ended\n" * 2


def test_mine_load_nothing_of_the_server(desk: Desk) -> None:
    desk.signed_in()
    program = "import sys; from gateway.cli.main import main; main(['tokens', 'list']); print(*sys.modules)"
    environment = desk.environment | {"PATH": os.environ["PATH"]}
    loaded = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert {"gateway.store", "sqlalchemy", "aiohttp", "pydantic", "rich", "keyring"} & set(loaded) == set()


def test_an_answer_without_a_token_is_told(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in()
    monkeypatch.setattr(FakeGateway, "answer", lambda *_: (201, {"id": "x"}, {}))
    ran = run("tokens", "create", "--name", "x")
    assert (ran.code, ran.err) == (1, "slurm-gateway: the answer has no token (request id r-1)\nhint: Is this the gateway's address?\n")

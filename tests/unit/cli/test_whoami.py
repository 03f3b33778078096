from __future__ import annotations

import json
import re

import pytest

from tests.fake_gateway import FakeGateway
from tests.unit.cli.conftest import Desk, Run


def test_people_are_told_who_they_are_and_until_when(run: Run, desk: Desk) -> None:
    desk.signed_in()
    ran = run("whoami")
    assert (ran.code, ran.err) == (0, "")
    assert re.sub(r"\(\d{4}-\d\d-\d\d \d\d:\d\d [A-Z]+\)", "(DATE)", ran.out).splitlines() == [
        "User           alice",
        f"Site           default ({desk.fake.url})",
        "Signed in by   a session",
        "Ends           in 12 h 0 min (DATE)",
        "If unused      in 1 h 0 min (DATE)",
        "Second factor  proved 5 s ago",
        "Scopes         *",
    ]


def test_the_gateways_clock_counts_and_not_ours(run: Run, desk: Desk) -> None:
    desk.signed_in()
    desk.fake.clock = 5000.0
    assert "in 12 h 0 min" in run("whoami").out


def test_programs_get_what_the_gateway_tells(run: Run, desk: Desk) -> None:
    desk.signed_in("mine")
    told = json.loads(run("whoami", "--json").out)
    assert {name: told[name] for name in ("site", "url", "username", "kind", "scopes")} == {
        "site": "mine",
        "url": desk.fake.url,
        "username": "alice",
        "kind": "session",
        "scopes": ["*"],
    }


def test_whoever_signed_out_is_told_so(run: Run, desk: Desk) -> None:
    desk.signed_in()
    desk.sites.forget("default")
    ran = run("whoami")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"slurm-gateway: not signed in at {desk.fake.url}\nhint: Sign in first: slurm-gateway login\n"


@pytest.mark.parametrize(("name", "line"), [("default", "slurm-gateway login"), ("other", "slurm-gateway login --site other")])
def test_a_dead_token_is_told_and_nothing_is_asked(desk: Desk, name: str, line: str) -> None:
    del desk.fake.known[desk.signed_in(name)]
    if name == "other":
        desk.signed_in("default")
    with desk.types("whoami", "--site", name) as terminal:
        assert terminal.ended() == 1
    assert terminal.shown == (f"slurm-gateway: The token is unknown, has ended or has expired. (request id r-1)\nhint: Sign in again: {line}\n")


def test_a_personal_token_is_told_as_one(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", desk.fake.session("bob", kind="token", expires_in=60.0))
    monkeypatch.setenv("SLURM_GATEWAY_URL", desk.fake.url)
    out = run("whoami").out
    assert ("User           bob\n" in out, "Signed in by   a personal token\n" in out, "If unused" in out) == (True, True, False)


def test_a_given_token_that_is_dead_is_told_with_what_to_do(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_dead")
    monkeypatch.setenv("SLURM_GATEWAY_URL", desk.fake.url)
    ran = run("whoami")
    assert (ran.code, ran.err.splitlines()[1]) == (
        1,
        "hint: Give another one: --token-file or SLURM_GATEWAY_TOKEN; 'slurm-gateway tokens create' makes one.",
    )


def test_an_answer_that_no_gateway_gives_is_told(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in()
    monkeypatch.setattr(FakeGateway, "answer", lambda *_: (200, [], {}))
    ran = run("whoami")
    assert (ran.code, ran.err) == (1, "slurm-gateway: the answer is not what a gateway answers\nhint: Is this the gateway's address?\n")

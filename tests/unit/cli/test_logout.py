from __future__ import annotations

import pytest

from gateway.client.sites import Site
from gateway.secret import Secret
from tests.unit.cli.conftest import Desk, Run


def test_the_session_is_ended_there_and_here(run: Run, desk: Desk) -> None:
    token = desk.signed_in()
    ran = run("logout")
    assert (ran.code, ran.out, ran.err) == (0, f"Signed out of {desk.fake.url}.\n", "")
    assert (token in desk.fake.known, desk.kept(), desk.sites.header_file("default").exists()) == (False, None, False)


def test_a_session_that_is_dead_already_is_no_failure(run: Run, desk: Desk) -> None:
    del desk.fake.known[desk.signed_in()]
    assert (run("logout").code, desk.kept()) == (0, None)


def test_one_site_or_all_of_them(run: Run, desk: Desk) -> None:
    for name in ("one", "two", "three"):
        desk.signed_in(name)
    run("logout", "--site", "one")
    assert [desk.kept(name) is None for name in ("one", "two", "three")] == [True, False, False]
    assert run("logout", "--all").code == 0
    assert desk.fake.known == {}


def test_the_token_of_a_gateway_that_cannot_be_told_is_kept(run: Run, desk: Desk) -> None:
    token = desk.signed_in()
    desk.fake.refuse_ends = ["bad_request"]
    ran = run("logout")
    assert (ran.code, desk.kept()) == (1, token)
    what, hint = ran.err.splitlines()
    assert what.startswith("slurm-gateway: expires_in must be")
    assert hint.startswith("hint: The token is kept, for it is good still: try again, or forget it with --force (")


def test_force_forgets_it_all_the_same_and_says_so(run: Run, desk: Desk) -> None:
    desk.signed_in()
    desk.fake.refuse_ends = ["bad_request"]
    ran = run("logout", "--force")
    assert (ran.code, ran.out, desk.kept()) == (0, f"Forgot the token for {desk.fake.url}.\n", None)
    assert "The session could not be ended" in ran.err


def test_one_that_fails_does_not_keep_the_others_signed_in(run: Run, desk: Desk) -> None:
    desk.signed_in("a")
    desk.sites.keep("b", Site(url="http://127.0.0.1:1"), Secret(b"sgw_x"))
    desk.signed_in("c")
    ran = run("logout", "--all")
    assert (ran.code, desk.kept("a"), desk.kept("b"), desk.kept("c")) == (1, None, "sgw_x", None)
    assert "slurm-gateway: http://127.0.0.1:1 cannot be reached: Connection refused\n" in ran.err


def test_nobody_to_sign_out_is_told(run: Run, desk: Desk) -> None:
    desk.signed_in()
    run("logout")
    ran = run("logout")
    assert (ran.code, ran.err) == (1, f"slurm-gateway: not signed in at {desk.fake.url}\nhint: Nothing is left to end.\n")
    assert (run("logout", "--all").code, run("logout", "--all").err) == (1, "slurm-gateway: not signed in\nhint: Nothing is left to end.\n")


def test_a_token_that_is_set_in_the_environment_is_not_forgotten_silently(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in()
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_x")
    ran = run("logout")
    assert (ran.code, ran.err) == (0, "SLURM_GATEWAY_TOKEN is set still, and its token good: 'slurm-gateway tokens revoke' ends one.\n")

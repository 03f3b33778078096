from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import person
from gateway.client.errors import GatewayError
from gateway.client.sites import Site
from gateway.secret import Secret
from tests.fake_gateway import PASSWORD
from tests.terminal import Terminal
from tests.unit.cli.conftest import Desk, Run

CODE = "000100"


def token_in(run: Run, desk: Desk, *words: object) -> str:
    """Return the token that a command goes with."""
    run("tokens", "list", *words)
    return desk.fake.asked[-1][2].get("authorization", "").removeprefix("Bearer ")


# Whose token, and where it goes.


def test_a_token_file_goes_before_the_environment_and_that_before_what_is_kept(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, said, filed = desk.signed_in(), desk.fake.session(), desk.fake.session()
    file = desk.home / "token"
    file.write_text(f"{filed}\n")
    file.chmod(0o600)
    assert token_in(run, desk) == kept
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", f" {said}\n")
    assert token_in(run, desk) == said
    assert token_in(run, desk, "--token-file", file) == filed


def test_a_token_of_the_environment_needs_no_site(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", desk.fake.session())
    monkeypatch.setenv("SLURM_GATEWAY_URL", f"{desk.fake.url}/")
    assert run("tokens", "list").code == 0


def test_a_token_goes_to_the_site_that_is_named_and_not_to_the_address_of_the_environment(
    run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.signed_in("mine")
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", desk.fake.session())
    monkeypatch.setenv("SLURM_GATEWAY_URL", "http://127.0.0.1:1")
    assert run("tokens", "list", "--site", "mine").code == 0


def test_the_address_of_the_environment_chooses_among_the_kept_sites(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = desk.signed_in("mine")
    desk.sites.keep("other", Site(url="http://127.0.0.1:1"), Secret(b"sgw_x"))
    monkeypatch.setenv("SLURM_GATEWAY_URL", desk.fake.url)
    assert token_in(run, desk) == token


def test_the_environment_may_name_the_site(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = desk.signed_in("mine")
    desk.sites.keep("other", Site(url="http://127.0.0.1:1"), Secret(b"sgw_x"))
    monkeypatch.setenv("SLURM_GATEWAY_SITE", "mine")
    assert token_in(run, desk) == token


def test_the_address_of_the_environment_needs_no_https(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sites.keep("mine", Site(url="https://g"), Secret(b"sgw_x"))
    desk.sites.keep("other", Site(url="https://h"), Secret(b"sgw_y"))
    monkeypatch.setenv("SLURM_GATEWAY_URL", "g/")
    assert person.person_of(argparse.Namespace(site=None, ca=None, token_file=None)).name == "mine"


@pytest.mark.parametrize(
    ("said", "kept", "environment", "meant"),
    [
        ("/a", "/b", "/c", "/a"),
        (None, "/b", "/c", "/b"),
        (None, None, "/c", "/c"),
        (None, None, None, None),
    ],
)
def test_the_ca_that_is_said_goes_before_the_kept_one_and_that_before_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, said: str | None, kept: str | None, environment: str | None, meant: str | None
) -> None:
    if environment is not None:
        monkeypatch.setenv("SLURM_GATEWAY_CA", environment)
    desk.sites.keep("mine", Site(url=desk.fake.url, ca=kept), Secret(b"sgw_x"))
    arguments = argparse.Namespace(site="mine", ca=None if said is None else Path(said), token_file=None)
    assert person.person_of(arguments).site.ca == meant


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("environment", "what", "hint"),
    [
        ({}, "not signed in anywhere", "Sign in first: slurm-gateway login URL"),
        ({"SLURM_GATEWAY_TOKEN": "sgw_x"}, "nothing says where the token belongs to", "Set SLURM_GATEWAY_URL to the gateway's address."),
        ({"SLURM_GATEWAY_URL": "https://g"}, "not signed in at https://g", "Sign in first: slurm-gateway login https://g"),
        (
            {"SLURM_GATEWAY_TOKEN": "a b", "SLURM_GATEWAY_URL": "https://g"},
            "SLURM_GATEWAY_TOKEN is no token",
            "Set it to what 'slurm-gateway tokens create' printed, and nothing else.",
        ),
        (
            {"SLURM_GATEWAY_TOKEN": "sgw_x", "SLURM_GATEWAY_URL": "ftp://g"},
            "ftp://g is no https:// address",
            "Give the address that your administrators told you: https://gateway.example.org",
        ),
    ],
)
def test_what_is_missing_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], what: str, hint: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = run("tokens", "list")
    assert (ran.code, ran.err) == (1, f"slurm-gateway: {what}\nhint: {hint}\n")


def test_whoever_signed_out_is_told_how_to_sign_in(run: Run, desk: Desk) -> None:
    desk.signed_in()
    desk.sites.forget("default")
    ran = run("tokens", "list")
    assert (ran.code, ran.err) == (1, f"slurm-gateway: not signed in at {desk.fake.url}\nhint: Sign in first: slurm-gateway login\n")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("slurm.example.org", "https://slurm.example.org"),
        ("slurm.example.org:8443/x/", "https://slurm.example.org:8443/x"),
        ("https://slurm.example.org:443", "https://slurm.example.org"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_https_is_what_nobody_has_to_type(said: str, meant: str) -> None:
    assert person.full_url(said) == meant


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("http://slurm.example.org", "A password and a token would go over the network for everybody to read: use https://."),
        ("ftp://slurm.example.org", "Give the address that your administrators told you: https://gateway.example.org"),
        ("https://alice:secret@slurm.example.org", "Leave it out: https://gateway.example.org. Signing in asks for it."),
        ("https://", "Give the address that your administrators told you: https://gateway.example.org"),
        ("https://x:port", "Give the address that your administrators told you: https://gateway.example.org"),
    ],
)
def test_what_no_password_may_be_sent_to_is_no_address(said: str, hint: str) -> None:
    with pytest.raises(GatewayError) as caught:
        person.full_url(said)
    assert caught.value.hint == hint


# Token files.

HINT = "Give a file with a token and nothing else, mode 0600: 'slurm-gateway tokens create --output FILE' makes one."


@pytest.mark.parametrize(
    ("content", "mode", "what", "hint"),
    [
        (b"sgw_x\n", 0o644, "{file} may be read by others", "chmod 600 {file}"),
        (b"", 0o600, "{file} holds no token", HINT),
        (b"sgw_x\nsgw_y\n", 0o600, "{file} holds no token", HINT),
        (b"\xff", 0o600, "{file} holds no token", HINT),
        (None, 0o600, "{file} cannot be read: No such file or directory", HINT),
    ],
)
def test_a_token_file_that_is_none_is_told(run: Run, desk: Desk, content: bytes | None, mode: int, what: str, hint: str) -> None:
    desk.signed_in()
    file = desk.home / "token"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    ran = run("tokens", "list", "--token-file", file)
    assert (ran.code, ran.err) == (1, f"slurm-gateway: {what}\nhint: {hint}\n".format(file=file))
    assert desk.fake.asked == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_token_file_of_somebody_else_is_told(run: Run, desk: Desk) -> None:
    desk.signed_in()
    file = desk.home / "token"
    file.write_text("sgw_x")
    file.chmod(0o600)
    os.chown(file, 12345, -1)
    ran = run("tokens", "list", "--token-file", file)
    assert ran.err == f"slurm-gateway: {file} belongs to somebody else\nhint: Make a copy that is yours, mode 0600.\n"


@pytest.mark.parametrize("place", ["-", "/dev/stdin"])
def test_a_pipe_may_hold_the_token(desk: Desk, place: str) -> None:
    token = desk.fake.session()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "tokens", "list", "--token-file", place],
        input=token,
        env=desk.environment | {"SLURM_GATEWAY_URL": desk.fake.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, desk.fake.asked[-1][2]["authorization"]) == (0, "", f"Bearer {token}")


def test_a_given_token_that_is_dead_is_told(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in()
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_x")
    monkeypatch.setattr("gateway.cli.terminal.is_there", lambda: True)
    ran = run("tokens", "list")
    assert (ran.code, ran.err.splitlines()[1]) == (
        1,
        "hint: Give another one: --token-file or SLURM_GATEWAY_TOKEN; 'slurm-gateway tokens create' makes one.",
    )


def test_a_personal_token_cannot_show_a_code_and_what_to_do_is_told(desk: Desk) -> None:
    environment = {"SLURM_GATEWAY_TOKEN": desk.fake.session(kind="token", fresh=False), "SLURM_GATEWAY_URL": desk.fake.url}
    with desk.types("tokens", "create", "--name", "x", environment=environment) as terminal:
        assert terminal.ended() == 1
    assert terminal.shown.splitlines()[1] == (
        "hint: A token cannot show a new code: sign in (slurm-gateway login), and run this without --token-file and SLURM_GATEWAY_TOKEN."
    )


def test_a_sessions_token_that_was_given_can(desk: Desk) -> None:
    environment = {"SLURM_GATEWAY_TOKEN": desk.fake.session(fresh=False), "SLURM_GATEWAY_URL": desk.fake.url}
    with desk.types("tokens", "create", "--name", "x", environment=environment) as terminal:
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0


# In the middle of a command.


def test_a_session_that_has_ended_is_begun_anew_and_the_request_goes_on(desk: Desk) -> None:
    del desk.fake.known[desk.signed_in()]
    with desk.types("tokens", "create", "--name", "x") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert terminal.shown.splitlines()[0] == f"{desk.fake.url}: The token is unknown, has ended or has expired."
    assert (terminal.shown.splitlines()[-1] in desk.fake.known, desk.kept() in desk.fake.known) == (True, True)


def test_whoever_signed_out_is_asked_before_anything_is_sent(desk: Desk) -> None:
    desk.signed_in()
    desk.sites.forget("default")
    with desk.types("tokens", "list") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert terminal.shown.startswith(f"{desk.fake.url}: not signed in\n")
    assert desk.fake.calls() == ["POST /auth/login", "GET /auth/tokens"]


def test_somebody_is_asked_though_the_streams_lead_elsewhere(desk: Desk) -> None:
    del desk.fake.known[desk.signed_in()]
    out, err = desk.home / "out", desk.home / "err"
    with out.open("w") as one, err.open("w") as other, desk.types("tokens", "list", stdout=one, stderr=other) as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert (out.read_text(), err.read_text()) == ("No tokens.\n", "")


def test_somebody_is_asked_though_standard_input_is_a_pipe(desk: Desk) -> None:
    del desk.fake.known[desk.signed_in()]
    reading, writing = os.pipe()
    os.close(writing)
    with desk.types("tokens", "list", stdin=reading) as terminal:
        os.close(reading)
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0


def test_three_codes_that_are_wrong_are_enough(desk: Desk) -> None:
    desk.signed_in(fresh=False)
    with desk.types("tokens", "create", "--name", "x") as terminal:
        for _ in range(3):
            terminal.answer("Code: ", "999999")
        assert terminal.ended() == 1
    assert desk.fake.calls().count("POST /auth/stepup") == 3
    assert terminal.shown.endswith("hint: Check all three.\n")


def test_a_renewal_leaves_the_default_site_and_what_is_kept_of_it(desk: Desk) -> None:
    del desk.fake.known[desk.signed_in("mine")]
    desk.signed_in("default")
    with desk.types("tokens", "list", "--site", "mine") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert (desk.sites.default(), desk.kept("mine") in desk.fake.known) == ("default", True)


def test_somebody_else_cannot_go_on_with_what_was_begun(desk: Desk) -> None:
    desk.sites.keep("default", Site(url=desk.fake.url, username="Alice"), Secret(b"sgw_dead"))
    with desk.types("tokens", "list") as terminal:
        terminal.answer("Password of Alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 1
    assert terminal.shown.splitlines()[-2:] == [
        "slurm-gateway: that was alice, and this was begun by Alice",
        "hint: Sign in as Alice, or begin anew as alice: slurm-gateway login --user alice --site default",
    ]
    assert (desk.fake.known, desk.kept()) == ({}, "sgw_dead")


def elsewhere(desk: Desk, username: str) -> int:
    """Have ``username`` sign in elsewhere while a command goes with a session that has ended since; return the exit code."""
    desk.sites.keep("default", Site(url=desk.fake.url, username="alice"), Secret(b"sgw_dead"))
    arguments = argparse.Namespace(site=None, ca=None, token_file=None, cluster=None)
    with person.gateway_of(arguments) as gateway:
        desk.signed_in(username=username)
        return gateway.call("GET", "/auth/session").status


def test_what_was_signed_in_to_elsewhere_meanwhile_is_taken_over(desk: Desk) -> None:
    assert elsewhere(desk, "alice") == 200


def test_but_not_what_somebody_else_signed_in_to(desk: Desk) -> None:
    with pytest.raises(GatewayError, match="that was bob, and this was begun by alice") as caught:
        elsewhere(desk, "bob")
    assert caught.value.hint == "Sign in as alice, or begin anew as bob: slurm-gateway login --user bob --site default"


def test_without_a_terminal_the_command_to_run_is_named(run: Run, desk: Desk) -> None:
    del desk.fake.known[desk.signed_in("mine")]
    desk.signed_in("other")
    ran = run("tokens", "list", "--site", "mine")
    assert (ran.code, ran.err) == (
        1,
        "slurm-gateway: The token is unknown, has ended or has expired. (request id r-1)\nhint: Sign in again: slurm-gateway login --site mine\n",
    )


# Before a long command.

LONG = (
    "import argparse, sys; from gateway.cli import person; "
    "arguments = argparse.Namespace(site=None, ca=None, token_file=None, cluster=None)\n"
    "with person.gateway_of(arguments) as gateway: person.renew_if_short(gateway, 7200); print('done', gateway.token.reveal().decode())"
)


def long(desk: Desk, expires_in: float, **more: str) -> Terminal:
    desk.signed_in(expires_in=expires_in)
    return Terminal([sys.executable, "-c", LONG], desk.environment | more)


def test_a_session_that_outlives_the_command_is_left_alone(desk: Desk) -> None:
    with long(desk, 7300) as terminal:
        assert terminal.ended() == 0
    assert terminal.shown == f"done {desk.kept()}\n"


@pytest.mark.parametrize("answer", ["", "y"])
def test_a_session_that_does_not_is_renewed_if_its_owner_likes(desk: Desk, answer: str) -> None:
    with long(desk, 1260) as terminal:
        before = desk.kept()
        terminal.wait_for("before this is likely to be over (2 h 0 min).")
        terminal.answer("Sign in anew now? [Y/n] ", answer)
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert terminal.shown.endswith(f"done {desk.kept()}\n")
    assert (before in desk.fake.known, desk.kept() in desk.fake.known) == (False, True)


def test_or_not(desk: Desk) -> None:
    with long(desk, 1260) as terminal:
        before = desk.kept()
        terminal.answer("Sign in anew now? [Y/n] ", "n")
        assert terminal.ended() == 0
    assert (terminal.shown.endswith(f"done {before}\n"), desk.kept()) == (True, before)


def test_the_gateways_clock_says_how_long_a_session_lasts(desk: Desk) -> None:
    desk.fake.clock = -7000.0
    with long(desk, 7300) as terminal:
        assert terminal.ended() == 0
    assert terminal.shown.startswith("done")


def test_where_nobody_can_be_asked_it_is_said_and_goes_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.signed_in(expires_in=1270)
    with person.gateway_of(argparse.Namespace(site=None, ca=None, token_file=None)) as gateway:
        person.renew_if_short(gateway, 7200)
    assert capsys.readouterr().err == (
        "The session ends in 21 min, before this is likely to be over (2 h 0 min). "
        "It will fail then, unless you sign in again meanwhile: slurm-gateway login\n"
    )


@pytest.mark.parametrize("words", [("wait", 7), ("submit", "--wait", "job.json"), ("jobs", "--watch"), ("queue", "jobs")])
def test_each_command_that_takes_long_asks_before_it_begins(desk: Desk, words: tuple[object, ...]) -> None:
    (desk.home / "jobs").mkdir()
    (desk.home / "job.json").write_text('{"job": {"name": "a"}, "script": "#!/bin/sh"}')
    desk.signed_in(expires_in=1260)
    with desk.types(*words) as terminal:
        terminal.wait_for("The session ends in 2")
        terminal.answer("Sign in anew now? [Y/n] ", "n")


def test_a_gateway_that_cannot_say_how_long_is_no_reason_to_fail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signed_in()
    with person.gateway_of(argparse.Namespace(site=None, ca=None, token_file=None), patience=0) as gateway:
        monkeypatch.setattr(type(desk.fake), "answer", lambda *_: (503, {}, {}))
        person.renew_if_short(gateway)

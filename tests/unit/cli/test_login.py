from __future__ import annotations

import json
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from gateway.cli.login import curl_line
from gateway.client.errors import GatewayError
from gateway.client.sites import Site
from gateway.secret import Secret
from tests.fake_gateway import PASSWORD, FakeGateway
from tests.unit.cli.conftest import Desk, Run

CODE = "000100"


def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody answer, without a terminal."""
    monkeypatch.setattr("gateway.cli.terminal.is_there", lambda: True)
    monkeypatch.setattr("gateway.cli.terminal.line", lambda *_: CODE)
    monkeypatch.setattr("gateway.cli.terminal.hidden", lambda _: Secret(PASSWORD.encode()))


def test_whoever_signs_in_is_kept_and_shown_the_line_for_curl(desk: Desk) -> None:
    with desk.types("login", desk.fake.url) as terminal:
        terminal.answer("User: ", "alice")
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", "000 100")
        assert terminal.ended() == 0
    assert terminal.shown.splitlines()[-3:] == [
        f"Signed in to {desk.fake.url} as alice, for 12 h 0 min.",
        "With curl:",
        f"curl -H @$HOME/.config/slurm-gateway/default.header {desk.fake.url}/slurm/latest/jobs",
    ]
    assert desk.kept() in desk.fake.known
    assert desk.sites.site()[1] == Site(url=desk.fake.url, username="alice")


def test_the_line_for_curl_works_in_a_shell(desk: Desk) -> None:
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    line = terminal.shown.splitlines()[-1]
    done = subprocess.run(["/bin/sh", "-c", f"{line} -sS"], env=desk.environment, capture_output=True, text=True, check=True)
    assert (json.loads(done.stdout), desk.fake.asked[-1][2]["authorization"]) == ({"jobs": [], "errors": []}, f"Bearer {desk.kept()}")


def test_the_password_is_not_shown_and_the_terminal_is_left_as_it_was(desk: Desk) -> None:
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        terminal.wait_for("Password of alice: ")
        assert not terminal.is_echoing()
        terminal.type(f"{PASSWORD}\n")
        terminal.wait_for("Code: ")
        assert terminal.is_echoing()
        terminal.type("\x03")
        assert terminal.ended() == 130
    assert PASSWORD not in terminal.shown


def test_ctrl_c_in_the_middle_of_the_password_leaves_a_terminal_that_shows_what_is_typed(desk: Desk) -> None:
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        terminal.wait_for("Password of alice: ")
        terminal.type("\x03")
        assert terminal.ended() == 130
        assert terminal.is_echoing()


def test_who_mistypes_may_try_again_and_is_not_asked_who_they_are(desk: Desk) -> None:
    with desk.types("login", desk.fake.url) as terminal:
        terminal.answer("User: ", "alice")
        for said in ("wrong", PASSWORD):
            terminal.answer("Password of alice: ", said)
            terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert terminal.shown.count("User: ") == 1
    assert "User name, password and one-time code do not fit together.\nCheck all three.\n2 tries are left.\n" in terminal.shown


def test_who_mistypes_three_times_is_told_the_gateways_words(desk: Desk) -> None:
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        for _ in range(3):
            terminal.answer("Password of alice: ", "wrong")
            terminal.answer("Code: ", CODE)
        assert terminal.ended() == 1
    assert "1 try is left.\n" in terminal.shown
    assert terminal.shown.endswith(
        "slurm-gateway: User name, password and one-time code do not fit together. (request id r-1)\nhint: Check all three.\n"
    )
    assert desk.sites.names() == []


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("enrolment_required", "This account has no second factor yet. (request id r-1)\nhint: Ask your administrators to enrol you.\n"),
        ("throttled", "Too many sign-ins failed in a short time.\nhint: Wait for 40 s, then try once with a fresh code.\n"),
    ],
)
def test_what_no_second_try_mends_is_told_at_once(desk: Desk, reason: str, shown: str) -> None:
    desk.fake.refuse.append(reason)
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 1
    assert terminal.shown.endswith(shown)


def test_an_answer_that_is_missing_is_told(desk: Desk) -> None:
    with desk.types("login", desk.fake.url) as terminal:
        terminal.wait_for("User: ")
        terminal.type("\x04")
        assert terminal.ended() == 1
    assert terminal.shown.endswith("slurm-gateway: nothing was typed\nhint: Run this again at a terminal, and answer the question.\n")


def test_programs_are_told_where_everything_is(desk: Desk) -> None:
    out = desk.home / "out"
    with out.open("w") as stream, desk.types("login", desk.fake.url, "--json", "--site", "mine", "--user", "alice", stdout=stream) as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    told = json.loads(out.read_text())
    assert told.pop("expires_at").endswith("Z")
    header_file = str(desk.home / ".config/slurm-gateway/mine.header")
    assert told == {"site": "mine", "url": desk.fake.url, "username": "alice", "header_file": header_file}
    assert stat.S_IMODE(Path(header_file).stat().st_mode) == 0o600


def test_the_session_before_is_ended(desk: Desk) -> None:
    before = desk.signed_in()
    with desk.types("login") as terminal:
        terminal.answer("User [alice]: ", "")
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert (before in desk.fake.known, desk.kept() in desk.fake.known) == (False, True)


def test_a_session_before_that_cannot_be_ended_is_told(desk: Desk) -> None:
    desk.signed_in()
    desk.fake.refuse_ends = ["bad_request"]
    with desk.types("login", "--user", "alice") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert "The session before this one could not be ended (expires_in must be" in terminal.shown


def test_a_sign_in_that_fails_leaves_the_session_before(desk: Desk) -> None:
    before = desk.signed_in()
    desk.fake.refuse.append("enrolment_required")
    with desk.types("login", "--user", "alice") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 1
    assert desk.kept() == before
    assert before in desk.fake.known


def test_another_gateway_gets_a_name_of_its_own(desk: Desk) -> None:
    desk.sites.keep("default", Site(url="https://there.example.org"), Secret(b"sgw_x"))
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert desk.sites.names() == ["127.0.0.1", "default"]
    assert " (site 127.0.0.1).\n" in terminal.shown


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_asked(desk: Desk) -> None:
    (desk.home / ".config").write_text("a file where the folder should be")
    with desk.types("login", desk.fake.url, "--user", "alice") as terminal:
        assert terminal.ended() == 1
    assert terminal.shown.splitlines() == [
        f"slurm-gateway: {desk.home}/.config/slurm-gateway cannot be written: File exists",
        "hint: Set XDG_CONFIG_HOME to a folder of yours that you may write to, and that has room.",
    ]


def test_a_token_that_cannot_be_kept_is_ended_again(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)

    def full(*_: object, **__: object) -> None:
        raise GatewayError("the disk is full", hint="Make room.")

    monkeypatch.setattr("gateway.client.sites.Sites.keep", full)
    ran = run("login", desk.fake.url, "--user", "alice")
    assert (ran.code, ran.err, desk.fake.known) == (1, "slurm-gateway: the disk is full\nhint: Make room.\n", {})
    assert desk.fake.calls()[-1] == "DELETE /auth/session"


def test_without_a_keyring_library_it_is_told_before_anything_is_asked(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.terminal.is_there", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    ran = run("login", desk.fake.url, "--keyring")
    assert (ran.code, ran.err.splitlines()) == (
        1,
        [
            "slurm-gateway: the keyring needs a module that is not installed",
            "hint: pip install 'slurm-gateway[keyring]'. Without --keyring, login keeps the token in a file that only you can read.",
        ],
    )


def test_the_keyring_has_the_token_where_that_is_asked_for(desk: Desk) -> None:
    file = desk.home / "ring"
    environment = {"PYTHON_KEYRING_BACKEND": "tests.keyring_backend.Kept", "KEPT_IN": str(file)}
    with desk.types("login", desk.fake.url, "--user", "alice", "--keyring", environment=environment) as terminal:
        terminal.answer("Password of alice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert terminal.shown.splitlines()[-1] == (
        "The token is in the keyring, so there is no file for curl; 'slurm-gateway api GET /slurm/latest/jobs' does the same."
    )
    (token,) = json.loads(file.read_text()).values()
    assert (token in desk.fake.known, desk.sites.header_file("default").exists()) == (True, False)
    with desk.types("tokens", "list", environment=environment) as terminal:
        assert (terminal.ended(), terminal.shown) == (0, "No tokens.\n")
    with desk.types("logout", environment=environment) as terminal:
        assert terminal.ended() == 0
    assert (json.loads(file.read_text()), desk.fake.known) == ({}, {})


def test_a_keyring_that_never_answers_keeps_nobody_waiting_and_uses_up_no_code(desk: Desk) -> None:
    environment = {
        "PYTHON_KEYRING_BACKEND": "tests.keyring_backend.Dead",
        "KEPT_IN": str(desk.home / "ring"),
        "SLURM_GATEWAY_KEYRING_TIMEOUT": "0.2",
    }
    with desk.types("login", desk.fake.url, "--user", "alice", "--keyring", environment=environment) as terminal:
        assert terminal.ended() == 1
    assert terminal.shown == (
        "slurm-gateway: the keyring did not answer within 0.2 s\n"
        "hint: Is it locked? SLURM_GATEWAY_KEYRING_TIMEOUT sets the limit in seconds. "
        "Without --keyring, login keeps the token in a file that only you can read.\n"
    )
    assert desk.fake.asked == []


@pytest.mark.usefixtures("home")
def test_without_a_terminal_the_way_for_programs_is_told(run: Run, fake: FakeGateway) -> None:
    ran = run("login", fake.url)
    assert (ran.code, ran.err.splitlines()[0]) == (1, "slurm-gateway: there is no terminal to ask for password and code")
    assert ran.err.splitlines()[1].startswith("hint: Where nobody is there to be asked, as in CI, set SLURM_GATEWAY_TOKEN or give --token-file:")


@pytest.mark.usefixtures("home")
def test_without_an_address_for_the_first_time_it_is_told(run: Run) -> None:
    ran = run("login")
    assert (ran.code, ran.err) == (
        2,
        "slurm-gateway: nothing says where to sign in\nhint: Name the gateway as your site told you: slurm-gateway login URL\n",
    )


@pytest.mark.parametrize("answer", [(404, {"nothing": "here"}, {}), (200, {"welcome": "to nginx"}, {}), (204, {}, {})])
def test_an_address_where_no_gateway_is_gets_no_password(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    monkeypatch.setattr("gateway.cli.terminal.is_there", lambda: True)
    monkeypatch.setattr(FakeGateway, "answer", lambda *_: answer)
    ran = run("login", desk.fake.url)
    assert (ran.code, ran.err) == (
        1,
        f"slurm-gateway: {desk.fake.url} answers, but is no gateway\nhint: Check the address: your administrators told you one.\n",
    )


def test_a_gateway_that_cannot_be_reached_is_told_before_anything_is_asked(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.terminal.is_there", lambda: True)
    monkeypatch.setattr("gateway.cli.login._PATIENCE", 0.0)
    del desk
    ran = run("login", "http://127.0.0.1:1")
    assert (ran.code, ran.err) == (
        1,
        "slurm-gateway: http://127.0.0.1:1 cannot be reached: Connection refused\nhint: Check the address and your network.\n",
    )


@pytest.mark.parametrize(
    ("file", "home", "line"),
    [
        ("/home/alice/.config/slurm-gateway/x.header", "/home/alice", "curl -H @$HOME/.config/slurm-gateway/x.header https://g/slurm/latest/jobs"),
        ("/etc/x.header", "/home/alice", "curl -H @/etc/x.header https://g/slurm/latest/jobs"),
        ("/home/a b/x.header", "/home/a b", "curl -H @'/home/a b/x.header' https://g/slurm/latest/jobs"),
        ("/home/alice/a b/x.header", "/home/alice", "curl -H @$HOME/'a b/x.header' https://g/slurm/latest/jobs"),
        ("/x.header", "", "curl -H @/x.header https://g/slurm/latest/jobs"),
    ],
)
def test_the_line_for_curl_is_safe_for_the_shell(file: str, home: str, line: str) -> None:
    assert curl_line(Path(file), Site(url="https://g"), home) == line
    assert shlex.split(line.replace("$HOME", shlex.quote(home)))[2] == f"@{file}"


def test_the_line_for_curl_names_the_ca() -> None:
    line = curl_line(Path("/x.header"), Site(url="https://g", ca="/c a.pem"), "/home/alice")
    assert line == "curl --cacert '/c a.pem' -H @/x.header https://g/slurm/latest/jobs"


def test_a_ca_is_remembered_from_everywhere(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.home)
    answering(monkeypatch)
    assert run("login", desk.fake.url, "--user", "alice", "--ca", "ca.pem").code == 0
    assert desk.sites.site()[1].ca == str(desk.home / "ca.pem")
    desk.fake.codes.append(CODE)
    assert run("login", "--user", "alice").code == 0
    assert desk.sites.site()[1].ca == str(desk.home / "ca.pem")


def test_a_token_in_the_environment_that_goes_before_is_told(run: Run, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GATEWAY_TOKEN", "sgw_x")
    answering(monkeypatch)
    ran = run("login", desk.fake.url, "--user", "alice")
    assert (ran.code, ran.err) == (0, "SLURM_GATEWAY_TOKEN is set: the other commands use that token, not this session.\n")


def test_a_name_that_a_gateway_gives_is_not_the_terminals_to_obey(desk: Desk) -> None:
    desk.fake.users = ("al\x1b[2jice",)
    with desk.types("login", desk.fake.url, "--user", "al\x1b[2jice") as terminal:
        terminal.answer("Password of al?[2jice: ", PASSWORD)
        terminal.answer("Code: ", CODE)
        assert terminal.ended() == 0
    assert (f"Signed in to {desk.fake.url} as al?[2jice" in terminal.shown, "\x1b" in terminal.shown) == (True, False)


def test_of_two_sign_ins_at_once_each_ends_the_one_that_it_takes_the_place_of(desk: Desk) -> None:
    with (
        desk.types("login", desk.fake.url, "--user", "alice") as first,
        desk.types("login", desk.fake.url, "--user", "alice") as second,
    ):
        for terminal in (first, second):
            terminal.answer("Password of alice: ", PASSWORD)
        first.answer("Code: ", CODE)
        assert first.ended() == 0
        second.answer("Code: ", "000101")
        assert second.ended() == 0
    assert list(desk.fake.known) == [desk.kept()]

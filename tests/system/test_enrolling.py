"""Second factors of one's own on the real site: by munge as a login node's user, with a ticket, in a session; each through nginx."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.support import Answer, Site, one_time_code
from tests.terminal import Terminal


@pytest.fixture
def carol(site: Site) -> Iterator[str]:
    """Somebody without a second factor, before the test and after it."""
    yield "carol"
    site.gateway("disenroll", "carol", check=False)


def post(site: Site, path: str, tree: object, token: str | None = None) -> Answer:
    headers = [("Content-Type", "application/json"), *([("Authorization", f"Bearer {token}")] if token else [])]
    return site.ask("POST", path, headers=headers, body=json.dumps(tree).encode())


def now_step() -> int:
    return int(time.time() // 30)


def munge(site: Site, user: str, payload: str) -> str:
    """Return a credential of this user's, from the site's own munged."""
    command = ["munge", f"--socket={site.state}/run/munge/munge.sock"]
    number = site.uid(user)
    return subprocess.run(command, input=payload, capture_output=True, text=True, check=True, user=number, group=number).stdout.strip()


def redeem(site: Site, user: str, ticket: str, password: str | None = None) -> Answer:
    return post(site, "/auth/totp", {"username": user, "password": password or site.password(user), "ticket": ticket})


def issue(site: Site, user: str) -> str:
    return str(json.loads(site.gateway("enroll", "--ticket", user, "--json").stdout)["ticket"])


def test_enroll_me_gives_a_login_nodes_user_a_second_factor(site: Site, carol: str) -> None:
    where = [site.told["url"], "--ca", site.told["ca_file"], "--munge-socket", f"{site.state}/run/munge/munge.sock", "--name", "telephone"]
    command = [*site.told["command"], "enroll-me", *where]
    number, pipe = site.uid(carol), subprocess.PIPE
    running = subprocess.Popen(
        command, text=True, cwd="/", env={"PATH": os.environ["PATH"]}, stdin=pipe, stdout=pipe, stderr=pipe, user=number, group=number
    )
    with running as process:
        assert process.stdout is not None
        assert process.stderr is not None
        shown: list[str] = []
        while not (shown and shown[-1].startswith("secret:")):
            shown.append(process.stdout.readline())
            assert shown[-1], process.stderr.read()
        secret = shown[-1].split()[1]
        out, err = process.communicate(one_time_code(secret, now_step()) + "\n", timeout=30)
    assert (process.returncode, "Recovery codes" in out) == (0, True), err
    assert site.login(carol, one_time_code(secret, now_step() + 1)).status == 200
    lines = site.audit_lines(event="enrol", user=carol)
    assert (lines[-1]["cause"], lines[-1]["name"]) == ("by_munge", "telephone")


def test_a_ticket_and_the_password_enrol_through_nginx(site: Site, carol: str) -> None:
    begun = redeem(site, carol, issue(site, carol))
    assert begun.status == 200, begun.body
    code = one_time_code(begun.json["secret"], now_step())
    assert site.login(carol, code).reason == "enrolment_required"
    confirmed = post(site, "/auth/totp/confirm", {"otp": code}, begun.json["token"])
    assert (confirmed.status, len(set(confirmed.json["recovery_codes"]))) == (200, 10)
    assert site.login(carol, code).reason == "credentials_refused"
    assert site.login(carol, one_time_code(begun.json["secret"], now_step() + 1)).status == 200


def test_enroll_me_redeems_a_ticket_anywhere(site: Site, carol: str, tmp_path: Path) -> None:
    words = [*site.told["command"], "enroll-me", site.told["url"], "--ca", site.told["ca_file"], "--ticket", "--user", carol]
    with Terminal(words, {"HOME": str(tmp_path), "PATH": "/nowhere", "LANG": "C.UTF-8"}) as terminal:
        terminal.answer("Password: ", site.password(carol))
        terminal.answer("Ticket: ", issue(site, carol))
        terminal.wait_for("The code that it shows now: ")
        secret = re.findall(r"secret:  ([A-Z2-7]+)", terminal.shown)[-1]
        terminal.type(f"{one_time_code(secret, now_step())}\n")
        assert terminal.ended() == 0, terminal.shown
    assert site.login(carol, one_time_code(secret, now_step() + 1)).status == 200
    assert site.audit_lines(event="enrol", user=carol)[-1]["cause"] == "by_ticket"


def test_of_a_ticket_that_is_redeemed_many_times_at_once_one_is_good(site: Site, carol: str) -> None:
    ticket = issue(site, carol)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: redeem(site, carol, ticket), range(40)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.status for answer in answers} <= {200, 401, 429}
    site.gateway("users", "unlock", carol)


def test_a_stolen_shell_of_somebody_who_is_enrolled_adds_nothing(site: Site) -> None:
    credential = munge(site, "bob", "slurm-gateway enrol 1 127.0.0.1")
    site.fresh_code("bob")
    answer = post(site, "/auth/totp", {"munge": credential})
    assert (answer.status, answer.reason) == (409, "already_enrolled")


@pytest.mark.parametrize("user", ["dave", "erin"])
def test_who_may_not_come_in_does_not_enrol_by_munge(site: Site, user: str) -> None:
    credential = munge(site, user, "slurm-gateway enrol 1 127.0.0.1")
    assert post(site, "/auth/totp", {"munge": credential}).reason == "not_permitted"


def test_root_does_not_enrol_by_munge(site: Site) -> None:
    command = ["munge", f"--socket={site.state}/run/munge/munge.sock"]
    done = subprocess.run(command, input="slurm-gateway enrol 1 127.0.0.1", capture_output=True, text=True, check=True)
    assert post(site, "/auth/totp", {"munge": done.stdout.strip()}).reason == "credentials_refused"


def test_a_credential_that_was_made_for_slurm_is_none_of_ours(site: Site, carol: str) -> None:
    assert post(site, "/auth/totp", {"munge": munge(site, carol, "")}).reason == "credentials_refused"


def test_a_credential_is_good_once(site: Site, carol: str) -> None:
    credential = munge(site, carol, "slurm-gateway enrol 1 127.0.0.1")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: post(site, "/auth/totp", {"munge": credential}), range(30)))
    assert sum(answer.status == 200 for answer in answers) == 1


def test_a_session_adds_one_more_and_both_sign_in(site: Site) -> None:
    first = site.fresh_code("bob")
    token = site.login("bob", first).json["token"]
    begun = post(site, "/auth/totp", {"name": "tablet"}, token)
    secret = begun.json["secret"]
    assert post(site, "/auth/totp/confirm", {"otp": one_time_code(secret, now_step())}, token).status == 200
    for known in (secret, site.secret("bob")):
        assert site.login("bob", one_time_code(known, now_step() + 1)).status == 200
    listed = site.ask("GET", "/auth/totp", headers=[("Authorization", f"Bearer {token}")]).json
    assert [one["name"] for one in listed["authenticators"]] == ["authenticator", "tablet"]


@pytest.mark.parametrize(("off", "said"), [(-6, "3 minutes slow"), (6, "3 minutes fast")])
def test_a_clock_that_is_off_is_told_to_whoever_knew_the_password(site: Site, off: int, said: str) -> None:
    site.fresh_code("bob")
    code = one_time_code(site.secret("bob"), now_step() + off)
    assert said in site.login("bob", code).json["detail"]
    assert said not in site.login("bob", code, password="wrong").json["detail"]


@pytest.mark.parametrize("code", ["", "1", "12345", "1234567", "\uff11\uff12\uff13\uff14\uff15\uff16", "\u00b9\u00b2\u00b3\u2074\u2075\u2076"])
def test_what_is_no_code_confirms_nothing(site: Site, carol: str, code: str) -> None:
    begun = redeem(site, carol, issue(site, carol))
    assert post(site, "/auth/totp/confirm", {"otp": code}, begun.json["token"]).reason == "credentials_refused"


def test_the_token_of_an_enrolment_opens_nothing_of_slurms(site: Site, carol: str) -> None:
    token = redeem(site, carol, issue(site, carol)).json["token"]
    for header in (("Authorization", f"Bearer {token}"), ("X-SLURM-USER-TOKEN", token)):
        assert site.ask("GET", "/slurm/v0.0.36/ping", headers=[header]).status == 403

"""Signing in on the real site: both factors, one answer to whatever is wrong, each code once, and names that nobody may be."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.support import Site, one_time_code, wait_for


def basic(site: Site, user: str, otp: str, *, password: str | None = None) -> list[tuple[str, str]]:
    value = base64.b64encode(f"{user}:{password or site.password(user)}".encode()).decode()
    return [("Authorization", f"Basic {value}"), ("X-OTP", otp)]


def test_both_factors_give_a_token_that_opens_a_session(site: Site) -> None:
    answer = site.login("bob", site.fresh_code("bob"))
    assert answer.status == 200
    assert set(answer.json) == {"token", "token_type", "expires_in", "expires_at", "username"}
    session = site.ask("GET", "/auth/session", headers=[("Authorization", f"Bearer {answer.json['token']}")])
    assert session.json["username"] == "bob"
    assert answer.json["token"].encode() not in session.body


def test_basic_with_otp_and_text_plain_gives_the_bare_token(site: Site) -> None:
    answer = site.ask("POST", "/auth/login", headers=[*basic(site, "bob", site.fresh_code("bob")), ("Accept", "text/plain"), ("Content-Length", "0")])
    assert answer.status == 200
    assert answer.body.startswith(b"sgw_")
    assert answer.body.count(b"\n") == 1


def test_the_name_is_the_directorys_own_however_it_was_typed(site: Site) -> None:
    code = site.fresh_code("bob")
    body = json.dumps({"username": "BOB", "password": site.password("bob"), "otp": code}).encode()
    assert site.ask("POST", "/auth/login", body=body).json["username"] == "bob"


def test_an_ended_session_is_dead_within_a_second(site: Site) -> None:
    token = [("Authorization", f"Bearer {site.login('bob', site.fresh_code('bob')).json['token']}")]
    assert site.ask("GET", "/slurm/v0.0.36/ping", headers=token).status == 200
    assert site.ask("DELETE", "/auth/session", headers=token).status == 204
    wait_for(lambda: site.ask("GET", "/slurm/v0.0.36/ping", headers=token).status == 401, 1, "the end of the session")


def test_one_shot_credentials_carry_one_request(site: Site) -> None:
    headers = basic(site, "bob", site.fresh_code("bob"))
    assert site.ask("GET", "/slurm/v0.0.36/ping", headers=headers).status == 200
    assert site.ask("GET", "/slurm/v0.0.36/ping", headers=headers).reason == "credentials_refused"


def test_a_recovery_code_stands_in_for_a_code_once(site: Site) -> None:
    site.gateway("disenroll", "bob", check=False)
    recovery = json.loads(site.gateway("enroll", "bob", "--json").stdout)["recovery_codes"][0]
    assert site.login("bob", recovery).status == 200
    assert site.login("bob", recovery).reason == "credentials_refused"


def test_a_hundred_parallel_sign_ins_with_one_code_give_exactly_one_token(site: Site) -> None:
    code = site.fresh_code("bob")
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: site.login("bob", code), range(100)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.status for answer in answers} <= {200, 401, 429}
    assert sum(b"sgw_" in answer.body for answer in answers) == 1


def test_an_older_code_after_a_newer_one_is_refused(site: Site) -> None:
    code = site.fresh_code("bob")
    step = int(time.time() // 30)
    assert site.login("bob", one_time_code(site.secret("bob"), step + 1)).status == 200
    assert site.login("bob", code).reason == "credentials_refused"


def test_every_wrong_thing_gets_the_same_answer(site: Site) -> None:
    good = site.fresh_code("bob")
    wrong_code = f"{(int(good) + 500_000) % 10**6:06d}"
    answers = [
        site.login("bob", good, password="wrong"),
        site.login("bob", wrong_code),
        site.login("nobody-here", good, password="wrong"),
        site.login("erin", one_time_code(site.secret("erin"), int(time.time() // 30))),
    ]
    assert {answer.status for answer in answers} == {401}
    bodies = [{key: value for key, value in answer.json.items() if key != "request_id"} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["reason"] == "credentials_refused"
    assert len({tuple(sorted(set(answer.headers) - {"Date", "X-Request-ID"})) for answer in answers}) == 1


def test_somebody_without_a_second_factor_is_told_to_enrol(site: Site) -> None:
    assert site.login("carol", "123456").reason == "enrolment_required"


@pytest.mark.parametrize("user", ["dave", "root", "slurm", "33"])
def test_who_may_not_come_in_does_not_with_both_factors_right(site: Site, user: str) -> None:
    answer = site.login(user, site.fresh_code(user))
    assert (answer.status, answer.reason) == (403, "not_permitted")
    assert b"sgw_" not in answer.body


@pytest.mark.parametrize("user", ["dave", "root", "slurm", "33"])
def test_who_may_not_come_in_cannot_send_one_request_either(site: Site, user: str) -> None:
    assert site.ask("GET", "/slurm/v0.0.36/ping", headers=basic(site, user, site.fresh_code(user))).status == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"username":"bob"}', b"[" * 5000, b'{"username":["bob"],"password":1,"otp":null}', b"\xff\xfe"])
def test_a_malformed_sign_in_is_told_what_is_wrong(site: Site, body: bytes) -> None:
    answer = site.ask("POST", "/auth/login", body=body)
    assert (answer.status, answer.reason) == (400, "bad_request")
    assert answer.json["hint"]


@pytest.mark.parametrize("password", ["", " ", "\0", "x\0y"])
def test_a_password_that_cannot_be_right_is_refused(site: Site, password: str) -> None:
    assert site.login("bob", "123456", password=password).reason == "credentials_refused"


def test_a_sign_in_is_in_the_audit_trail_without_its_secrets(site: Site) -> None:
    answer = site.login("bob", site.fresh_code("bob"))
    (line,) = site.audit_lines(request_id=answer.headers["X-Request-ID"])
    assert (line["event"], line["user"], line["address"], line["factor"]) == ("sign_in", "bob", "127.0.0.1", "totp")
    trail = (site.state / "gateway" / "audit.jsonl").read_text()
    assert site.password("bob") not in trail
    assert answer.json["token"] not in trail

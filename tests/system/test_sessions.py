"""Sessions and personal tokens on the real site, through nginx and on a second gateway with two workers: what ends is over everywhere within 1 s."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.second_gateway import SecondGateway, second_gateway
from tests.system.support import Answer, Site, one_time_code, wait_for

PING = "/slurm/v0.0.36/ping"
RECHECK = 2.0
# What a busy machine adds to the second in which an end takes effect.
SLACK = 0.5


@pytest.fixture(scope="module")
def second(site: Site) -> Iterator[SecondGateway]:
    with second_gateway(site, recheck=f"{RECHECK:.0f}s") as gateway:
        yield gateway


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


def signed_in(site: Site, user: str = "bob") -> str:
    answer = site.login(user, site.fresh_code(user))
    assert answer.status == 200, answer.body
    return str(answer.json["token"])


def again(site: Site, user: str = "bob") -> str:
    """Sign in once more with the second factor that is there, beside the sessions that are."""
    answer = site.login(user, one_time_code(site.secret(user), int(time.time() // 30) + 1))
    assert answer.status == 200, answer.body
    return str(answer.json["token"])


def post(site: Site, token: str, path: str, tree: object) -> Answer:
    return site.ask("POST", path, headers=[*bearer(token), ("Content-Type", "application/json")], body=json.dumps(tree).encode())


def sessions_of(site: Site, token: str) -> list[dict[str, Any]]:
    return list(site.ask("GET", "/auth/sessions", headers=bearer(token)).json["sessions"])


def statuses(second: SecondGateway, token: str, count: int = 24) -> set[int]:
    """Ask often enough, and at once, that both workers answer."""
    with ThreadPoolExecutor(8) as threads:
        return set(threads.map(lambda _: second.ask("GET", PING, headers=bearer(token)).status, range(count)))


def dead_everywhere_within_a_second(site: Site, second: SecondGateway, token: str, since: float) -> None:
    time.sleep(max(0.0, since + 1.0 - time.monotonic()))  # the second that the contract gives
    assert statuses(second, token) == {401}
    assert site.ask("GET", PING, headers=bearer(token)).status == 401


def test_my_sessions_show_where_they_are_from(site: Site) -> None:
    first = signed_in(site)
    second_one = again(site)
    listed = sessions_of(site, second_one)
    assert [session["current"] for session in listed[:2]] == [True, False]
    assert (listed[0]["address"], listed[0]["factor"]) == ("127.0.0.1", "totp")
    assert first not in str(listed)


@pytest.mark.parametrize("way", ["signing out", "from another session", "on the other node", "by an administrator", "all of them", "all they have"])
def test_an_end_takes_effect_within_a_second_on_every_worker_and_node(site: Site, second: SecondGateway, way: str) -> None:
    token = signed_in(site)
    mine = next(str(session["id"]) for session in sessions_of(site, token) if session["current"])
    assert statuses(second, token) == {200}
    assert site.ask("GET", PING, headers=bearer(token)).status == 200
    if way == "signing out":
        assert site.ask("DELETE", "/auth/session", headers=bearer(token)).status == 204
    elif way == "from another session":
        assert site.ask("DELETE", f"/auth/sessions/{mine}", headers=bearer(again(site))).status == 204
    elif way == "on the other node":
        assert second.ask("DELETE", "/auth/session", headers=bearer(token)).status == 204
    else:
        words = {"by an administrator": ["sessions", "end", mine], "all of them": ["sessions", "end", "--user", "bob"]}
        site.gateway(*words.get(way, ["users", "end", "bob"]))
    dead_everywhere_within_a_second(site, second, token, time.monotonic())


def test_an_end_by_an_administrator_is_in_the_trail(site: Site) -> None:
    token = signed_in(site)
    mine = sessions_of(site, token)[0]["id"]
    site.gateway("sessions", "end", mine)
    (line,) = site.audit_lines(event="session_ended", target=mine)
    assert (line["user"], line["address"]) == ("bob", "local")


def test_a_step_up_is_seen_on_every_worker_and_node_within_a_second(site: Site, second: SecondGateway) -> None:
    token = signed_in(site)
    code = one_time_code(site.secret("bob"), int(time.time() // 30) + 1)
    time.sleep(1.1)  # times are told to the second
    before = second.ask("GET", "/auth/session", headers=bearer(token)).json["second_factor_at"]
    answer = post(site, token, "/auth/stepup", {"otp": code})
    assert answer.status == 200, answer.body
    assert answer.json["second_factor_at"] > before

    def seen() -> bool:
        told = {second.ask("GET", "/auth/session", headers=bearer(token)).json["second_factor_at"] for _ in range(8)}
        return told == {answer.json["second_factor_at"]}

    wait_for(seen, 1 + SLACK, "the step-up on the other node")
    assert post(site, token, "/auth/stepup", {"otp": code}).reason == "credentials_refused"
    (line,) = site.audit_lines(event="step_up", request_id=answer.headers["X-Request-ID"])
    assert (line["user"], line["factor"]) == ("bob", "totp")


def test_two_hundred_step_ups_with_one_code_at_once_give_one(site: Site) -> None:
    token = signed_in(site)
    code = one_time_code(site.secret("bob"), int(time.time() // 30) + 1)
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: post(site, token, "/auth/stepup", {"otp": code}), range(200)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.status for answer in answers} <= {200, 401, 429}
    site.gateway("users", "unlock", "bob")


def test_a_personal_token_works_until_it_is_revoked(site: Site, second: SecondGateway) -> None:
    session = signed_in(site)
    made = post(site, session, "/auth/tokens", {"name": "nightly", "scopes": ["read"], "expires_in": 3600})
    assert made.status == 201, made.body
    token = str(made.json["token"])
    assert statuses(second, token) == {200}
    assert post(site, token, "/auth/tokens", {"name": "more", "scopes": ["admin"]}).reason == "not_permitted"
    listed = json.loads(site.gateway("tokens", "list", "--user", "bob", "--json").stdout)["tokens"]
    assert [row["name"] for row in listed if row["id"] == made.json["id"]] == ["nightly"]
    site.gateway("tokens", "revoke", made.json["id"])
    dead_everywhere_within_a_second(site, second, token, time.monotonic())
    assert site.ask("GET", PING, headers=bearer(session)).status == 200


def test_a_personal_token_is_bound_to_the_network_that_nginx_sees(site: Site) -> None:
    session = signed_in(site)
    here, elsewhere = (
        post(site, session, "/auth/tokens", {"name": name, "networks": [network]}).json["token"]
        for name, network in (("here", "127.0.0.0/8"), ("elsewhere", "192.0.2.0/24"))
    )
    assert site.ask("GET", PING, headers=bearer(here)).status == 200
    forged = [("X-Forwarded-For", "192.0.2.1"), ("X-Real-IP", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")]
    for headers in ([], forged):
        assert site.ask("GET", PING, headers=[*bearer(elsewhere), *headers]).reason == "not_permitted"


def test_who_is_locked_out_by_guessing_is_unlocked(site: Site) -> None:
    code = site.fresh_code("bob")
    answers = [site.login("bob", code, password="wrong") for _ in range(11)]
    assert (answers[-1].status, answers[-1].reason) == (429, "throttled")
    assert "failed attempt(s) forgotten" in site.gateway("users", "unlock", "bob").stdout
    assert site.login("bob", site.fresh_code("bob")).status == 200


def change_group(site: Site, verb: str, user: str) -> None:
    """Put somebody into hpc-users, or take them out."""
    told = site.told["ldap"]
    change = f"dn: cn=hpc-users,ou=groups,{told['base_dn']}\nchangetype: modify\n{verb}: member\nmember: uid={user},ou=people,{told['base_dn']}\n"
    path = site.state / "change.ldif"
    path.write_text(change)
    # The password is read from standard input, for it must not stand on a command line.
    command = ["ldapmodify", "-H", told["url"], "-x", "-D", told["admin_dn"], "-y", "/dev/stdin", "-f", str(path)]
    environment = {**os.environ, "LDAPTLS_CACERT": site.told["ca_file"]}
    subprocess.run(command, input=told["admin_password"], text=True, check=True, capture_output=True, env=environment, timeout=20)
    path.unlink()


def test_who_is_taken_out_of_the_group_loses_every_session_and_token(site: Site, second: SecondGateway) -> None:
    session = signed_in(site)
    token = str(post(site, session, "/auth/tokens", {"name": "ci"}).json["token"])
    assert [statuses(second, one) for one in (session, token)] == [{200}, {200}]
    change_group(site, "delete", "bob")
    try:
        wait_for(lambda: second.ask("GET", PING, headers=bearer(token)).status == 401, RECHECK + 3, "the next look at the account")
        since = time.monotonic()
        for one in (token, session):
            dead_everywhere_within_a_second(site, second, one, since)
        assert site.audit_lines(event="sessions_ended", user="bob", cause="not_in_required_group")
        assert (site.login("bob", site.fresh_code("bob")).reason) == "not_permitted"
    finally:
        change_group(site, "add", "bob")
    assert site.login("bob", site.fresh_code("bob")).status == 200
    assert site.ask("GET", PING, headers=bearer(session)).status == 401

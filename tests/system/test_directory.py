"""The site's own OpenLDAP: what is changed in it is seen at the next sign-in, and told apart in the trail but not to the outside."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import ldap
import pytest

from tests.system.support import Answer, Site, one_time_code

Change = tuple[int, str, bytes | None]


@contextlib.contextmanager
def administrator(site: Site) -> Iterator[Any]:
    """Give a connection to the directory on which its administrator is bound."""
    told = site.told["ldap"]
    connection = ldap.initialize(told["url"])
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, site.told["ca_file"])
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    connection.simple_bind_s(told["admin_dn"], told["admin_password"])
    try:
        yield connection
    finally:
        connection.unbind_s()


@contextlib.contextmanager
def changed(site: Site, dn: str, *, do: list[Change], undo: list[Change]) -> Iterator[None]:
    """Change an entry, and change it back."""
    with administrator(site) as connection:
        connection.modify_s(dn, do)
    try:
        yield
    finally:
        with administrator(site) as connection:
            connection.modify_s(dn, undo)


def person(site: Site, name: str) -> str:
    return f"uid={name},ou=people,{site.told['ldap']['base_dn']}"


def group(site: Site, name: str) -> str:
    return f"cn={name},ou=groups,{site.told['ldap']['base_dn']}"


def cause_of(site: Site, answer: Answer) -> object:
    (line,) = site.audit_lines(request_id=answer.headers["X-Request-ID"])
    return line["cause"]


def steps(site: Site, user: str) -> dict[str, tuple[str, str]]:
    """Return what ``directory check`` says of somebody, by step."""
    told = json.loads(site.gateway("directory", "check", user, "--json", check=False).stdout)
    return {step["step"]: (step["outcome"], step["found"]) for step in told}


def test_a_lock_of_the_administrators_is_seen_without_a_password(site: Site) -> None:
    assert steps(site, "erin")["account"] == ("failed", "account_locked")


def test_a_lock_of_the_administrators_is_told_apart_in_the_trail_alone(site: Site) -> None:
    answer = site.login("erin", one_time_code(site.secret("erin"), int(time.time() // 30)))
    assert (answer.status, answer.reason, cause_of(site, answer)) == (401, "credentials_refused", "account_locked")


@pytest.mark.parametrize("user", ["alice", "adele"])
def test_who_may_sign_in_is_all_well(site: Site, user: str) -> None:
    ran = site.gateway("directory", "check", user)
    assert "FAILED" not in ran.stdout
    assert f"Slurm user {user}, uid {site.uid(user)}" in ran.stdout


@pytest.mark.parametrize(
    ("user", "step"), [("dave", "member required"), ("root", "token"), ("slurm", "token"), ("33", "token"), ("nobody-here", "user")]
)
def test_who_may_not_is_told_why(site: Site, user: str, step: str) -> None:
    assert [name for name, (outcome, _) in steps(site, user).items() if outcome == "failed"] == [step]


def test_a_password_that_was_reset_is_refused_until_it_is_changed(site: Site) -> None:
    code = site.fresh_code("bob")
    with changed(site, person(site, "bob"), do=[(ldap.MOD_REPLACE, "pwdReset", b"TRUE")], undo=[(ldap.MOD_DELETE, "pwdReset", None)]):
        answer = site.login("bob", code)
        assert (answer.status, answer.reason, cause_of(site, answer)) == (401, "credentials_refused", "password_must_change")
    assert site.login("bob", code).status == 200


def test_somebody_locked_for_good_is_refused_until_unlocked(site: Site) -> None:
    code = site.fresh_code("bob")
    locked = (ldap.MOD_REPLACE, "pwdAccountLockedTime", b"000001010000Z")
    with changed(site, person(site, "bob"), do=[locked], undo=[(ldap.MOD_DELETE, "pwdAccountLockedTime", None)]):
        answer = site.login("bob", code)
        assert (answer.status, cause_of(site, answer)) == (401, "account_locked")
        assert steps(site, "bob")["account"] == ("failed", "account_locked")
    assert site.login("bob", code).status == 200


def test_who_is_taken_out_of_the_group_is_not_let_in(site: Site) -> None:
    code, member = site.fresh_code("bob"), person(site, "bob").encode()
    out, back = (ldap.MOD_DELETE, "member", member), (ldap.MOD_ADD, "member", member)
    with changed(site, group(site, "hpc-users"), do=[out], undo=[back]):
        answer = site.login("bob", code)
        assert (answer.status, answer.reason) == (403, "not_permitted")
    assert site.login("bob", site.fresh_code("bob")).status == 200


@pytest.mark.parametrize("typed", ["bob@other.example", "OTHER\\bob"])
def test_a_name_of_another_domain_gets_the_answer_of_a_wrong_password(site: Site, typed: str) -> None:
    body = json.dumps({"username": typed, "password": site.password("bob"), "otp": "123456"}).encode()
    answer = site.ask("POST", "/auth/login", body=body)
    assert (answer.status, answer.reason, cause_of(site, answer)) == (401, "credentials_refused", "domain_foreign")

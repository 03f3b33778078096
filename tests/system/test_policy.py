"""The policy on the real site: its built-in rules through nginx, and what ``policy explain`` says of them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest

from tests.system.support import Answer, Site, wait_for

V = "v0.0.37"
JSON = ("Content-Type", "application/json")


def age(site: Site, user: str, seconds: float) -> None:
    """Make the second factor of somebody's sessions so old, in the store, behind the gateway's back."""
    with contextlib.closing(sqlite3.connect(site.state / "gateway" / "gateway.db", timeout=10)) as store:
        store.execute("UPDATE sessions SET second_factor_at = ? WHERE username = ?", (time.time() - seconds, user))
        store.commit()


@pytest.fixture
def bearer(site: Site) -> tuple[str, str]:
    """A session of bob's that no other test has, with a second factor that has just been proved."""
    return ("Authorization", f"Bearer {site.login('bob', site.fresh_code('bob')).json['token']}")


def change_accounting(site: Site, bearer: tuple[str, str], prefix: str = "") -> Answer:
    return site.ask("POST", f"{prefix}/slurmdb/{V}/accounts", headers=[bearer, JSON], body=b'{"accounts": []}')


def explain(site: Site, *words: str) -> tuple[int, dict[str, object]]:
    ran = site.gateway("policy", "explain", "--json", *words, check=False)
    return ran.returncode, json.loads(ran.stdout)


def test_a_change_of_accounting_needs_a_young_second_factor(site: Site, bearer: tuple[str, str]) -> None:
    assert change_accounting(site, bearer).reason is None  # slurmdbd's own words, whatever they are
    age(site, "bob", 301)
    wait_for(lambda: change_accounting(site, bearer).reason == "second_factor_stale", 3, "the refusal")
    assert change_accounting(site, bearer, f"/clusters/{site.told['cluster']}").reason == "second_factor_stale"
    assert change_accounting(site, bearer, "/").reason == "second_factor_stale"
    line = site.audit_lines(reason="second_factor_stale", user="bob")[-1]
    assert (line["rule"], line["cause"], line["status"]) == ("accounting-changes", "policy:accounting-changes", 403)
    age(site, "bob", 0)
    wait_for(lambda: change_accounting(site, bearer).reason is None, 3, "the end of the refusal")


def test_with_an_old_second_factor_jobs_and_reads_go_on(site: Site, bearer: tuple[str, str]) -> None:
    age(site, "bob", 301)
    wait_for(lambda: change_accounting(site, bearer).reason == "second_factor_stale", 3, "the refusal")
    body = json.dumps({"job": site.job("bob"), "script": "#!/bin/sh\ntrue\n"}).encode()
    assert site.ask("POST", f"/slurm/{V}/job/submit", headers=[bearer, JSON], body=body).status == 200
    assert site.ask("GET", f"/slurmdb/{V}/accounts", headers=[bearer]).status == 200


@pytest.mark.parametrize("path", [f"/slurm/{V}/reconfigure", f"//slurm/{V}/%72econfigure/", f"/slurm/{V}/reconfigure?x=y"])
def test_a_get_that_changes_the_cluster_needs_a_young_second_factor(site: Site, bearer: tuple[str, str], path: str) -> None:
    assert site.ask("GET", path, headers=[bearer]).status == 404  # this release has no such call, and says so itself
    age(site, "bob", 301)
    wait_for(lambda: site.ask("GET", path, headers=[bearer]).reason == "second_factor_stale", 3, "the refusal")


def test_a_submission_under_another_name_is_no_call(site: Site, bearer: tuple[str, str]) -> None:
    """slurmrestd itself would take it for job/submit, under the eyes of rules and audit that look for that."""
    body = json.dumps({"job": site.job("bob"), "script": "#!/bin/sh\ntrue\n"}).encode()
    assert site.ask("POST", f"/slurm/{V}/job", headers=[bearer, JSON], body=body).reason == "not_found"


def test_explain_asks_the_directory_and_says_what_the_client_would_be_told(site: Site) -> None:
    call = ("--method", "POST", "--path", f"/slurmdb/{V}/accounts")
    code, told = explain(site, "--user", "alice", *call)
    assert (code, told["allowed"], told["rule"], "required" in told["groups"]) == (0, True, "accounting-changes", True)  # type: ignore[operator]
    code, told = explain(site, "--user", "alice", *call, "--second-factor-age", "6m")
    assert (code, told["status"], told["reason"]) == (1, 403, "second_factor_stale")


@pytest.mark.parametrize(("user", "cause"), [("dave", "not_in_required_group"), ("nobody-here", "user_unknown"), ("33", "name_all_digits")])
def test_explain_says_who_could_not_even_sign_in(site: Site, user: str, cause: str) -> None:
    code, told = explain(site, "--user", user, "--method", "GET", "--path", f"/slurm/{V}/ping")
    assert (code, told["allowed"], told["cause"]) == (1, False, cause)


def test_the_rules_know_the_sites_groups(site: Site) -> None:
    code, told = explain(site, "--user", "adele", "--method", "GET", "--path", f"/slurm/{V}/ping", "--groups", "required,hpc-admins")
    assert (code, told["groups"]) == (0, ["hpc-admins", "required"])


def test_the_rules_in_force_are_shown(site: Site) -> None:
    shown = site.gateway("policy", "show").stdout
    assert shown.count("[[policy.rules]]") == 5
    assert 'second_factor_within = "5m"' in shown

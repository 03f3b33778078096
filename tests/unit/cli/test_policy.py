from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.policy import toml
from gateway.config import load
from gateway.errors import DirectoryUnavailable
from gateway.policy.rules import BUILT_IN
from gateway.signin.account import Account, Denied
from tests.unit.cli.conftest import Ran, Run, failure
from tests.unit.fakes import FakeDirectory

V = "/slurm/v0.0.40"
SITE_RULES = f"""
[directory.groups]
ops = "cn=ops,dc=example,dc=org"

[[policy.rules]]
name = "nights off"
effect = "deny"
networks = ["192.0.2.0/24"]
[[policy.rules]]
name = "operators"
effect = "allow"
groups = ["ops"]
paths = ["{V}/**"]
"""


NO_SPAN = '--second-factor-age: a duration is written with its unit: "500ms", "60s", "5m", "12h" or "1d"'


class _Directory(FakeDirectory):
    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account | Denied | Exception], None]:
    """Put an answer into the directory."""

    def put(answer: Account | Denied | Exception) -> None:
        monkeypatch.setattr("gateway.cli.policy.LdapDirectory", lambda _settings: _Directory(answer))

    return put


@pytest.fixture
def with_rules(config: Path) -> Path:
    config.write_text(config.read_text() + SITE_RULES)
    return config


def alice(**more: Any) -> Account:
    return Account(**{"username": "alice", "uid": 2001, "groups": frozenset({"required"}), **more})


@pytest.fixture
def explain(run: Run, config: Path) -> Callable[..., Ran]:
    def ran(method: str, path: str, *more: object, groups: str = "required") -> Ran:
        return run("--config", config, "policy", "explain", "--user", "alice", "--method", method, "--path", path, "--groups", groups, *more)

    return ran


Explain = Callable[..., Ran]


def test_the_rules_that_are_shown_are_those_that_can_be_written_down(run: Run, config: Path) -> None:
    shown = run("--config", config, "policy", "show")
    config.write_text(config.read_text() + shown.out)
    assert (shown.code, load(config).policy.rules) == (0, BUILT_IN)


def test_rules_of_the_site_are_shown_as_they_are_in_force(run: Run, with_rules: Path) -> None:
    shown = run("--config", with_rules, "policy", "show")
    rules = load(with_rules).policy.rules
    assert rules is not None
    assert shown.out == f"# The rules of the configuration. The first that matches decides; what none matches is denied.\n{toml(rules)}"
    assert 'networks = ["192.0.2.0/24"]' in shown.out


def test_a_program_gets_the_rules_as_a_list(run: Run, config: Path) -> None:
    rules = json.loads(run("--config", config, "policy", "show", "--json").out)
    assert [rule["name"] for rule in rules] == [rule.name for rule in BUILT_IN]
    assert rules[0]["second_factor_within"] == "5m"


def test_each_rule_says_why_it_is_passed_over_and_one_decides(explain: Explain) -> None:
    ran = explain("GET", f"{V}/job/7", "--address", "192.0.2.7")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "alice, in required, by session, from address 192.0.2.7, second factor just proved:",
        "  GET /slurm/v0.0.40/job/7 on cluster main",
        "rule accounting-changes does not match: method: GET is not POST or DELETE; path: /slurm/v0.0.40/job/7 is not /slurmdb/**",
        "rule reconfigure does not match: path: /slurm/v0.0.40/job/7 is not /slurm/*/reconfigure/**",
        "rule jobs decides: allow",
        "allowed: the request goes to Slurm, which has the last word",
    ]


def test_a_stale_factor_is_what_the_client_would_be_told(explain: Explain) -> None:
    ran = explain("GET", f"{V}/reconfigure", "--second-factor-age", "6m")
    assert ran.code == 1
    assert ran.out.splitlines()[-2:] == [
        "rule reconfigure decides: allow, but with a second factor proved within 5m only",
        "refused: 403 second_factor_stale (policy:reconfigure): This call needs a second factor that was proved within the last 5m.",
    ]


@pytest.mark.parametrize(("age", "code"), [("5m", 0), ("301s", 1), ("1d", 1)])
def test_the_age_of_the_second_factor_counts(explain: Explain, age: str, code: int) -> None:
    assert explain("POST", "/slurmdb/v0.0.40/users", "--second-factor-age", age).code == code


def test_what_no_rule_names_is_denied_by_default(explain: Explain) -> None:
    ran = explain("GET", f"{V}/ping", groups="")
    assert (ran.code, ran.out.splitlines()[-2]) == (1, "rule default decides: deny")
    assert ran.out.splitlines()[-1].startswith("refused: 403 not_permitted (policy:default): ")


@pytest.mark.parametrize("path", ["//slurm//v0.0.40/reconf%69gure/", "/clusters/main/slurm/v0.0.40/reconfigure?x=1"])
def test_a_path_is_judged_in_its_one_spelling(explain: Explain, path: str) -> None:
    told = json.loads(explain("GET", path, "--json").out)
    assert (told["path"], told["cluster"], told["rule"], told["allowed"]) == ("/slurm/v0.0.40/reconfigure", "main", "reconfigure", True)


@pytest.mark.parametrize(
    ("method", "path", "status", "cause"),
    [
        ("GET", "/slurm/v0.0.40/%2e%2e/x", 400, "path_refused"),
        ("GET", "/slurm/v0.0.40/a%2fb", 400, "path_refused"),
        ("GET", "slurm/v0.0.40/ping", 400, "path_refused"),
        ("GET", "/slurm/v0.0.40", 404, "no_such_path"),
        ("POST", "/slurm/v0.0.40/job", 404, "no_such_path"),
        ("GET", "/clusters/other/slurm/v0.0.40/ping", 404, "no_such_cluster"),
        ("PUT", "/slurm/v0.0.40/ping", 405, "method_not_allowed"),
    ],
)
def test_what_is_refused_before_any_rule_is_said_with_its_reason(explain: Explain, method: str, path: str, status: int, cause: str) -> None:
    ran = explain(method, path, "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["status"], told["cause"], told["rule"], told["passed_over"]) == (1, status, cause, None, [])
    assert f"refused: {status} " in explain(method, path).out


def test_a_token_is_refused_by_its_scopes_whatever_the_rules_say(explain: Explain) -> None:
    told = json.loads(explain("POST", f"{V}/job/submit", "--kind", "token", "--scope", "read", "--scope", "GET /slurmdb/**", "--json").out)
    assert (told["allowed"], told["cause"], told["rule"]) == (False, "token_scope", "jobs")
    assert explain("POST", f"{V}/job/submit", "--kind", "token", "--scope", "read", "--scope", "submit").code == 0


def test_rules_of_the_site_decide_by_network_and_group(run: Run, with_rules: Path) -> None:
    def code(*more: object) -> int:
        words = ("--config", with_rules, "policy", "explain", "--user", "alice", "--method", "GET", "--path", f"{V}/ping", "--groups", "required,ops")
        return run(*words, *more).code

    assert (code(), code("--address", "192.0.2.7"), code("--address", "198.51.100.7")) == (0, 1, 0)


def test_the_directory_tells_the_groups(run: Run, with_rules: Path, people: Callable[[object], None]) -> None:
    people(alice(groups=frozenset({"required", "ops"})))
    told = json.loads(run("--config", with_rules, "policy", "explain", "--user", "alice", "--method", "GET", "--path", f"{V}/ping", "--json").out)
    assert (told["groups"], told["allowed"], told["rule"]) == (["ops", "required"], True, "operators")


@pytest.mark.parametrize(
    ("answer", "status", "cause"),
    [
        (Denied("user_unknown"), 401, "user_unknown"),
        (alice(groups=frozenset()), 403, "not_in_required_group"),
        (alice(barred="account_locked"), 403, "account_locked"),
        (alice(uid=7), 403, "uid_below_minimum"),
    ],
)
def test_who_could_not_even_sign_in_is_said_to_be_so(
    run: Run, config: Path, people: Callable[[object], None], answer: Account | Denied, status: int, cause: str
) -> None:
    people(answer)
    ran = run("--config", config, "policy", "explain", "--user", "alice", "--method", "GET", "--path", f"{V}/ping", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["status"], told["cause"]) == (1, status, cause)


def test_a_directory_that_is_down_is_said_in_one_line(run: Run, config: Path, people: Callable[[object], None]) -> None:
    people(DirectoryUnavailable("ldap://127.0.0.1:1: SERVER_DOWN"))
    ran = run("--config", config, "policy", "explain", "--user", "alice", "--method", "GET", "--path", f"{V}/ping")
    what = "the directory does not answer: ldap://127.0.0.1:1: SERVER_DOWN"
    assert (ran.code, ran.out, ran.err) == (1, "", failure(what, "See to the directory, or give the groups with --groups."))


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (("--groups", "opps"), "no group is called opps", "The policy knows: required."),
        (("--second-factor-age", "5"), NO_SPAN, "Write 90s, 3m, 2h or 1d."),
        (("--second-factor-age", "soon"), NO_SPAN, "Write 90s, 3m, 2h or 1d."),
        (("--address", "here"), "'here' is no address", "Give an IPv4 or IPv6 address, or leave --address out."),
        (("--kind", "jwt"), "--kind: 'jwt' is none of session, token, one_shot", "'slurm-gateway policy explain --help' tells how it is used."),
        (("--cluster", "other"), "there is no cluster 'other'", "There are: main."),
        (
            ("--path", "/clusters/main/slurm/v0.0.40/ping", "--cluster", "main"),
            "the path names a cluster itself",
            "Leave out --cluster, or /clusters/NAME.",
        ),
        (
            ("--user", "alice smith"),
            "'alice smith' is no user name",
            "Give the name as Slurm spells it, in letters, digits, '.', '_' and '-'.",
        ),
        (
            ("--path", "/auth/session"),
            "/auth/session is none of Slurm's paths",
            "The policy is asked about those alone: /slurm/, /slurmdb/, /openapi.",
        ),
    ],
)
def test_what_cannot_be_asked_is_a_matter_of_usage(explain: Explain, words: tuple[str, ...], what: str, hint: str) -> None:
    ran = explain("GET", f"{V}/ping", *words)
    assert (ran.code, ran.out, ran.err) == (2, "", failure(what, hint))


def test_a_cluster_may_be_named_beside_the_path(explain: Explain) -> None:
    assert json.loads(explain("GET", f"{V}/ping", "--cluster", "main", "--json").out)["cluster"] == "main"


def test_what_is_no_path_does_nothing_to_the_terminal(explain: Explain) -> None:
    assert "\x1b" not in explain("GET", "/slurm/v0.0.40/\x1b[2J").out

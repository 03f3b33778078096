"""The policy at the front door: what no rule lets through is refused before slurmrestd hears of it, in whatever spelling it comes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.signin.account import REQUIRED, Account
from gateway.store.sqlite import database_path
from tests.web import fakes
from tests.web.conftest import Build, House

V = "/slurm/v0.0.40"
RECONFIGURE, PING, SUBMIT, USERS = f"{V}/reconfigure", f"{V}/ping", f"{V}/job/submit", "/slurmdb/v0.0.40/users"
JSON = [("Content-Type", "application/json")]
ELSEWHERE = [("X-Forwarded-For", "198.51.100.7")]
HERE = [("X-Forwarded-For", "192.0.2.7")]
ANYTHING = {"name": "anything", "effect": "allow"}


async def change(house: House, **columns: object) -> None:
    """Change every session in the store, behind the gateway's back."""
    marks = ", ".join(f"{name} = ?" for name in columns)
    await asyncio.to_thread(fakes.execute, database_path(house.config.store.url), f"UPDATE sessions SET {marks}", tuple(columns.values()))  # noqa: S608


async def personal(house: House, *scopes: str, networks: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return the header of a personal token."""
    token = await house.token()
    await change(house, kind="token", scopes=json.dumps(scopes), networks=json.dumps(networks))
    return fakes.bearer(token)


async def answers(house: House, *asked: tuple[str, str], fields: list[tuple[str, str]]) -> list[tuple[int, object]]:
    """Return status and reason of each request."""
    found = []
    for method, target in asked:
        answer = await house.ask(method, target, [*fields, *JSON], b"{}" if method == "POST" else None)
        found.append((answer.status, answer.json.get("reason")))
    return found


def gpu(folder: Path, slurm: fakes.FakeSlurmrestd) -> dict[str, object]:
    """Return the settings of a second cluster, behind the same slurmrestd."""
    return {"url": slurm.url, "jwt_key_file": f"{folder}/jwt.key"}


def policy(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": list(rules)}


async def test_what_no_rule_names_is_refused_before_slurmrestd(build: Build) -> None:
    house = await build(policy=policy({"name": "documents", "effect": "allow", "paths": ["/openapi*"]}))
    fields = fakes.bearer(await house.token())
    assert await answers(house, ("GET", PING), ("POST", SUBMIT), ("GET", "/openapi"), fields=fields) == [
        (403, "not_permitted"),
        (403, "not_permitted"),
        (200, None),
    ]
    assert [seen.line for seen in house.slurm.seen] == ["GET /openapi HTTP/1.1"]


async def test_a_refusal_says_whom_to_ask_and_the_trail_says_which_rule(build: Build) -> None:
    house = await build(policy=policy({"name": "no pings", "effect": "deny", "paths": ["/slurm/*/ping"]}, ANYTHING))
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    assert "policy explain" in str(answer.json["hint"])
    assert answer.json["errors"]
    assert b"no pings" not in answer.body
    (line,) = await house.audit("refusal")
    assert (line["rule"], line["cause"], line["reason"], line["user"]) == ("no pings", "policy:no pings", "not_permitted", "alice")


async def test_a_change_that_is_let_through_has_its_rule_in_the_trail(house: House) -> None:
    assert (await house.ask("POST", SUBMIT, [*fakes.bearer(await house.token()), *JSON], b"{}")).status == 200
    assert [line["rule"] for line in await house.audit("request")] == ["jobs"]


@pytest.mark.parametrize(("method", "target"), [("POST", USERS), ("DELETE", f"{USERS[:-1]}/x"), ("GET", RECONFIGURE), ("POST", f"{V}/node/n1")])
async def test_an_old_second_factor_does_not_do_and_a_young_one_does(build: Build, method: str, target: str) -> None:
    house = await build(sessions={"cache": "1ms"})
    fields = fakes.bearer(await house.token())
    await change(house, second_factor_at=time.time() - 301)
    assert await answers(house, (method, target), ("GET", PING), fields=fields) == [(403, "second_factor_stale"), (200, None)]
    assert [seen.line for seen in house.slurm.seen] == [f"GET {PING} HTTP/1.1"]
    await change(house, second_factor_at=time.time())
    assert await answers(house, (method, target), fields=fields) == [(200, None)]


async def test_who_is_asked_for_a_younger_factor_is_told_how_young(house: House) -> None:
    fields = fakes.bearer(await house.token(age=301))
    answer = await house.ask("GET", RECONFIGURE, fields)
    assert "within the last 5m" in str(answer.json["detail"])
    assert "/auth/stepup" in str(answer.json["hint"])


async def test_a_code_with_the_request_is_as_young_as_can_be(house: House) -> None:
    answer = await house.ask("GET", RECONFIGURE, fakes.basic("alice", otp=await house.code()))
    assert answer.status == 200


RULES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "networks": ({"networks": ["192.0.2.0/24"]}, (200, 403)),
    "kinds": ({"kinds": ["session"]}, (200, 200)),
    "another kind": ({"kinds": ["token", "one_shot"]}, (403, 403)),
    "another cluster": ({"clusters": ["gpu"]}, (403, 403)),
    "this cluster, there": ({"clusters": ["main"], "networks": ["::ffff:198.51.100.0/120"]}, (403, 200)),
}


@pytest.mark.parametrize("what", RULES)
async def test_a_rule_looks_at_who_asks_how_and_from_where(build: Build, tmp_path: Path, slurm: fakes.FakeSlurmrestd, what: str) -> None:
    criteria, expected = RULES[what]
    house = await build(policy=policy({"name": "r", "effect": "allow", **criteria}), clusters__gpu=gpu(tmp_path, slurm))
    fields = fakes.bearer(await house.token())
    first, second = [(await house.ask("GET", PING, [*fields, *where])).status for where in (HERE, ELSEWHERE)]
    assert (first, second) == expected


async def test_a_rule_about_a_cluster_is_not_one_about_another(build: Build, tmp_path: Path, slurm: fakes.FakeSlurmrestd) -> None:
    rules = policy({"name": "r", "effect": "deny", "clusters": ["gpu"], "paths": ["/slurm/*/ping"]}, ANYTHING)
    house = await build(policy=rules, clusters__gpu=gpu(tmp_path, slurm))
    fields = fakes.bearer(await house.token())
    targets = (PING, f"/clusters/main{PING}", f"/clusters/gpu{PING}", f"/clusters/gpu/{PING}/")
    assert [(await house.ask("GET", target, fields)).status for target in targets] == [200, 200, 403, 403]


async def test_a_rule_looks_at_the_groups_that_the_directory_names(build: Build) -> None:
    house = await build(policy=policy({"name": "r", "effect": "allow", "groups": ["ops"]}), directory={"groups": {"ops": "cn=ops,dc=example,dc=org"}})
    house.directory.people["bob"] = Account(username="bob", uid=2002, groups=frozenset({REQUIRED, "ops"}))
    statuses = [(await house.ask("GET", PING, fakes.basic(name, otp=await house.code(name)))).status for name in ("alice", "bob")]
    assert statuses == [403, 200]


TRICKS = [
    "/slurm/v0.0.40/job/submit",
    "/clusters/main/slurm/v0.0.40/job/submit",
    "//slurm/v0.0.40/job/submit",
    "/slurm//v0.0.40//job//submit",
    "/slurm/v0.0.40/job/submit/",
    "/slurm/v0.0.40/job/submit//",
    "/slurm/v0.0.40/job/%73ubmit",
    "/slurm/v0%2E0%2e40/job/submit",
    "/%73lurm/v0.0.40/job/submit",
    "/slurm/v0.0.40/job/submit?",
    "/slurm/v0.0.40/job/submit?x=/slurm/v0.0.40/ping",
    "/slurm/v0.0.40/job%2fsubmit",
    "/slurm%2Fv0.0.40/job/submit",
    "/slurm/v0.0.40/job/%2e/submit",
    "/slurm/v0.0.40/ping/../job/submit",
    "/slurm/v0.0.40/ping/%2e%2e/job/submit",
    "/slurm/v0.0.40/job/submit;x",
    "/slurm/v0.0.40/job/submit%00",
    "/slurm/v0.0.40/job/submit%20x/../submit",
    "/slurm/v0.0.40/job%5csubmit",
    "/slurm/v0.0.40\\job\\submit",
    "/clusters/main//slurm/v0.0.40/job/submit/",
    "/clusters/main/clusters/main/slurm/v0.0.40/job/submit",
    "/clusters/%6dain/slurm/v0.0.40/job/submit",
    "http://gateway.example.org/slurm/v0.0.40/job/submit",
    "/slurm/v0.0.40/job",
    "/slurm/v0.0.40/job/",
    "/clusters/main/slurm/v0.0.40/job",
]


async def test_no_spelling_of_a_path_gets_around_a_rule_that_denies_it(build: Build) -> None:
    house = await build(policy=policy({"name": "no submissions", "effect": "deny", "paths": ["/slurm/*/job/submit"]}, ANYTHING))
    fields = fakes.bearer(await house.token())
    statuses = {trick: (await house.ask("POST", trick, [*fields, *JSON], b"{}")).status for trick in TRICKS}
    assert house.slurm.seen == []
    assert {trick: status for trick, status in statuses.items() if status not in {400, 403, 404}} == {}


async def test_what_slurmrestd_decodes_is_judged_decoded(build: Build) -> None:
    house = await build(policy=policy({"name": "not him", "effect": "deny", "paths": ["/slurmdb/*/user/a@b"]}, ANYTHING))
    fields = fakes.bearer(await house.token())
    targets = ("/slurmdb/v0.0.40/user/a@b", "/slurmdb/v0.0.40/user/a%40b", "/slurmdb/v0.0.40/user/%61%40b")
    assert [(await house.ask("GET", target, fields)).status for target in targets] == [403] * len(targets)


@pytest.mark.parametrize(
    "target", [RECONFIGURE, f"/clusters/main{RECONFIGURE}", f"/{RECONFIGURE}/", "/slurm/v0.0.40/reconf%69gure", "/slurm/x/reconfigure"]
)
async def test_no_spelling_of_reconfigure_does_without_a_young_factor(house: House, target: str) -> None:
    fields = fakes.bearer(await house.token(age=301))
    assert await answers(house, ("GET", target), fields=fields) == [(403, "second_factor_stale")]
    assert house.slurm.seen == []


SCOPES: list[tuple[tuple[str, ...], list[int]]] = [
    (("read",), [200, 403, 403, 403]),
    (("submit",), [403, 200, 403, 403]),
    (("read", "submit"), [200, 200, 403, 403]),
    (("jobs",), [403, 200, 200, 403]),
    (("admin",), [200, 200, 200, 200]),
    (("GET /slurm/**",), [200, 403, 403, 403]),
    (("GET /slurm/v*/reconfigure",), [403, 403, 403, 200]),
    (("unheard of",), [403, 403, 403, 403]),
]


@pytest.mark.parametrize(("scopes", "expected"), SCOPES)
async def test_a_personal_token_does_what_its_scopes_say(house: House, scopes: tuple[str, ...], expected: list[int]) -> None:
    fields = await personal(house, *scopes)
    asked = [("GET", PING), ("POST", SUBMIT), ("DELETE", f"{V}/job/7"), ("GET", RECONFIGURE)]
    assert [status for status, _ in await answers(house, *asked, fields=fields)] == expected
    assert len(house.slurm.seen) == expected.count(200)


async def test_a_scope_that_is_missing_is_named_and_written_down(house: House) -> None:
    answer = await house.ask("POST", SUBMIT, [*await personal(house, "read"), *JSON], b"{}")
    assert (answer.reason, "'submit'" in str(answer.json["hint"])) == ("not_permitted", True)
    assert [line["cause"] for line in await house.audit("refusal")] == ["token_scope"]


async def test_the_widest_scope_does_not_make_up_for_an_old_factor(house: House) -> None:
    fields = await personal(house, "admin")
    await change(house, second_factor_at=time.time() - 301)
    assert await answers(house, ("POST", USERS), ("POST", SUBMIT), fields=fields) == [(403, "second_factor_stale"), (200, None)]


async def test_a_personal_token_is_good_in_its_networks_alone(house: House) -> None:
    fields = await personal(house, "read", networks=("192.0.2.0/24",))
    statuses = [
        (await house.ask("GET", PING, [*fields, *where])).status for where in (HERE, ELSEWHERE, [("X-Forwarded-For", "::ffff:192.0.2.9")], [])
    ]
    assert statuses == [200, 403, 200, 403]


async def test_a_session_that_is_for_enrolment_only_calls_nothing(house: House) -> None:
    fields = fakes.bearer(await house.token())
    await change(house, kind="enrolment")
    assert await answers(house, ("GET", PING), fields=fields) == [(403, "not_permitted")]

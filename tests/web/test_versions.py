"""``latest``, versions that are gone and versions that will go: what the cluster serves is learnt from it, and nobody waits for that in vain."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

BOOKWORM = ("v0.0.36", "v0.0.37", "v0.0.38")
TRIXIE = ("v0.0.40", "v0.0.41", "v0.0.42")
NO_SUCH_CALL = fakes.http(404, b"Unable find requested URL. Please view /openapi/v3 for API reference.", content_type="text/plain")
JSON = ("Content-Type", "application/json")


@dataclass
class Slurm:
    """What slurmrestd does: it tells its versions, serves those, and knows no other call."""

    served: tuple[str, ...] = BOOKWORM
    documents: tuple[str, ...] = ("/openapi/v3", "/openapi")
    broken: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, request: fakes.Request) -> bool:
        path = request.line.split(" ")[1].partition("?")[0]
        await request.read_body()
        if path.startswith("/openapi"):
            self.looks += 1
            await self.gate.wait()
            if self.broken:
                return False
            found = path in self.documents
            body = json.dumps({"paths": {f"/slurm/{version}/jobs": {} for version in self.served}}).encode()
            await request.say(fakes.http(200, body) if found else NO_SUCH_CALL)
            return found
        known = path.split("/")[2] in self.served
        await request.say(fakes.http(200, fakes.OK) if known else NO_SUCH_CALL)
        return known


@pytest.fixture
def slurm_24() -> Slurm:
    return Slurm(served=TRIXIE)


async def learning(build: Build, slurm: Slurm, **changes: dict[str, object]) -> House:
    house = await build(slurm={"versions": True}, **changes)
    house.slurm.behaviour = slurm
    return house


def calls(house: House) -> list[str]:
    return [request.line for request in house.slurm.seen if "/openapi" not in request.line]


async def test_latest_is_the_newest_version_that_the_cluster_serves(build: Build) -> None:
    house = await learning(build, Slurm())
    known = fakes.bearer(await house.token())
    targets = ["/slurm/latest/jobs", "/slurmdb/latest/users?with_deleted=true", "/clusters/main/slurm/latest/ping", "//slurm//latest//job//7/"]
    assert [(await house.ask("GET", target, known)).status for target in targets] == [200] * 4
    assert calls(house) == [
        "GET /slurm/v0.0.38/jobs HTTP/1.1",
        "GET /slurmdb/v0.0.38/users?with_deleted=true HTTP/1.1",
        "GET /slurm/v0.0.38/ping HTTP/1.1",
        "GET /slurm/v0.0.38/job/7 HTTP/1.1",
    ]


async def test_it_is_learnt_once_however_many_ask_at_once(build: Build) -> None:
    slurm = Slurm()
    house = await learning(build, slurm)
    known = fakes.bearer(await house.token())
    slurm.gate.clear()
    asked = [asyncio.create_task(house.ask("GET", "/slurm/latest/ping", known)) for _ in range(8)]
    await fakes.until(lambda: slurm.looks)
    slurm.gate.set()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    await house.ask("GET", "/slurm/v0.0.37/ping", known)
    assert slurm.looks == 1


async def test_a_release_that_has_the_older_document_only_is_understood(build: Build) -> None:
    house = await learning(build, Slurm(served=("v0.0.35", "v0.0.36"), documents=("/openapi",)))
    assert (await house.ask("GET", "/slurm/latest/ping", fakes.bearer(await house.token()))).status == 200
    assert calls(house) == ["GET /slurm/v0.0.36/ping HTTP/1.1"]


async def test_the_trail_and_the_policy_know_the_real_path(build: Build, slurm_24: Slurm) -> None:
    rules = [{"name": "only-42", "effect": "allow", "paths": ["/slurm/v0.0.42/job/**"]}]
    house = await learning(build, slurm_24, policy={"rules": rules})
    known = [*fakes.bearer(await house.token()), JSON]
    statuses = [(await house.ask("POST", f"/clusters/main/slurm/{name}/job/submit", known, b"{}")).status for name in ("latest", "v0.0.41")]
    assert statuses == [200, 403]
    assert [(line["event"], line["path"], line["status"]) for line in await house.audit()] == [
        ("request", "/clusters/main/slurm/v0.0.42/job/submit", 200),
        ("refusal", "/clusters/main/slurm/v0.0.41/job/submit", 403),
    ]


async def test_a_rule_that_denies_a_version_denies_it_under_the_other_name(build: Build, slurm_24: Slurm) -> None:
    rules = [
        {"name": "no-42", "effect": "deny", "paths": ["/slurm/v0.0.42/**"]},
        {"name": "all", "effect": "allow", "paths": ["/slurm/**"]},
    ]
    house = await learning(build, slurm_24, policy={"rules": rules})
    assert (await house.ask("GET", "/slurm/latest/jobs", fakes.bearer(await house.token()))).status == 403


@pytest.mark.parametrize(("scope", "status"), [("GET /slurm/v0.0.42/ping", 200), ("GET /slurm/latest/ping", 403)])
async def test_a_tokens_scopes_are_about_the_real_path(build: Build, slurm_24: Slurm, scope: str, status: int) -> None:
    house = await learning(build, slurm_24)
    asked = json.dumps({"name": "ci", "scopes": [scope]}).encode()
    made = await house.ask("POST", "/auth/tokens", fakes.bearer(await house.token()), asked)
    assert (await house.ask("GET", "/slurm/latest/ping", fakes.bearer(str(made.json["token"])))).status == status


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/slurm/latest/reconfigure"), ("GET", "/slurm/latest/job/7/requeue"), ("DELETE", "/slurm/latest/job/7")]
)
async def test_what_changes_something_does_so_under_the_other_name_too(build: Build, slurm_24: Slurm, method: str, path: str) -> None:
    house = await learning(build, slurm_24)
    await house.ask(method, path, fakes.bearer(await house.token()))
    assert [line["path"] for line in await house.audit("request")] == [path.replace("latest", "v0.0.42")]


async def test_a_version_that_is_gone_is_410_with_those_that_are_served(build: Build, slurm_24: Slurm) -> None:
    house = await learning(build, slurm_24)
    known = fakes.bearer(await house.token())
    for _ in range(2):  # while nothing is known yet, and when it is
        answer = await house.ask("GET", "/slurm/v0.0.38/ping", known)
        assert (answer.status, answer.reason, "v0.0.40, v0.0.41, v0.0.42" in str(answer.json["detail"])) == (410, "version_gone", True)
    assert len(calls(house)) == 1


async def test_a_job_for_a_version_that_is_gone_is_refused_and_written_down(build: Build, slurm_24: Slurm) -> None:
    house = await learning(build, slurm_24)
    known = [*fakes.bearer(await house.token()), JSON]
    assert [(await house.ask("POST", "/slurm/v0.0.36/job/submit", known, b"{}")).status for _ in range(2)] == [410, 410]
    assert [line["status"] for line in await house.audit()] == [410, 410]


async def test_a_version_that_is_not_served_yet_is_404_with_those_that_are(build: Build) -> None:
    house = await learning(build, Slurm())
    answer = await house.ask("GET", "/slurm/v0.0.42/ping", fakes.bearer(await house.token()))
    assert (answer.status, "v0.0.38" in str(answer.json["hint"])) == (404, True)


async def test_a_call_that_no_version_has_is_still_slurms_own_404(build: Build) -> None:
    slurm = Slurm()
    house = await learning(build, slurm)

    async def knows_no_call(request: fakes.Request) -> bool:
        if "/openapi" in request.line:
            return await slurm(request)
        await request.say(NO_SUCH_CALL)
        return False

    house.slurm.behaviour = knows_no_call
    known = fakes.bearer(await house.token())
    statuses = [(await house.ask("GET", "/slurm/v0.0.38/nonsense", known)).status for _ in range(5)]
    assert (statuses, slurm.looks) == ([404] * 5, 1)


async def test_a_version_that_will_go_is_announced_on_every_answer(build: Build) -> None:
    house = await learning(build, Slurm(), reads={"enabled": True, "max_age": "60s"})
    known = fakes.bearer(await house.token())
    await house.ask("GET", "/slurm/latest/ping", known)
    calls_of = [("GET", "ping"), ("GET", "ping"), ("HEAD", "ping"), ("POST", "job/submit"), ("DELETE", "job/7")]
    answers = [await house.ask(method, f"/slurm/v0.0.36/{rest}", [*known, JSON]) for method, rest in calls_of]
    assert {answer.field("deprecation") for answer in answers} == {"@1629936000"}
    assert all("GMT" in str(answer.field("sunset")) for answer in answers)
    assert answers[0].field("link") == '<../v0.0.37/ping>; rel="successor-version"'
    newest = await house.ask("GET", "/slurm/v0.0.38/ping", known)
    assert [newest.field(name) for name in ("deprecation", "sunset", "link")] == [None, None, None]


async def test_a_page_of_a_list_keeps_the_link_to_the_next(build: Build) -> None:
    slurm = Slurm()
    house = await learning(build, slurm, reads={"enabled": True})

    async def lists(request: fakes.Request) -> bool:
        if "/openapi" in request.line:
            return await slurm(request)
        jobs = [{"job_id": number, "name": "a", "job_state": "PENDING", "user_name": "alice"} for number in range(1, 4)]
        await request.say(fakes.http(200, json.dumps({"jobs": jobs, "errors": []}).encode()))
        return True

    house.slurm.behaviour = lists
    known = fakes.bearer(await house.token())
    await house.ask("GET", "/slurm/latest/ping", known)
    link = str((await house.ask("GET", "/slurm/v0.0.37/jobs?limit=1", known)).field("link"))
    assert ('rel="next"' in link, 'rel="successor-version"' in link) == (True, True)


async def test_what_can_go_on_without_waits_for_nothing(build: Build) -> None:
    slurm = Slurm()
    slurm.gate.clear()
    house = await learning(build, slurm)
    known = fakes.bearer(await house.token())
    for _ in range(3):
        assert (await house.ask("GET", "/slurm/v0.0.38/ping", known)).status == 200
    await fakes.until(lambda: slurm.looks)
    assert (await house.ask("POST", "/slurm/v0.0.38/job/submit", [*known, JSON], b"{}")).status == 200
    assert slurm.looks == 1
    slurm.gate.set()


async def test_a_look_that_fails_refuses_nobody(build: Build) -> None:
    slurm = Slurm(broken=True)
    house = await learning(build, slurm)
    known = fakes.bearer(await house.token())
    assert [(await house.ask("GET", "/slurm/v0.0.38/ping", known)).status for _ in range(3)] == [200] * 3
    assert (await house.ask("GET", "/slurm/v0.0.99/ping", known)).status == 404


@pytest.mark.parametrize(
    ("trouble", "status"), [({"broken": True}, 502), ({"documents": ()}, 503), ({"served": ()}, 503)], ids=["breaks off", "has none", "names none"]
)
async def test_only_latest_needs_it(build: Build, trouble: dict[str, Any], status: int) -> None:
    house = await learning(build, Slurm(**trouble))
    answer = await house.ask("GET", "/slurm/latest/ping", fakes.bearer(await house.token()))
    assert (answer.status, answer.field("content-type")) == (status, "application/problem+json")


async def test_nobody_learns_anything_without_being_known(build: Build) -> None:
    slurm = Slurm()
    house = await learning(build, slurm)
    assert [(await house.ask("GET", target)).status for target in ("/slurm/latest/ping", "/slurm/v0.0.1/ping")] == [401, 401]
    assert (slurm.looks, house.slurm.seen) == (0, [])


async def test_odd_names_in_the_place_of_the_version_reach_no_header(build: Build) -> None:
    house = await learning(build, Slurm())
    known = fakes.bearer(await house.token())
    await house.ask("GET", "/slurm/latest/ping", known)
    for name in ("v0.0.36%0d%0aX:%20y", "v0.0.036", "LATEST", "v0.0.36,b", "latest*", "v0.0.999999999999999999999"):
        answer = await house.ask("GET", f"/slurm/{name}/ping", known)
        assert (answer.status in {400, 404}, answer.field("link"), answer.field("deprecation"), answer.field("x")) == (True, None, None, None)
    odd = await house.ask("GET", "/slurm/v0.0.36/node/a%22%3E;,%3C", known)
    assert odd.status == 400
    allowed = str((await house.ask("GET", "/slurm/v0.0.36/node/a'(b),c=%22", known)).field("link"))
    assert allowed == '<../../v0.0.37/node/a\'(b),c=%22>; rel="successor-version"'


async def test_switched_off_every_path_goes_on_as_it_came(house: House) -> None:
    house.slurm.behaviour = Slurm()
    answer = await house.ask("GET", "/slurm/latest/ping", fakes.bearer(await house.token()))
    assert (answer.status, [request.line for request in house.slurm.seen]) == (404, ["GET /slurm/latest/ping HTTP/1.1"])


async def test_a_key_knows_a_request_for_latest_again_after_an_upgrade(build: Build) -> None:
    house, served = await build(slurm={"versions": True}), ["v0.0.41"]

    async def tell(request: fakes.Request) -> bool:
        document = json.dumps({"paths": {f"/slurm/{version}/x": {} for version in served}}).encode()
        await request.say(fakes.http(200, document if "openapi" in request.line else b'{"job_id": 7, "errors": []}'))
        return True

    house.slurm.behaviour = tell
    fields = [*fakes.bearer(await house.token()), ("Content-Type", "application/json"), ("Idempotency-Key", "k")]
    body = b'{"job": {"name": "a", "environment": ["A=b"], "script": "#!/bin/sh"}}'
    answers = [await house.ask("POST", "/slurm/latest/job/submit", fields, body)]
    served.append("v0.0.42")
    for known in house.application._versions._clusters.values():
        known.served = ()
    answers += [await house.ask("POST", path, fields, body) for path in ("/slurm/latest/job/submit", "/slurm/v0.0.42/job/submit")]
    assert [(answer.status, answer.field("idempotency-replayed")) for answer in answers] == [(200, None), (200, "true"), (422, None)]
    assert [request.line for request in house.slurm.seen if "submit" in request.line] == ["POST /slurm/v0.0.41/job/submit HTTP/1.1"]

"""What slurmrestd sees, to the byte, of a request that was let through; and what its sender gets back."""

from __future__ import annotations

import re
import time

import jwt
import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

SUBMIT = "/slurm/v0.0.38/job/submit"
PING = "/slurm/v0.0.38/ping"
JSON = [("Content-Type", "application/json")]


async def test_slurmrestd_sees_a_head_of_our_own_making(house: House) -> None:
    token = await house.token()
    noise = [
        ("Accept", "application/json"),
        ("Cookie", "a=b"),
        ("User-Agent", "curl"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/slurm/v0.0.38/reconfigure"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("X_SLURM_USER_NAME", "root"),
        ("X-SLURM-USER-NAME", "alice"),
        ("Forwarded", "for=192.0.2.1"),
    ]
    await house.ask("GET", PING, [*noise, *fakes.bearer(token)])
    seen = house.slurm.seen[0]
    assert (seen.line, [name for name, _ in seen.fields]) == (f"GET {PING} HTTP/1.1", ["host", "x-slurm-user-name", "x-slurm-user-token", "accept"])


@pytest.mark.parametrize("way", ["bearer", "slurm", "basic"])
async def test_nothing_that_the_client_presented_reaches_slurmrestd(house: House, way: str) -> None:
    token = await house.token()
    code = await house.code()
    fields = {
        "bearer": fakes.bearer(token),
        "slurm": [("X-SLURM-USER-NAME", "alice"), ("X-SLURM-USER-TOKEN", token)],
        "basic": fakes.basic("alice", otp=code),
    }[way]
    await house.ask("POST", SUBMIT, [*fields, *JSON], b"{}")
    raw = house.slurm.seen[0].head
    assert b"authorization" not in raw.lower()
    assert b"x-otp" not in raw.lower()
    assert not any(secret.encode() in raw for secret in (token, fakes.PASSWORD, code, "sgw_", fields[0][1]) if secret != "alice")


async def test_the_minted_jwt_is_for_this_user_for_a_minute_at_most(house: House) -> None:
    await house.ask("GET", PING, fakes.bearer(await house.token()))
    minted = str(house.slurm.seen[0].field("x-slurm-user-token"))
    claims = jwt.decode(minted, fakes.JWT_KEY, algorithms=["HS256"], options={"require": ["exp"]})
    assert claims["sun"] == "alice"
    assert isinstance(claims["exp"], int)
    assert 0 < claims["exp"] - time.time() <= 60


async def test_the_minted_jwt_never_outlives_the_session(house: House) -> None:
    token = await house.token(lifetime=20.0)
    await house.ask("GET", PING, fakes.bearer(token))
    claims = jwt.decode(str(house.slurm.seen[0].field("x-slurm-user-token")), fakes.JWT_KEY, algorithms=["HS256"])
    assert claims["exp"] - time.time() <= 20


@pytest.mark.parametrize(
    "connection",
    ["X-SLURM-USER-NAME", "x-slurm-user-name, x-slurm-user-token", "close, X-SLURM-USER-TOKEN, Host", "Authorization", "X-Request-ID, keep-alive"],
)
async def test_connection_takes_no_header_out_of_what_slurmrestd_sees(house: House, connection: str) -> None:
    # The last header of the request closes it, so that the answer has an end for the client here.
    fields = [("Connection", connection), *fakes.bearer(await house.token()), ("Connection", "close")]
    answer = await house.ask("GET", PING, fields)
    assert answer.status == 200
    assert house.slurm.seen[0].field("x-slurm-user-name") == "alice"
    assert house.slurm.seen[0].field("x-slurm-user-token") is not None
    assert house.slurm.seen[0].field("connection") is None


SPELLINGS = {
    "//slurm//v0.0.38//ping": PING,
    "/slurm/v0.0.38/ping/": PING,
    "/slurm/v0.0.38/%70ing": PING,
    "/%73lurm/v0.0.38/ping": PING,
    "/slurm/v0.0.38/jobs?update_time=0&flags=ALL": "/slurm/v0.0.38/jobs?update_time=0&flags=ALL",
    "/slurmdb/v0.0.38/users/": "/slurmdb/v0.0.38/users",
    "/openapi.json": "/openapi.json",
    "/openapi/v3/": "/openapi/v3",
    "/clusters/main/slurm/v0.0.38/ping": PING,
    "/clusters//main/slurm/v0.0.38/ping": PING,
    "/clusters/main/openapi": "/openapi",
}


async def test_a_path_is_forwarded_in_its_one_spelling(house: House) -> None:
    token = await house.token()
    for target in SPELLINGS:
        await house.ask("GET", target, fakes.bearer(token))
    assert [seen.line for seen in house.slurm.seen] == [f"GET {spelling} HTTP/1.1" for spelling in SPELLINGS.values()]


REFUSED_TARGETS = {
    "/slurm/v0.0.38/../v0.0.38/ping": 400,
    "/slurm/%2e%2e/slurmdb/v0.0.38/users": 400,
    "/slurm%2fv0.0.38%2fping": 400,
    "/slurm/v0.0.38/ping%5c": 400,
    "/slurm/v0.0.38/ping%00": 400,
    "/slurm/v0.0.38/ping;x=1": 400,
    "/slurm/v0.0.38/ping%3bx": 400,
    "/slurm/v0.0.38/ping%0d%0aX-SLURM-USER-NAME:root": 400,
    "/slurm/v0.0.38/ping?a=%0d%0a": 400,
    "/slurm/v0.0.38/ping#fragment": 400,
    "/slurm/v0.0.38/p%C3%B6ng%25": 400,
    "http://slurmrestd/slurm/v0.0.38/ping": 400,
    "*": 400,
    "/SLURM/v0.0.38/ping": 404,
    "/slurm": 404,
    "/slurm/v0.0.38": 404,
    "/slurmdb/v0.0.38/": 404,
    "/clusters/other/slurm/v0.0.38/ping": 404,
    "/clusters/main/auth/session": 404,
    "/clusters/main/clusters/main/slurm/v0.0.38/ping": 404,
    "/clusters/main": 404,
    "/": 404,
    "/metrics": 404,
    "/health/ready": 404,
    "/openapi/v2": 404,
}


async def test_any_other_target_reaches_no_slurmrestd(house: House) -> None:
    token = await house.token()
    statuses = {target: (await house.ask("GET", target, fakes.bearer(token))).status for target in REFUSED_TARGETS}
    assert (statuses, house.slurm.seen) == (REFUSED_TARGETS, [])


async def test_a_method_that_slurm_has_no_use_for_is_405_with_allow(house: House) -> None:
    token = await house.token()
    methods = ["PUT", "PATCH", "TRACE", "PROPFIND"]
    answers = [await house.ask(method, PING, fakes.bearer(token)) for method in methods]
    assert [(answer.status, answer.field("allow")) for answer in answers] == [(405, "GET, HEAD, POST, DELETE, OPTIONS")] * len(methods)
    assert house.slurm.seen == []


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", "/auth/login", "POST, OPTIONS"),
        ("HEAD", "/auth/login", "POST, OPTIONS"),
        ("POST", "/auth/session", "GET, DELETE, HEAD, OPTIONS"),
        ("POST", "/health/live", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_on_our_own_paths_is_405_with_allow(house: House, method: str, target: str, allow: str) -> None:
    answer = await house.ask(method, target)
    assert (answer.status, answer.field("content-type"), answer.field("allow")) == (405, "application/problem+json", allow)


async def test_each_cluster_gets_its_own_requests_under_its_own_key(build: Build, house: House) -> None:
    folder = house.slurm.path.parent
    async with fakes.slurmrestd(await fakes.make_folder(folder / "second")) as second:
        key = await fakes.write_private(folder / "second.key", b"another key, just as long as it has to be\n")
        both = await build(
            server={"listen": f"unix:{folder}/both.sock", "admin_listen": f"unix:{folder}/both-admin.sock"},
            clusters__second={"url": second.url, "jwt_key_file": str(key)},
        )
        await both.ask("GET", f"/clusters/second{PING}", fakes.bearer(await both.token()))
        minted = str(second.seen[0].field("x-slurm-user-token"))
    assert (second.seen[0].line, house.slurm.seen) == (f"GET {PING} HTTP/1.1", [])
    assert jwt.decode(minted, b"another key, just as long as it has to be\n", algorithms=["HS256"])["sun"] == "alice"


# Back to the client.


async def test_the_client_gets_the_body_the_type_and_retry_after_and_no_other_header_of_slurmrestds(house: House) -> None:
    house.slurm.behaviour = fakes.replies(
        fakes.http(
            503,
            b"busy",
            "Retry-After: 7",
            "Set-Cookie: a=b",
            "Server: slurmrestd",
            "X-SLURM-USER-TOKEN: leak",
            "Location: /x",
            content_type="text/plain",
        )
    )
    answer = await house.ask("GET", PING, fakes.bearer(await house.token()))
    assert {name for name, _ in answer.fields} <= {
        "content-type",
        "content-length",
        "retry-after",
        "x-request-id",
        "cache-control",
        "server",
        "date",
        "connection",
    }
    assert (answer.status, answer.field("retry-after"), answer.field("content-type")) == (503, "7", "application/problem+json")


async def test_what_slurmrestd_answered_is_passed_on_as_it_is_but_for_what_explains_it(house: House) -> None:
    token = await house.token()
    fine, unknown = fakes.OK, b'{"errors": [{"error_number": 2017, "error": "Invalid job id specified"}]}'
    said = [(200, fine), (304, b""), (400, unknown), (404, unknown), (415, unknown), (500, unknown), (503, unknown)]
    house.slurm.script = [fakes.replies(fakes.http(*reply)) for reply in said]
    answers = [await house.ask("GET", "/slurm/v0.0.38/job/7", fakes.bearer(token)) for _ in said]
    assert [answer.status for answer in answers] == [200, 304, 400, 404, 415, 404, 503]
    assert [answer.body for answer in answers[:2]] == [fine, b""]
    assert all(answer.body.endswith(unknown[1:]) and "GET /slurm/v0.0.38/jobs" in str(answer.json["hint"]) for answer in answers[2:])
    assert {answer.field("content-type") for answer in answers[2:]} == {"application/json"}


TOKEN_REFUSED = {
    "22.05: 401": (401, b"Authentication failure"),
    "22.05: error 5005": (500, b'{"errors":[{"error_number":5005,"error":"Zero Bytes were transmitted or received"}]}'),
    "22.05: error 1007": (500, b'{"errors":[{"error_code":1007,"error":"Protocol authentication error"}]}'),
    "24.11: 511": (511, b"{}"),
}


@pytest.mark.parametrize(("method", "target", "body"), [("GET", "/slurm/v0.0.38/jobs", None), ("POST", SUBMIT, b"{}")])
async def test_a_token_that_slurm_refused_is_the_gateways_fault(house: House, method: str, target: str, body: bytes | None) -> None:
    token = await house.token()
    house.slurm.script = [fakes.replies(fakes.http(*reply)) for reply in TOKEN_REFUSED.values()]
    answers = {case: await house.ask(method, target, [*fakes.bearer(token), *JSON], body) for case in TOKEN_REFUSED}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == dict.fromkeys(TOKEN_REFUSED, (502, "slurm_refused_gateway"))


@pytest.mark.parametrize(("ping", "reason"), [((401, b""), "slurm_refused_gateway"), ((200, fakes.OK), None)])
async def test_a_500_that_does_not_say_why_is_told_apart_by_a_ping(house: House, ping: tuple[int, bytes], reason: str | None) -> None:
    silent = fakes.http(500, b'{"errors":[]}')
    house.slurm.script = [fakes.replies(silent), fakes.replies(fakes.http(*ping))]
    answer = await house.ask("GET", "/slurm/v0.0.38/jobs", fakes.bearer(await house.token()))
    assert re.fullmatch(r"GET /slurm/v[0-9.]+/ping HTTP/1\.1", house.slurm.seen[1].line)
    assert answer.json.get("reason") == reason
    assert (answer.status, answer.body.endswith(b'"errors":[]}')) == ((502, False) if reason else (500, True))


# Refusals on Slurm's paths.


@pytest.mark.parametrize(("target", "proxied"), [(PING, True), ("/openapi", True), ("/auth/session", False), ("/nothing", False)])
async def test_a_problem_document_has_slurms_errors_on_slurms_paths_alone(house: House, target: str, proxied: bool) -> None:
    answer = await house.ask("GET", target)
    assert {"type", "title", "status", "detail", "reason", "hint", "request_id"} <= set(answer.json)
    assert ("errors" in answer.json) == proxied


async def test_the_errors_of_a_refusal_have_the_form_that_slurms_clients_show(house: House) -> None:
    answer = await house.ask("GET", PING)
    errors = answer.json["errors"]
    assert isinstance(errors, list)
    (error,) = errors
    assert set(error) == {"error", "error_number", "description", "source"}
    assert (error["source"], error["error_number"]) == ("slurm-gateway", 401)


async def test_a_problem_documents_status_and_id_are_those_of_its_answer(house: House) -> None:
    answer = await house.ask("GET", PING)
    assert (answer.json["status"], answer.json["request_id"]) == (answer.status, answer.field("x-request-id"))


# The request's id and address.


async def test_the_request_id_of_nginx_is_taken_over(house: House) -> None:
    given = fakes.fresh_id()
    assert (await house.ask("GET", "/health/live", [("X-Request-ID", given)])).field("x-request-id") == given


async def test_an_odd_request_id_is_replaced(house: House) -> None:
    odd = ["short", "x" * 65, "with space in", 'quote"quote"', "<script>1234", "\xe9" * 10, ""]
    made = [(await house.ask("GET", "/health/live", [("X-Request-ID", given)])).field("x-request-id") for given in odd]
    assert [given for given, ours in zip(odd, made, strict=True) if ours in {given, "", None}] == []


async def test_two_request_ids_are_replaced(house: House) -> None:
    answer = await house.ask("GET", "/health/live", [("X-Request-ID", "a" * 32), ("X-Request-ID", "b" * 32)])
    assert answer.field("x-request-id") not in {"a" * 32, "b" * 32}


@pytest.mark.parametrize(("trusted", "taken"), [([], False), (["127.0.0.0/8"], True), (["192.0.2.0/24"], False)])
async def test_over_tcp_only_a_peer_that_we_trust_tells_id_and_address(build: Build, trusted: list[str], taken: bool) -> None:
    house = await build(tcp=True, server={"trusted_proxies": trusted})
    given = fakes.fresh_id()
    answer = await house.ask("GET", PING, [("X-Request-ID", given), ("X-Forwarded-For", "192.0.2.9")])
    (line,) = await house.audit("refusal")
    assert (answer.field("x-request-id") == given, line["address"]) == (taken, "192.0.2.9" if taken else "127.0.0.1")


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ([("X-Forwarded-For", "10.0.0.1, 192.0.2.9")], "192.0.2.9"),
        ([("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "192.0.2.9")], "192.0.2.9"),
        ([("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
        ([("X-Forwarded-For", "192.0.2.9, nonsense")], "local"),
        ([("X-Real-IP", "192.0.2.9"), ("Forwarded", "for=192.0.2.9")], "local"),
        ([], "local"),
    ],
)
async def test_the_address_is_the_last_that_nginx_wrote(house: House, fields: list[tuple[str, str]], address: str) -> None:
    await house.ask("GET", PING, fields)
    (line,) = await house.audit("refusal")
    assert line["address"] == address


async def test_a_refused_request_on_a_kept_connection_leaves_the_next_one_whole(house: House) -> None:
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", SUBMIT, JSON, b'{"job":1}', close=False))
    first = await fakes.read_answer(reader)
    writer.write(fakes.encode("GET", PING, fakes.bearer(await house.token())))
    second = await fakes.read_answer(reader)
    writer.close()
    assert (first.status, second.status, len(house.slurm.seen)) == (401, 200, 1)

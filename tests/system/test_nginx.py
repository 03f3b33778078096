"""What nginx itself does with the site file: a real nginx in front of a stub that writes down, byte for byte, what reaches it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.system.front import OK, Message, Site, Start, Stub, exchange, make_certificates, read_message, request, starting

SECRET = "sgw_thisIsATokenThatNobodyMayEverRead"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def start(tmp_path: Path, certificates: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path, certificates) as start_one:
        yield start_one


@pytest.fixture
async def site(start: Start) -> Site:
    return await start()


# ---- What reaches the gateway ----------------------------------------------------------------------------------------------------------------


async def test_what_the_gateway_believes_of_nginx_is_nginx_own(site: Site) -> None:
    forged = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-Proto: http", "X-Request-ID: chosen-by-the-client")
    answer = await site.send(request("/auth/session", *forged))
    [seen] = site.stub.requests
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    [request_id] = seen.all("X-Request-ID")
    assert re.fullmatch(r"[0-9a-f]{32}", request_id)
    assert answer.all("X-Request-ID") == [request_id]


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded", "Proxy", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL",
        "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-User", "X-Remote-User",
        "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "Upgrade", "Keep-Alive", "TE",
        "X_SLURM_USER_NAME", "X_SLURM_USER_TOKEN", "X-SLURM_USER-NAME", "X_Forwarded_For", "X.SLURM.USER.NAME",
    ],
)  # fmt: skip
async def test_a_header_that_some_software_would_believe_is_cleared(name: str, site: Site) -> None:
    await site.send(request("/slurm/v0.0.38/ping", f"{name}: first", f"{name.upper()}: second"))
    [seen] = site.stub.requests
    kept = {"host", "x-request-id", "x-forwarded-for", "x-forwarded-proto"}
    assert {key.casefold() for key, _ in seen.headers} == kept
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]


@pytest.mark.parametrize("name", ["X-SLURM-USER-NAME", "X-SLURM-USER-TOKEN", "X-OTP"])
async def test_a_doubled_header_of_sign_in_arrives_doubled(name: str, site: Site) -> None:
    await site.send(request("/slurm/v0.0.38/ping", f"{name}: first", f"{name.lower()}: second"))
    assert site.stub.requests[0].all(name) == ["first", "second"]


async def test_a_doubled_authorization_is_not_silently_halved(site: Site) -> None:
    answer = await site.send(request("/slurm/v0.0.38/ping", "Authorization: Bearer first", "Authorization: Bearer second"))
    seen = [message.all("Authorization") for message in site.stub.requests]
    assert answer.status == 400 or seen == [["Bearer first", "Bearer second"]]


async def test_the_connection_header_takes_nothing_away(site: Site) -> None:
    raw = request("/slurm/v0.0.38/ping", "X-SLURM-USER-NAME: alice", "X-SLURM-USER-TOKEN: t")
    await site.send(raw.replace("Connection: close", "Connection: close, X-SLURM-USER-NAME, X-SLURM-USER-TOKEN, X-Forwarded-For"))
    [seen] = site.stub.requests
    assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-SLURM-USER-TOKEN"), seen.all("Connection")) == (["alice"], ["t"], [])
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "target",
    [
        "//auth///session/", "/slurm/v0.0.38/%70ing", "/a%2fb%2F", "/a/b/./c/d/..", "/x?a=%20&&b=;c?d", "/x?", "/a;b=1/c", "/a%5cb",
        "/a%0d%0aX-SLURM-USER-NAME:%20root", "/a%23b", "/%c3%a4", "/a+b~!$'(),", "/x#y",
    ],
)  # fmt: skip
async def test_the_target_arrives_byte_for_byte(target: str, site: Site) -> None:
    await site.send(request(target))
    assert site.stub.requests[0].target == target


async def test_an_absolute_target_arrives_as_its_path(site: Site) -> None:
    await site.send(request("https://slurm.test/slurm//v0.0.38/%70ing?x=1", host="elsewhere.test"))
    [seen] = site.stub.requests
    assert (seen.target, seen.all("Host")) == ("/slurm//v0.0.38/%70ing?x=1", ["slurm.test"])


async def test_a_chunked_body_arrives_whole_and_with_its_length(site: Site) -> None:
    chunks = "3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nX-SLURM-USER-NAME: root\r\n\r\n"
    await site.send(request("/slurm/v0.0.38/job/submit", "Transfer-Encoding: chunked", method="POST") + chunks)
    [seen] = site.stub.requests
    assert (seen.body, seen.all("Content-Length"), seen.all("Transfer-Encoding")) == (b"abcde", ["5"], [])
    assert seen.all("X-SLURM-USER-NAME") == []


async def test_an_expectation_is_met_by_nginx(site: Site) -> None:
    reader, writer = await site.open()
    writer.write(request("/x", "Expect: 100-continue", "Content-Length: 3", method="POST").encode())
    assert (await read_message(reader)).status == 100
    assert (await exchange(reader, writer, "abc")).status == 200
    [seen] = site.stub.requests
    assert (seen.all("Expect"), seen.body) == ([], b"abc")


async def test_a_body_that_is_still_coming_does_not_reach_the_gateway(site: Site) -> None:
    reader, writer = await site.open()
    head, _, body = request("/slow", method="POST", body="x" * 100_000).partition("\r\n\r\n")
    writer.write(f"{head}\r\n\r\n{body[:60_000]}".encode())
    await writer.drain()
    await site.send(request("/fast"))
    assert [message.target for message in site.stub.requests] == ["/fast"]
    await exchange(reader, writer, body[60_000:])
    assert [len(message.body) for message in site.stub.requests] == [0, 100_000]


async def test_connections_to_the_gateway_are_kept(site: Site) -> None:
    for _ in range(3):
        assert (await site.send(request())).status == 200
    assert (len(site.stub.requests), site.stub.connections) == (3, 1)


_SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: slurm.test\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 0, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n0",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n0",
    ],
)
async def test_a_body_of_two_lengths_is_refused(head: str, site: Site) -> None:
    answer = await site.send(f"POST /first HTTP/1.1\r\nHost: slurm.test\r\n{head}\r\n\r\n{_SMUGGLED}")
    assert answer.status in {400, 413, 501}
    assert site.stub.requests == []


@pytest.mark.parametrize("head", ["Content-Length : 60", " Content-Length: 60", "Transfer-Encoding : chunked", "Content_Length: 60", "X: a\n b"])
async def test_a_header_that_nginx_drops_has_no_meaning_behind_it(head: str, site: Site) -> None:
    await site.send(f"POST /first HTTP/1.1\r\nHost: slurm.test\r\n{head}\r\n\r\n{request('/second')}")
    for seen in site.stub.requests:
        assert seen.target in {"/first", "/second"}
        assert seen.body == b""
        assert seen.all("Transfer-Encoding") == []


@pytest.mark.parametrize(("method", "target"), [("POST", "/slurm/v0.0.38/job/submit"), ("GET", "/slurm/v0.0.42/reconfigure")])
async def test_what_may_change_something_is_never_sent_twice(method: str, target: str, site: Site) -> None:
    assert (await site.send(request())).status == 200

    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    site.stub.answer = hang_up  # on the connection that nginx has kept
    answer = await site.send(request(target, method=method))
    _is_a_problem(answer, 502, "gateway_unavailable")
    assert "is not known" in answer.problem["detail"]
    assert answer.problem["hint"].startswith("Before you send")
    assert [message.target for message in site.stub.requests] == ["/slurm/v0.0.38/ping", target]


# ---- Limits --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling", ["/auth/login", "//auth///login", "/%61uth/login", "/auth/lo%67in/", "/auth/login//", "/auth/login?x=1", "/auth//%6Cogin"]
)
async def test_sign_ins_are_limited_in_every_spelling(spelling: str, site: Site) -> None:
    for _ in range(3):
        assert (await site.send(request("/auth/login", method="POST", body="{}"))).status == 200
    answer = await site.send(request(spelling, method="POST", body="{}"))
    _is_a_problem(answer, 429, "throttled")
    assert answer.all("Retry-After") == ["10"]
    assert len(site.stub.requests) == 3


@pytest.mark.parametrize("way", ["/auth/stepup", "/auth/totp", "/auth/totp/confirm", "//auth/%74otp/"])
async def test_every_other_way_to_show_a_code_a_ticket_or_a_credential_is_limited_as_well(way: str, site: Site) -> None:
    for _ in range(3):
        await site.send(request(way, "Authorization: Bearer sgw_x", method="POST", body="{}"))
    _is_a_problem(await site.send(request("/auth/login", method="POST", body="{}")), 429, "throttled")


async def test_a_password_with_another_request_is_a_sign_in_too(site: Site) -> None:
    for target in ("/auth/login", "/slurm/v0.0.38/ping", "/slurm/v0.0.38/jobs"):
        assert (await site.send(request(target, "Authorization: Basic YTpi", "X-OTP: 123456"))).status == 200
    assert (await site.send(request("/slurm/v0.0.38/ping", "Authorization: bAsIc YTpi"))).status == 429


@pytest.mark.parametrize(
    ("target", "header"), [("/auth/session", "X: y"), ("/auth/login/x", "X: y"), ("/slurm/v0.0.38/ping", "Authorization: bearer x")]
)
async def test_other_requests_are_not_counted(target: str, header: str, site: Site) -> None:
    for _ in range(5):
        assert (await site.send(request(target, header))).status == 200


async def test_idle_connections_do_not_count_against_a_client(site: Site) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(300)]
    assert (await site.send(request())).status == 200
    for _, writer in idle:
        writer.close()


async def test_requests_under_way_are_limited(start: Start) -> None:
    site = await start(patches={"slurm_gateway_requests 200;": "slurm_gateway_requests 1;"})
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go_on.wait()
        writer.write(OK)

    site.stub.answer = wait
    first = asyncio.create_task(site.send(request()))
    await arrived.wait()
    answer = await site.send(request())
    go_on.set()
    _is_a_problem(answer, 429, "throttled")
    assert (await first).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        request("/slurm/v0.0.38/job/submit", method="POST", body="x" * 1025),
        request("/slurm/v0.0.38/job/submit", "Expect: 100-continue", "Content-Length: 1025", method="POST"),
        request("/slurm/v0.0.38/job/submit", "Transfer-Encoding: chunked", method="POST") + f"401\r\n{'x' * 1025}\r\n0\r\n\r\n",
    ],
    ids=["sent", "announced", "chunked"],
)
async def test_a_body_over_the_limit_is_refused_before_the_gateway(raw: str, start: Start) -> None:
    site = await start(options={"--max-body": "1k"})
    answer = await site.send(raw)
    _is_a_problem(answer, 413, "too_large")
    assert answer.problem["errors"][0]["error_number"] == 413
    assert site.stub.requests == []


async def test_a_body_at_the_limit_is_carried(start: Start) -> None:
    site = await start(options={"--max-body": "1k"})
    assert (await site.send(request("/x", method="POST", body="x" * 1024))).status == 200


@pytest.mark.parametrize(
    ("line", "sent"),
    [("client_header_timeout 10s", "GET / HTTP/1.1\r\nHost: slurm."), ("client_body_timeout 30s", request("/", method="POST", body="abc")[:-1])],
)
async def test_a_client_that_stops_sending_is_cut_off(line: str, sent: str, start: Start) -> None:
    site = await start(patches={line: f"{line.partition(' ')[0]} 200ms"})
    reader, writer = await site.open()
    writer.write(sent.encode())
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert site.stub.requests == []


async def test_a_large_answer_waits_at_the_gateway_for_a_client_that_does_not_read(site: Site) -> None:
    written = 0

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
        while written < 500_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    site.stub.answer = pour
    _, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=site.trust, server_hostname="slurm.test", limit=1024)
    writer.write(request().encode())
    before = -1
    async with asyncio.timeout(10):
        while written == 0 or written != before:
            before = written
            await asyncio.sleep(0.1)
    writer.transport.abort()
    assert 0 < written < 32_000_000


# ---- Answers -------------------------------------------------------------------------------------------------------------------------------

_LONG = "x" * 17_000


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        ("GET /slurm/v0.0.38/ping HTTP/1.1\r\n\r\n", 400, "bad_request"),
        ("nonsense\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: slurm.test\r\nHost: slurm.test\r\n\r\n", 400, "bad_request"),
        ("OPTIONS * HTTP/1.1\r\nHost: slurm.test\r\n\r\n", 400, "bad_request"),
        (request("/a\x01b"), 400, "bad_request"),
        (request("/%00"), 400, "bad_request"),
        (request("/../../etc/passwd"), 400, "bad_request"),
        (request("/%2e%2e/x"), 400, "bad_request"),
        (request("/", f"X: {_LONG}"), 400, "bad_request"),
        (request("/metrics"), 404, "not_found"),
        (request("//%6detrics/"), 404, "not_found"),
        (request("/health/ready"), 404, "not_found"),
        (request("/health//ready/"), 404, "not_found"),
        (request("/.problem/throttled"), 404, "not_found"),
        (request(method="TRACE"), 405, "method_not_allowed"),
        (request("slurm.test:443", method="CONNECT"), 400, "bad_request"),
        (request(f"/{_LONG}"), 414, "bad_request"),
        (request(host="elsewhere.test"), 421, "wrong_host"),
        (request("https://elsewhere.test/"), 421, "wrong_host"),
        ("GET / HTTP/1.1\r\nHost: slurm.test\r\nTransfer-Encoding: x\r\n\r\n", 501, "bad_request"),
        ("GET / HTTP/2.0\r\nHost: slurm.test\r\n\r\n", 505, "bad_request"),
    ],
    ids=lambda value: value[:24].splitlines()[0] if isinstance(value, str) else str(value),
)
async def test_what_nginx_itself_answers_is_a_problem_document(raw: str, status: int, reason: str, site: Site) -> None:
    answer = await site.send(raw)
    _is_a_problem(answer, status, reason)
    assert answer.all("Allow") == (["GET, HEAD, POST, DELETE, OPTIONS"] if status == 405 else [])
    assert site.stub.requests == []
    _has_the_headers_of_every_answer(answer)


def _is_a_problem(answer: Message, status: int, reason: str) -> None:
    """The document has all its members, none of them the one for what nobody foresaw."""
    tree = answer.problem
    assert (answer.status, tree["status"], tree["reason"], tree["type"]) == (status, status, reason, "about:blank")
    assert answer.all("X-Request-ID") == [tree["request_id"]]
    assert answer.all("Cache-Control") == ["no-store"]
    assert tree["title"] not in {"", "The server in front of the gateway failed"}
    assert tree["detail"] not in {"", "Something went wrong in the server in front of the gateway."}
    assert tree["hint"] not in {"", "Tell your administrators the request id; it stands in the log of that server."}


def _has_the_headers_of_every_answer(answer: Message) -> None:
    assert answer.all("Strict-Transport-Security") == ["max-age=63072000"]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]
    assert all(character not in answer.all("Server")[0] for character in "/0123456789")


async def test_http_0_9_is_refused(site: Site) -> None:
    reader, writer = await site.open()
    writer.write(b"GET /slurm/v0.0.38/ping\r\n")
    assert json.loads(await reader.read())["reason"] == "bad_request"
    writer.close()
    assert site.stub.requests == []


async def test_http_1_0_is_served(site: Site) -> None:
    assert (await site.send("GET /slurm/v0.0.38/ping HTTP/1.0\r\nHost: slurm.test\r\n\r\n")).status == 200


async def test_a_gateway_that_is_down_is_said_to_be_so(start: Start) -> None:
    site = await start(stub=False)
    answer = await site.send(request("/slurm/v0.0.38/job/submit", method="POST", body="{}"))
    _is_a_problem(answer, 502, "gateway_unavailable")
    assert "nothing was done" in answer.problem["detail"]
    assert answer.problem["hint"].startswith("Try again")
    assert answer.problem["errors"][0]["source"] == "slurm-gateway"
    _has_the_headers_of_every_answer(answer)


async def test_a_gateway_that_does_not_answer_is_waited_for_no_longer_than_set(start: Start) -> None:
    site = await start(patches={"proxy_read_timeout 180s": "proxy_read_timeout 200ms"})

    async def never(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    site.stub.answer = never
    answer = await site.send(request("/auth/login"))
    _is_a_problem(answer, 504, "gateway_timeout")
    assert len(site.stub.requests) == 1


async def test_what_the_gateway_answers_passes_as_it_is(site: Site) -> None:
    async def refuse(writer: asyncio.StreamWriter) -> None:
        headers = "Content-Type: application/problem+json\r\nRetry-After: 77\r\nAllow: PUT\r\nX-Accel-Redirect: /metrics\r\nX-Request-ID: other"
        headers += "\r\nStrict-Transport-Security: max-age=1\r\nX-Content-Type-Options: nosniff"
        writer.write(f"HTTP/1.1 429 Mine\r\n{headers}\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\n[]".encode())

    site.stub.answer = refuse
    answer = await site.send(request())
    assert (answer.status, answer.body) == (429, b"[]")
    assert (answer.all("Retry-After"), answer.all("Allow"), answer.all("Cache-Control")) == (["77"], ["PUT"], ["private"])
    assert answer.all("X-Request-ID") == site.stub.requests[0].all("X-Request-ID")
    _has_the_headers_of_every_answer(answer)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_questions_about_a_call_are_the_gateways_to_answer(method: str, site: Site) -> None:
    headers = ("Origin: https://portal.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
    answer = await site.send(request("/slurm/v0.0.38/jobs", *headers, method=method))
    [seen] = site.stub.requests
    assert (answer.status, seen.first.split(" ")[0]) == (200, method)
    assert {key: value for key, value in seen.headers if key in {"Origin", "Access-Control-Request-Method"}} == {
        "Origin": "https://portal.example",
        "Access-Control-Request-Method": "POST",
    }


async def test_a_browser_that_asks_before_it_signs_in_has_not_signed_in_yet(site: Site) -> None:
    for _ in range(5):
        assert (await site.send(request("/auth/login", "Origin: https://portal.example", method="OPTIONS"))).status == 200
    for _ in range(3):
        assert (await site.send(request("/auth/login", method="POST", body="{}"))).status == 200
    assert (await site.send(request("/auth/login", method="POST", body="{}"))).status == 429


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_compressed_answer_passes_untouched(coding: str, site: Site) -> None:
    body = b"\x1f\x8b these bytes are nobody's to look at"
    kept = {
        "Content-Encoding": coding, "ETag": '"0123456789abcdef"', "Vary": "Accept-Encoding, Accept", "Age": "1", "X-Cache": "hit",
        "Cache-Control": "private, max-age=1", "Link": '</slurm/v0.0.38/jobs?cursor=x>; rel="next"', "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }  # fmt: skip

    async def compressed(writer: asyncio.StreamWriter) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)

    site.stub.answer = compressed
    # nginx could say 304 by itself; whether the tag still holds is the gateway's to say.
    answer = await site.send(request("/slurm/v0.0.38/jobs", "Accept-Encoding: gzip, zstd", 'If-None-Match: "0123456789abcdef"'))
    assert (answer.status, answer.body) == (200, body)
    assert {name: answer.all(name) for name in kept} == {name: [value] for name, value in kept.items()}
    [seen] = site.stub.requests
    assert (seen.all("Accept-Encoding"), seen.all("If-None-Match")) == (["gzip, zstd"], ['"0123456789abcdef"'])


async def test_an_answer_that_nothing_has_changed_passes_with_its_tag(site: Site) -> None:
    async def unchanged(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 304 Not Modified\r\nETag: "abc"\r\nVary: Accept-Encoding\r\n\r\n')

    site.stub.answer = unchanged
    answer = await site.send(request("/slurm/v0.0.38/jobs", 'If-None-Match: "abc"'))
    assert (answer.status, answer.all("ETag"), answer.all("Vary"), answer.body) == (304, ['"abc"'], ["Accept-Encoding"], b"")


# ---- What lasts ------------------------------------------------------------------------------------------------------------------------------

WAITING = [request("/slurm/v0.0.38/job/7?wait=60&until=finished"), request("/clusters/main/slurm/v0.0.38/job/7/?wait=5")]
LASTING = [request("/events"), request("/clusters/main/events?x=1"), request("//%65vents/"), *WAITING]


@pytest.mark.parametrize("target", ["/events", "/clusters/main/events"])
async def test_an_event_arrives_when_it_happens(target: str, site: Site) -> None:
    heard = asyncio.Event()

    async def tell(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\nid: 1\r\n\r\n")
        await heard.wait()
        writer.write(b": heart-beat\r\n\r\n")
        writer.close()

    site.stub.answer = tell
    reader, writer = await site.open()
    writer.write(request(target, "Last-Event-ID: 7", "Accept: text/event-stream").encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"id: 1\r\n\r\n")
        heard.set()
        assert b": heart-beat" in await reader.read()
    assert site.stub.requests[0].all("Last-Event-ID") == ["7"]
    writer.close()


async def test_a_listener_who_leaves_is_gone_from_the_gateway_too(site: Site) -> None:
    gone = asyncio.Event()

    async def closes(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b": heart-beat\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        gone.set()

    site.stub.answer = closes
    reader, writer = await site.open()
    writer.write(request("/events").encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b": hello")
        writer.close()
        await gone.wait()


@pytest.mark.parametrize("raw", LASTING)
async def test_what_lasts_leaves_room_for_the_other_requests_of_its_address(start: Start, raw: str) -> None:
    site = await start(options={"--max-requests": "1", "--max-streams": "2"})
    both, go_on = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        if not site.stub.requests[-1].target.startswith("/slurm/v0.0.38/ping"):
            both.set() if len(site.stub.requests) == 2 else None
            await go_on.wait()
        writer.write(OK)

    site.stub.answer = wait
    lasting = [asyncio.create_task(site.send(raw)) for _ in range(2)]
    async with asyncio.timeout(10):
        await both.wait()
    assert (await site.send(request())).status == 200
    _is_a_problem(await site.send(LASTING[0]), 429, "throttled")
    go_on.set()
    assert [(await one).status for one in lasting] == [200, 200]


@pytest.mark.parametrize("target", ["/slurm/v0.0.38/jobs?wait=60", "/slurm/v0.0.38/ping?wait=60", "/events/x", "/slurm/v0.0.38/job/7"])
async def test_what_only_looks_as_if_it_lasted_counts_as_any_other(start: Start, target: str) -> None:
    site = await start(options={"--max-requests": "1"})
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go_on.wait()
        writer.write(OK)

    site.stub.answer = wait
    first = asyncio.create_task(site.send(request(target)))
    await arrived.wait()
    assert (await site.send(request(target))).status == 429
    go_on.set()
    assert (await first).status == 200


@pytest.mark.parametrize(
    ("raw", "status"), [(request("/events", host="elsewhere.test"), 421), (request("/clusters/a/events", host="elsewhere.test"), 421)]
)
async def test_a_stream_has_the_same_door_as_everything_else(raw: str, status: int, site: Site) -> None:
    assert (await site.send(raw)).status == status
    assert (await site.send_plain(site.plain_port, raw)).all("Location")[0].startswith(f"https://slurm.test:{site.port}/")
    assert site.stub.requests == []


async def test_life_is_told_to_everyone(site: Site) -> None:
    assert (await site.send(request("/health/live"))).status == 200
    assert site.stub.requests[0].target == "/health/live"


# ---- TLS, and the ways past it ---------------------------------------------------------------------------------------------------------------


async def test_plain_http_on_the_tls_port_is_told_what_is_wrong(site: Site) -> None:
    answer = await site.send_plain(site.port, request())
    _is_a_problem(answer, 400, "bad_request")
    assert answer.problem["title"] == "This port speaks HTTPS"
    assert answer.all("Strict-Transport-Security") == []


async def test_plain_http_is_sent_on_to_the_fixed_name(site: Site) -> None:
    answer = await site.send_plain(site.plain_port, request("/a%2Fb?x=1", host="elsewhere.test"))
    assert (answer.status, answer.all("Location")) == (308, [f"https://slurm.test:{site.port}/a%2Fb?x=1"])
    assert answer.all("Strict-Transport-Security") == []
    assert site.stub.requests == []


async def test_an_absolute_target_does_not_choose_where_the_redirect_leads(site: Site) -> None:
    answer = await site.send_plain(site.plain_port, request("http://elsewhere.test/x", host="elsewhere.test"))
    assert answer.all("Location") == [f"https://slurm.test:{site.port}/x"]


async def test_a_client_by_address_sends_no_name_and_is_served(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=site.trust, server_hostname="127.0.0.1")
    assert (await exchange(reader, writer, request(host=f"127.0.0.1:{site.port}"))).status == 200


async def test_a_name_that_is_only_in_the_certificate_is_not_served(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=site.trust, server_hostname="other.test")
    assert (await exchange(reader, writer, request(host="other.test"))).status == 421


async def _run(*words: str) -> tuple[int, str]:
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=null, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    async with asyncio.timeout(10):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace")


@pytest.mark.parametrize(
    ("words", "accepted"),
    [
        (("-tls1",), False),
        (("-tls1_1",), False),
        (("-tls1_2",), True),
        (("-tls1_3",), True),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), False),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
async def test_only_sound_tls_is_spoken(words: tuple[str, ...], *, accepted: bool, site: Site) -> None:
    cipher = () if "-cipher" in words else ("-cipher", "DEFAULT:@SECLEVEL=0")
    code, said = await _run("openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-servername", "slurm.test", *words, *cipher)
    assert (code == 0) is accepted
    assert ("alert" in said) is not accepted, said


async def test_sessions_have_no_tickets(site: Site) -> None:
    _, said = await _run("openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-servername", "slurm.test", "-tls1_2")
    assert "TLS session ticket" not in said


async def test_http_2_is_spoken_to_clients_and_1_1_to_the_gateway(site: Site, certificates: Path) -> None:
    words = ["curl", "-sS", "--http2", "--cacert", f"{certificates}/ca.pem", "--resolve", f"slurm.test:{site.port}:127.0.0.1"]
    headers = ["-H", "X-SLURM-USER-NAME: alice", "-H", "X-SLURM-USER-NAME: root", "-H", "X-Forwarded-For: 192.0.2.1"]
    code, said = await _run(*words, *headers, "-w", " %{http_version}", f"https://slurm.test:{site.port}/slurm//v0.0.38/%70ing")
    assert (code, said) == (0, "{} 2")
    [seen] = site.stub.requests
    assert seen.first == "GET /slurm//v0.0.38/%70ing HTTP/1.1"
    assert (seen.all("X-SLURM-USER-NAME"), seen.all("X-Forwarded-For")) == (["alice", "root"], ["127.0.0.1"])


# ---- Logs ----------------------------------------------------------------------------------------------------------------------------------


async def test_the_access_log_has_no_secret_and_is_json(site: Site) -> None:
    headers = (
        f"Authorization: Bearer {SECRET}",
        f"X-SLURM-USER-TOKEN: {SECRET}",
        f"Cookie: {SECRET}",
        f"Referer: https://x/?{SECRET}",
        f"User-Agent: {SECRET}",
    )
    await site.send(request(f"/slurm/v0.0.38/jobs?token={SECRET}", *headers, method="POST", body=SECRET))
    await site.send(request(f"/auth/session/{SECRET}"))
    await site.send(request(f"/auth/totp/{SECRET.replace('sgw_', 'sgt%5F')}"))
    await site.send(request('/a"b\\c\xe4d', f"X: {SECRET}"))
    await site.send(f"{SECRET} / HTTP/1.1\r\n\r\n")
    await site.send(request(f"/x#{SECRET}"))
    await site.stop()
    text = (site.folder / "access.log").read_text(encoding="ascii")
    lines = [json.loads(line) for line in text.splitlines()]
    assert SECRET not in text
    assert [(line["method"], line["path"], line["status"]) for line in lines[:4]] == [
        ("POST", "/slurm/v0.0.38/jobs", 200),
        ("GET", "(hidden: it has a token in it)", 200),
        ("GET", "(hidden: it has a token in it)", 200),
        ("GET", '/a"b\\c', 200),
    ]
    assert [line["request_id"] for line in lines[:2]] == [message.all("X-Request-ID")[0] for message in site.stub.requests[:2]]
    assert set(lines[0]) == {
        "time", "request_id", "remote_addr", "method", "path", "protocol", "status", "bytes", "request_time", "upstream_time", "tls",
    }  # fmt: skip


async def test_a_refused_method_is_logged_under_its_own_name(start: Start) -> None:
    site = await start(options={"--max-body": "1k"})
    await site.send(request("/slurm/v0.0.38/job/submit", method="POST", body="x" * 2000))
    await site.stop()
    line = json.loads((site.folder / "access.log").read_text())
    assert (line["method"], line["path"], line["status"]) == ("POST", "/slurm/v0.0.38/job/submit", 413)


async def test_nginx_has_nothing_to_complain_of_at_its_start(site: Site) -> None:
    await site.stop()
    assert (site.folder / "error.log").read_text() == ""


def test_a_check_repeats_what_nginx_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--server-name=slurm.test", "--listen=127.0.0.1:8443", "--certificate=/missing.pem", "--certificate-key=/missing.key"]
    output = tmp_path / "site.conf"
    assert main(["nginx", "render", *words, "--gateway=unix:/g", "--check", f"--output={output}"]) == 1
    said = capsys.readouterr().err
    assert 'cannot load certificate "/missing.pem"' in said
    assert "slurm-gateway: nginx refuses this configuration\nhint: " in said
    assert not output.exists()


# ---- Several nodes ---------------------------------------------------------------------------------------------------------------------------

ONCE = {
    "a cancelled job": request("/slurm/v0.0.38/job/7", method="DELETE"),
    "a submission": request("/slurm/v0.0.38/job/submit", method="POST", body="{}"),
    "a GET that changes something": request("/slurm/v0.0.42/reconfigure"),
    "a requeue": request("/clusters/main/slurm/v0.0.44/job/7/requeue"),
    "a one-time code": request("/slurm/v0.0.38/ping", "Authorization: Basic YTpi", "X-OTP: 123456"),
    "a one-time code without a password": request("/slurm/v0.0.38/ping", "X-OTP: 123456"),
}
# As soon as a node has failed, the next requests go to the other one; for a test it is tried every time.
FORGIVING = {"max_fails=1 fail_timeout=2s": "max_fails=0"}


async def _drops(writer: asyncio.StreamWriter) -> None:
    writer.close()


@asynccontextmanager
async def _second(folder: Path) -> AsyncIterator[Stub]:
    other = Stub(folder / "h")
    async with other.serving():
        yield other


TOKENS = [f"sgw_{number:049}" for number in range(24)]


async def test_sessions_and_sign_ins_are_shared_by_the_nodes(start: Start, tmp_path: Path) -> None:
    site = await start(nodes="gh", options={"--login-burst": "100"})
    async with _second(tmp_path) as other:
        for token in TOKENS:
            assert (await site.send(request("/slurm/v0.0.38/ping", f"Authorization: Bearer {token}"))).status == 200
        for node in (site.stub, other):
            assert len(node.requests) > 3
            node.requests.clear()
        for _ in TOKENS:
            assert (await site.send(request("/auth/login", method="POST", body="{}"))).status == 200
    assert min(len(node.requests) for node in (site.stub, other)) > 3


async def test_who_presents_the_same_token_comes_to_the_same_node(start: Start, tmp_path: Path) -> None:
    site = await start(nodes="gh")
    async with _second(tmp_path) as other:
        for token in TOKENS[:8]:
            for way in (f"Authorization: Bearer {token}", f"authorization: bearer {token}", f"X-SLURM-USER-TOKEN: {token}"):
                assert (await site.send(request("/slurm/v0.0.38/jobs", way))).status == 200
                assert (await site.send(request("/slurm/v0.0.38/job/submit", way, method="POST", body="{}"))).status == 200
            assert sorted((len(site.stub.requests), len(other.requests))) == [0, 6]
            site.stub.requests.clear()
            other.requests.clear()


async def test_whose_node_is_dead_goes_on_at_the_other(start: Start) -> None:
    site = await start(nodes="gh")
    for token in TOKENS:
        assert (await site.send(request("/slurm/v0.0.38/ping", f"Authorization: Bearer {token}"))).status == 200
    assert len(site.stub.requests) == len(TOKENS)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_a_question_that_changes_nothing_is_asked_again_of_the_other_node(start: Start, tmp_path: Path, method: str) -> None:
    site = await start(nodes="gh", patches=FORGIVING)
    async with _second(tmp_path) as other:
        other.answer = _drops
        answers = [await site.send(request("/slurm/v0.0.38/ping", f"Authorization: Bearer {token}", method=method)) for token in TOKENS]
    assert {answer.status for answer in answers} == {200}
    assert len(other.requests) > 3


@pytest.mark.parametrize("raw", [request("/slurm/v0.0.38/ping"), ONCE["a submission"]])
async def test_what_a_dead_node_never_got_goes_to_the_other(start: Start, raw: str) -> None:
    site = await start(nodes="gh", patches=FORGIVING)
    assert [(await site.send(raw)).status for _ in range(6)] == [200] * 6
    assert len(site.stub.requests) == 6


async def test_a_read_that_a_node_took_with_it_is_asked_of_the_other(start: Start, tmp_path: Path) -> None:
    site = await start(nodes="gh", patches=FORGIVING)
    async with _second(tmp_path) as other:
        other.answer = _drops
        assert [(await site.send(request("/slurm/v0.0.38/ping"))).status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize("way", ["a read", "a read that the first node took with it", "a submission"])
async def test_a_node_that_came_back_is_there_for_all_at_once_when_the_other_dies(start: Start, tmp_path: Path, way: str) -> None:
    site = await start(nodes="gh", patches={"fail_timeout=2s": "fail_timeout=1s"})
    sent = ("/slurm/v0.0.38/job/submit", "POST", "{}") if way == "a submission" else ("/slurm/v0.0.38/ping", "GET", "")

    async def ask(token: str) -> int:
        return (await site.send(request(sent[0], f"Authorization: Bearer {token}", method=sent[1], body=sent[2]))).status

    async with _second(tmp_path) as other:
        for token in TOKENS:
            await ask(token)
        theirs, ours = ({message.all("Authorization")[0].removeprefix("Bearer ") for message in node.requests} for node in (other, site.stub))
    # The second node dies and comes back, and nobody has asked it since. When the first one dies too, nginx would try one request there, and tell
    # all others meanwhile that there is no node.
    assert {await ask(token) for token in sorted(theirs) * 4} == {200}
    await asyncio.sleep(2.1)  # nginx counts whole seconds, and there is nothing to be seen from outside that could be waited for
    asking = sorted(ours)[:8]
    assert len(asking) > 1
    all_are_here, released = asyncio.Event(), asyncio.Event()

    async def hold(writer: asyncio.StreamWriter) -> None:
        if len(other.requests) == len(asking):
            all_are_here.set()
        await released.wait()
        writer.write(OK)

    async with _second(tmp_path) as other:
        other.answer = hold
        site.stub.answer = _drops
        if way != "a read that the first node took with it":
            site.stub.die()
        asked = [asyncio.create_task(ask(token)) for token in asking]
        waiting = asyncio.create_task(all_are_here.wait())
        await asyncio.wait([*asked, waiting], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        released.set()
        assert (await asyncio.gather(*asked), len(other.requests)) == ([200] * len(asked), len(asked))
        assert {message.body for message in other.requests} == {sent[2].encode()}


@pytest.mark.parametrize("patches", [{}, FORGIVING], ids=["as it is", "forgiving"])
@pytest.mark.parametrize("what", ONCE)
async def test_what_must_not_be_done_twice_is_sent_to_one_node_only(start: Start, tmp_path: Path, what: str, patches: dict[str, str]) -> None:
    site = await start(nodes="gh", patches=patches)
    async with _second(tmp_path) as other:
        other.answer = site.stub.answer = _drops
        answer = await site.send(ONCE[what])
        assert (answer.status, answer.problem["reason"], "not known" in answer.problem["detail"]) == (502, "gateway_unavailable", True)
        assert len(site.stub.requests) + len(other.requests) == 1


@pytest.mark.parametrize("patches", [{}, FORGIVING], ids=["as it is", "forgiving"])
async def test_when_no_node_is_there_people_are_told_that_nothing_was_done(start: Start, patches: dict[str, str]) -> None:
    site = await start(nodes="gh", patches=patches, stub=False)
    for raw in (*ONCE.values(), request("/slurm/v0.0.38/ping")) * 2:
        assert "nothing was done" in (await site.send(raw)).problem["detail"]


async def test_an_event_of_a_node_that_was_asked_in_spite_of_its_failure_arrives_when_it_happens(start: Start, tmp_path: Path) -> None:
    site = await start(nodes="gh")
    assert (await site.send(request("/slurm/v0.0.38/ping"))).status == 200
    site.stub.die()
    assert {(await site.send(request("/slurm/v0.0.38/ping"))).status for _ in range(4)} == {502}  # both are left out now
    more = asyncio.Event()

    async def tells(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        await more.wait()
        writer.close()

    async with _second(tmp_path) as other:
        other.answer = tells
        reader, writer = await site.open()
        writer.write(request("/events").encode())
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"data: 1\n\n")).startswith(b"HTTP/1.1 200")
        more.set()
        writer.close()


async def test_what_is_sent_once_arrives_byte_for_byte_as_it_came(start: Start, tmp_path: Path) -> None:
    site = await start(nodes="gh")
    async with _second(tmp_path) as other:
        await site.send(request("/slurm//v0.0.38/%6aob/7?a=%2f&b", method="DELETE"))
    [seen] = [*site.stub.requests, *other.requests]
    assert seen.first == "DELETE /slurm//v0.0.38/%6aob/7?a=%2f&b HTTP/1.1"

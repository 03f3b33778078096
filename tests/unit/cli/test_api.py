"""Any request: what goes out is what was said, what comes back is printed as it came."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from gateway.cli import person
from gateway.client.errors import GatewayError
from gateway.secret import Secret
from tests.saying import FakeGateway, Says, refuses
from tests.unit.cli.conftest import Run

BYTES = b'{"a": "\xc3\xa9\\u001b"}\r\n\x00\xff no newline'


class Out(io.TextIOWrapper):
    """Standard output, byte for byte; a terminal, if it is one."""

    terminal = False

    def __init__(self) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("path", ["/slurm/latest/ping", "slurm/latest/ping"])
@pytest.mark.parametrize("method", ["GET", "get", "DELETE", "OPTIONS"])
def test_a_request_goes_out_as_it_was_said(run: Run, gateway: FakeGateway, method: str, path: str) -> None:
    gateway.on(f"{method.upper()} /slurm/latest/ping", Says(body=b"{}"))
    ran = run("api", method, path)
    assert (ran.code, ran.out, ran.err) == (0, "{}", "")
    (asked,) = gateway.asked
    assert (asked.headers["accept"], asked.headers["accept-encoding"]) == ("*/*", "identity")
    assert asked.headers["authorization"].startswith("Bearer sgw_")


def test_the_answer_is_printed_byte_for_byte(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Out())
    gateway.on("GET /x", Says(pieces=(BYTES, b"more")))
    assert run("api", "GET", "/x").code == 0
    assert out.raw_bytes.getvalue() == BYTES + b"more"


def test_on_a_terminal_nothing_is_acted_upon(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Out())
    out.terminal = True
    gateway.on("GET /x", Says(pieces=(b"a\x1b[2Jb\xe2\x80", b"\xaec\xc2\x9b\r\nd\te"), headers=(("X-Odd", "\x9b"),)))
    assert run("api", "GET", "/x", "-i").code == 0
    assert out.raw_bytes.getvalue().decode().endswith("a?[2Jb?c?\nd\te\n")
    assert "\nx-odd: ?\n" in out.raw_bytes.getvalue().decode()


def test_the_query_goes_with_the_path(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", Says())
    assert run("api", "GET", "/slurm/latest/jobs?state=R,PD&name=a b").code == 0
    assert gateway.asked[0].query == {"state": "R,PD", "name": "a b"}


def test_an_address_of_this_gateway_is_a_path(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /slurm/latest/jobs", Says(body=b"yes"))
    assert run("api", "GET", f"{gateway.url}/slurm/latest/jobs?x=1").out == "yes"


@pytest.mark.parametrize("url", ["https://elsewhere.example/slurm", "http://127.0.0.1:1/slurm"])
def test_an_address_of_another_host_is_refused(run: Run, gateway: FakeGateway, url: str) -> None:
    ran = run("api", "GET", url)
    assert (ran.code, ran.err) == (
        2,
        f"slurm-gateway: {url} is not below {gateway.url}\nhint: Give the path alone; --site names another gateway.\n",
    )
    assert gateway.asked == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://elsewhere.example/x", "https://u:p@127.0.0.1/x"])
def test_what_is_no_address_of_a_gateway_is_refused(run: Run, gateway: FakeGateway, url: str) -> None:
    ran = run("api", "GET", url)
    assert (ran.code, ran.err.splitlines()[1]) == (2, f"hint: Give the path alone, below {gateway.url}.")


@pytest.mark.parametrize(("path", "asked"), [("/slurm/latest/ping", "/clusters/big/slurm/latest/ping"), ("/openapi/v3", "/clusters/big/openapi/v3")])
def test_another_cluster_stands_before_its_paths(run: Run, gateway: FakeGateway, path: str, asked: str) -> None:
    gateway.on(f"GET {asked}", Says())
    assert run("api", "--cluster", "big", "GET", path).code == 0


@pytest.mark.parametrize("path", ["/auth/session", "/clusters/small/slurm/latest/ping"])
def test_a_cluster_does_not_go_with_what_is_not_its_own(run: Run, gateway: FakeGateway, path: str) -> None:
    ran = run("api", "--cluster", "big", "GET", path)
    assert (ran.code, gateway.asked) == (2, [])
    assert ran.err == (
        f"slurm-gateway: --cluster does not go with {path}\n"
        "hint: It goes with /slurm/, /slurmdb/, /openapi and /events; a path below /clusters/ names its own.\n"
    )


@pytest.mark.parametrize(("words", "content_type"), [((), "application/json"), (("-H", "content-type: application/yaml"), "application/yaml")])
def test_a_body_is_json_unless_it_is_said_otherwise(
    run: Run, gateway: FakeGateway, tmp_path: Path, words: tuple[str, ...], content_type: str
) -> None:
    (tmp_path / "job").write_bytes(BYTES)
    gateway.on("POST /slurm/latest/job/submit", Says(body=b"{}"))
    assert run("api", "POST", "/slurm/latest/job/submit", "-d", tmp_path / "job", *words).code == 0
    (asked,) = gateway.asked
    assert (asked.body, asked.headers["content-type"]) == (BYTES, content_type)
    assert "idempotency-key" not in asked.headers


def test_a_body_may_come_from_standard_input(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BYTES)))
    gateway.on("POST /x", Says())
    assert run("api", "POST", "/x", "-d", "-").code == 0
    assert gateway.asked[0].body == BYTES


def test_headers_go_along(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /x", Says())
    assert run("api", "GET", "/x", "-H", "accept: text/csv", "-H", "Idempotency-Key:  k").code == 0
    assert (gateway.asked[0].headers["accept"], gateway.asked[0].headers["idempotency-key"]) == ("text/csv", "k")


@pytest.mark.parametrize("name", ["Authorization", "authorization", "X-SLURM-USER-NAME", "x-slurm-user-token", "X-OTP", "Cookie"])
def test_a_header_that_says_who_asks_is_refused(run: Run, gateway: FakeGateway, name: str) -> None:
    ran = run("api", "GET", "/x", "-H", f"{name}: secret")
    assert (ran.code, gateway.asked, "secret" in ran.err) == (2, [], False)
    assert ran.err.splitlines()[1] == "hint: Name whose token to use by --site or --token-file; a user's name goes with the token."


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection"])
def test_a_header_of_the_connection_is_refused(run: Run, gateway: FakeGateway, name: str) -> None:
    ran = run("api", "GET", "/x", "-H", f"{name}: 1")
    assert (ran.code, ran.err.splitlines()[1], gateway.asked) == (2, "hint: Leave it out: it is written as the request needs it.", [])


@pytest.mark.parametrize("line", ["nothing", ": x", "a b: c", "A: b\r\nX-Evil: 1", "A: \x00", "A: 日", "A\n: b"])
def test_what_is_no_header_is_refused(run: Run, gateway: FakeGateway, line: str) -> None:
    ran = run("api", "GET", "/x", "-H", line)
    assert (ran.code, ran.err.splitlines()[-1], gateway.asked) == (2, "hint: Write -H 'Name: value'.", [])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("-d", "/nowhere"), "Name a file that you may read, or '-' for standard input."),
        (("-d", "@job.json"), "Name the file without @."),
        (("-d", "a\0b"), "Name a file that you may read, or '-' for standard input."),
    ],
)
def test_a_body_that_cannot_be_read_is_told(run: Run, gateway: FakeGateway, words: tuple[str, ...], hint: str) -> None:
    ran = run("api", "POST", "/x", *words)
    assert (ran.code, ran.err.splitlines()[1], gateway.asked) == (1, f"hint: {hint}", [])


def test_a_read_has_no_body(run: Run, gateway: FakeGateway) -> None:
    ran = run("api", "GET", "/x", "-d", "-")
    assert (ran.code, ran.err) == (2, "slurm-gateway: GET takes no -d\nhint: Send it with POST, or leave it out.\n")
    assert gateway.asked == []


def test_a_method_that_is_none_is_usage(run: Run, gateway: FakeGateway) -> None:
    ran = run("api", "FLY", "/x")
    assert (ran.code, ran.err.splitlines()[-1].endswith("'slurm-gateway api --help' tells how it is used."), gateway.asked) == (2, True, [])


def test_the_head_is_printed_when_it_is_asked_for(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /x", Says(body=b"body", headers=(("X-Cache", "hit"),)))
    head, _, body = run("api", "GET", "/x", "--include").out.partition("\n\n")
    assert (head.splitlines()[0], "x-cache: hit" in head.splitlines(), body) == ("HTTP/1.1 200 OK", True, "body")


def test_head_is_a_method(run: Run, gateway: FakeGateway) -> None:
    gateway.on("HEAD /x", Says(body=b"body"))
    ran = run("api", "HEAD", "/x", "-i")
    assert (ran.code, "content-length: 4" in ran.out, ran.out.endswith("\n\n")) == (0, True, True)


def test_a_refusal_is_printed_as_it_came_and_told_beside_it(run: Run, gateway: FakeGateway) -> None:
    refusal = refuses(404, "not_found", "No such path.", "Slurm's calls are under /slurm/.")
    gateway.on("GET /x", refusal)
    ran = run("api", "GET", "/x")
    assert (ran.code, ran.out) == (1, refusal.content.decode())
    assert ran.err == "slurm-gateway: No such path.\nhint: Slurm's calls are under /slurm/.\n"


def test_slurms_own_refusal_is_told_in_its_words(run: Run, gateway: FakeGateway) -> None:
    gateway.on("POST /x", Says(status=500, body={"errors": [{"description": "Job script not specified"}], "hint": "Give one."}))
    assert run("api", "POST", "/x").err == "slurm-gateway: Job script not specified\nhint: Give one.\n"


@pytest.mark.parametrize(("method", "status"), [("POST", 503), ("GET", 429), ("DELETE", 502)])
def test_nothing_is_sent_twice(run: Run, gateway: FakeGateway, method: str, status: int) -> None:
    gateway.on(f"{method} /x", refuses(status, "too_many_calls"))
    assert run("api", method, "/x").code == 1
    assert len(gateway.asked) == 1


def test_a_long_refusal_is_printed_to_its_end(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Out())
    gateway.on("GET /x", Says(status=500, media_type="text/plain", pieces=(b"x" * 700_000, b"y" * 700_000, b"z")))
    assert run("api", "GET", "/x").code == 1
    assert (len(out.raw_bytes.getvalue()), out.raw_bytes.getvalue()[-1:]) == (1_400_001, b"z")


def test_not_modified_is_an_answer(run: Run, gateway: FakeGateway) -> None:
    gateway.on("GET /x", Says(status=304))
    assert run("api", "GET", "/x", "-H", 'If-None-Match: "a"').code == 0


@pytest.mark.parametrize(
    ("reason", "status", "hint"),
    [
        ("token_refused", 401, "hint: Give another one: --token-file or SLURM_GATEWAY_TOKEN; "),
        ("second_factor_stale", 403, "hint: A token cannot show a new code: sign in (slurm-gateway login), "),
    ],
)
def test_an_ended_session_is_told_where_nobody_can_sign_in(run: Run, gateway: FakeGateway, reason: str, status: int, hint: str) -> None:
    gateway.on("GET /x", refuses(status, reason, "It has ended.", "Sign in again."))
    ran = run("api", "GET", "/x")
    assert (ran.code, ran.err.splitlines()[0], ran.err.splitlines()[1].startswith(hint)) == (1, "slurm-gateway: It has ended.", True)
    assert (reason in ran.out, gateway.paths("GET").count("/x")) == (True, 1)


@pytest.mark.parametrize("reason", ["token_refused", "second_factor_stale"])
def test_somebody_who_signs_in_again_gets_the_answer_alone(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    def proves(_gateway: person.PersonsGateway, _error: GatewayError) -> Secret:
        return Secret(b"sgw_new")

    monkeypatch.setattr(person.PersonsGateway, "_prove", proves)
    gateway.on("POST /x", refuses(401, reason), Says(body=b"done"))
    ran = run("api", "POST", "/x")
    assert (ran.code, ran.out, ran.err) == (0, "done", "")
    assert gateway.asked[1].headers["authorization"] == "Bearer sgw_new"


def test_a_gateway_that_is_not_there_is_told(run: Run, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    del gateway
    monkeypatch.setenv("SLURM_GATEWAY_URL", "http://127.0.0.1:1")
    ran = run("api", "GET", "/x")
    assert (ran.code, ran.err.splitlines()[1]) == (1, "hint: Check the address and your network.")


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "0", "1e10"])
def test_a_limit_that_no_clock_has_is_refused_before_anything_is_sent(run: Run, gateway: FakeGateway, said: str) -> None:
    ran = run("api", "GET", "/slurm/latest/ping", "--timeout", said)
    assert (ran.code, gateway.asked) == (2, [])
    assert ran.err == (
        f"slurm-gateway: argument --timeout: '{said}' is no time such as 30s, 5m or 1h\nhint: 'slurm-gateway api --help' tells how it is used.\n"
    )

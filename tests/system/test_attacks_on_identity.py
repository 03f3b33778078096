"""Being somebody else: headers, paths, methods and tokens, through real nginx and the gateway to what slurmrestd is sent, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sessions.tokens import make_token
from tests.system.chain import SENT_ON, Chain, chain, hangs_up, new_address
from tests.system.support import HeaderList, Site, wait_for

PING = "/slurm/v0.0.36/ping"
NAME, TOKEN, BEARER = "X-SLURM-USER-NAME", "X-SLURM-USER-TOKEN", "Authorization"
# One call is forbidden to everyone by name, so that whoever reaches it got around the rule.
RULES = """
name = "no diag"
effect = "deny"
paths = ["/slurm/*/diag", "/slurmdb/*/diag"]

[[policy.rules]]
name = "the rest"
effect = "allow"
"""


@pytest.fixture(scope="module")
def way(site: Site) -> Iterator[Chain]:
    with chain(site, settings={"[policy.rules]": RULES, **SENT_ON}) as started:
        yield started


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(header: dict[str, object], key: bytes | None, **claims: object) -> str:
    """Make a JWT by hand, for the tests do not trust the library that they test."""
    now = int(time.time())
    parts = [b64(json.dumps(part).encode()) for part in (header, {"iat": now, "exp": now + 600, **claims})]
    text = ".".join(parts)
    return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest()) if key is not None else ''}"


# ---- Headers -----------------------------------------------------------------------------------------------------------------------------------


def forged(token: str) -> dict[str, tuple[HeaderList, int]]:
    """Headers that go with alice's token or in its place, and the status that they get."""
    alice = (BEARER, f"Bearer {token}")
    slurm = (TOKEN, token)
    return {
        "a name before the token": ([(NAME, "root"), alice], 403),
        "a name behind the token": ([alice, (NAME, "root")], 403),
        "a name before Slurm's token": ([(NAME, "root"), slurm], 403),
        "a name behind Slurm's token": ([slurm, (NAME, "root")], 403),
        "her own name": ([slurm, (NAME, "alice")], 200),
        "her own name in capitals": ([slurm, (NAME, "ALICE")], 403),
        "two names, hers first": ([slurm, (NAME, "alice"), (NAME, "root")], 400),
        "two names, hers last": ([(NAME, "root"), slurm, (NAME, "alice")], 400),
        "two names in other letters": ([slurm, ("x-slurm-user-name", "alice"), ("X-Slurm-User-Name", "root")], 400),
        "her name twice": ([slurm, (NAME, "alice"), (NAME, "alice")], 400),
        "two names in one header": ([slurm, (NAME, "alice, root")], 403),
        "two names, a line apart": ([slurm, (NAME, "alice\r\n root")], 400),
        "an empty name": ([slurm, (NAME, "")], 403),
        "an empty name and hers": ([slurm, (NAME, ""), (NAME, "alice")], 400),
        "hers and an empty name": ([slurm, (NAME, "alice"), (NAME, "")], 400),
        "an empty token and hers": ([(TOKEN, ""), slurm], 400),
        "hers and an empty token": ([slurm, (TOKEN, "")], 400),
        "an empty token alone": ([(TOKEN, ""), (NAME, "alice")], 401),
        "her token twice": ([slurm, slurm], 400),
        "two ways at once": ([alice, slurm], 400),
        "two tokens in one header": ([(TOKEN, f"{token},{token}")], 401),
        "underscores for dashes": ([alice, ("X_SLURM_USER_NAME", "root"), ("X_SLURM_USER_TOKEN", "x")], 200),
        "some underscores": ([slurm, ("X-SLURM_USER-NAME", "root"), ("X_SLURM-USER-NAME", "root")], 200),
        "dots for dashes": ([alice, ("X.SLURM.USER.NAME", "root")], 200),
        "underscores alone": ([("X_SLURM_USER_NAME", "root"), ("X_SLURM_USER_TOKEN", token)], 401),
        "a space behind the header's name": ([alice, (NAME + " ", "root")], 400),
        "what other proxies believe": ([alice, *((name, "root") for name in ("X-Forwarded-User", "Remote-User", "X-Remote-User", "X-User"))], 200),
        "what nginx and others set": ([alice, ("X-Auth-Request-User", "root"), ("X-WEBAUTH-USER", "root"), ("X-SLURM-USER", "root")], 200),
        "nothing but a name": ([(NAME, "alice")], 401),
        "nothing at all": ([], 401),
    }


def test_whatever_stands_in_the_head_slurmrestd_takes_the_request_for_its_senders_or_never_sees_it(way: Chain) -> None:
    seen = {}
    for name, (headers, _) in (cases := forged(way.site.token("alice"))).items():
        way.witness.taken()
        status = way.site.ask("GET", PING, headers=headers).status
        seen[name] = (status, [request.user for request in way.witness.taken()])
    assert seen == {name: (status, ["alice"] if status == 200 else []) for name, (_, status) in cases.items()}


@pytest.mark.parametrize(
    "connection",
    [
        "X-SLURM-USER-NAME, X-SLURM-USER-TOKEN",
        "close, x-slurm-user-token",
        "Authorization",
        "X-Forwarded-For, X-Request-ID, X-Forwarded-Proto",
        "Host, Content-Length, Content-Type",
        "keep-alive, upgrade, X-SLURM-USER-NAME",
    ],
)
def test_the_connection_header_takes_nothing_away(way: Chain, connection: str) -> None:
    way.witness.taken()
    # Without the claimed name, were it taken away, this would be let through.
    refused = way.site.ask("GET", PING, headers=[("Connection", connection), (TOKEN, way.site.token("alice")), (NAME, "root")])
    carried = way.site.ask("GET", PING, headers=[("Connection", connection), (TOKEN, way.site.token("alice")), (NAME, "alice")])
    assert (refused.status, carried.status) == (403, 200)
    [request] = way.witness.taken()
    assert (request.user, request.all("Connection")) == ("alice", [])
    [line] = way.site.audit_lines(request_id=refused.headers["X-Request-ID"])
    assert line["address"] == "127.0.0.1"


def test_slurmrestd_is_sent_the_headers_that_it_needs_and_no_other(way: Chain) -> None:
    way.witness.taken()
    headers = [(BEARER, f"Bearer {way.site.token('alice')}"), ("Cookie", "a=b"), ("X-Anything", "x"), ("Via", "1.1 x"), ("Range", "bytes=0-1")]
    way.site.ask("GET", PING, headers=[*headers, ("X-Forwarded-For", "192.0.2.1"), ("Expect", "100-continue"), ("Upgrade", "h2c")])
    [request] = way.witness.taken()
    assert {name for name, _ in request.headers} == {"Host", NAME, TOKEN, "Accept"}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"])
def test_no_header_says_where_somebody_is(way: Chain, header: str) -> None:
    address = new_address()
    answer = way.site.ask("GET", PING, headers=[(header, "203.0.113.9"), (header.lower(), "for=203.0.113.9")], source=address)
    [line] = way.site.audit_lines(request_id=answer.headers["X-Request-ID"])
    assert line["address"] == address


# ---- Another path or method than the one that is judged -----------------------------------------------------------------------------------------

OVERRIDES = [
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Envoy-Original-Path",
]


@pytest.mark.parametrize("header", OVERRIDES)
def test_no_header_makes_it_another_path(way: Chain, header: str) -> None:
    way.witness.taken()
    bearer = (BEARER, f"Bearer {way.site.token('alice')}")
    denied = way.site.ask("GET", "/slurm/v0.0.36/diag", headers=[bearer, (header, PING)])
    carried = way.site.ask("GET", PING, headers=[bearer, (header, "/slurm/v0.0.36/diag")])
    assert (denied.status, carried.status) == (403, 200)
    assert [request.request_line for request in way.witness.taken()] == [f"GET {PING} HTTP/1.1"]


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X-Forwarded-Method"])
def test_no_header_makes_it_another_method(way: Chain, header: str) -> None:
    job = way.site.submit("alice", "#!/bin/sh\ntrue\n", hold=True)
    way.witness.taken()
    answer = way.site.call("alice", "GET", f"/slurm/v0.0.36/job/{job}")
    override = [(BEARER, f"Bearer {way.site.token('alice')}"), (header, "DELETE")]
    assert way.site.ask("GET", f"/slurm/v0.0.36/job/{job}?_method=DELETE", headers=override).status == answer.status
    assert {request.request_line.split(" ")[0] for request in way.witness.taken()} == {"GET"}
    assert way.site.state_of("alice", job) == "PENDING"


# Ways to write /slurm/v0.0.36/diag, or what somebody might take for it.
SPELLINGS = r"""
/slurm/v0.0.36/diag /slurm/v0.0.36/diag/ //slurm//v0.0.36///diag// /slurm/v0.0.36/%64iag /slurm/v0.0.36/dia%67 /%73lurm/v0.0.36/diag
/slurm/v0%2e0%2E36/diag /slurm/v0.0.36/diag? /slurm/v0.0.36/diag?x=y /slurm/v0.0.36/diag?/slurm/v0.0.36/ping /slurm/v0.0.36/diag??
/slurm/v0.0.36/diag# /slurm/v0.0.36/diag#/ping /slurm/v0.0.36/ping#/../diag
/slurm/v0.0.36/ping/../diag /slurm/v0.0.36/./diag /slurm/v0.0.36/%2e/diag /slurm/v0.0.36/ping/%2e%2e/diag /slurm/v0.0.36/ping/.%2e/diag
/slurm/v0.0.36/ping/..%2fdiag /slurm/v0.0.36/ping%2f..%2fdiag /slurm/v0.0.36%2fdiag /slurm%2fv0.0.36%2fdiag /slurm/v0.0.36%5cdiag
/slurm/v0.0.36\diag /slurm/v0.0.36/ping\..\diag /slurm/v0.0.36/diag%00 /slurm/v0.0.36/diag%00/ping /slurm/v0.0.36/diag%20
/slurm/v0.0.36/diag%09 /slurm/v0.0.36/diag%0a /slurm/v0.0.36/diag%0d%0a /slurm/v0.0.36/diag;x /slurm/v0.0.36;x/diag /slurm/v0.0.36/diag;/ping
/slurm/v0.0.36/diag%3b /slurm/v0.0.36/diag%3f /slurm/v0.0.36/diag%23 /slurm/v0.0.36/%2564iag /slurm/v0.0.36/%u0064iag /slurm/v0.0.36/%c1%a4iag
/slurm/v0.0.36/%e0%81%a4iag /slurm/v0.0.36/d%ef%bd%89ag /slurm/v0.0.36/diäg /slurm/v0.0.36/DIAG /Slurm/v0.0.36/diag /SLURM/V0.0.36/DIAG
/slurm/v0.0.36/diag. /slurm/v0.0.36/diag.json /slurm/v0.0.36/diag* /slurm/v0.0.36/diag% /slurm/v0.0.36/diag%6 /slurm/v0.0.36/%zziag
/clusters/demo/slurm/v0.0.36/diag /clusters/demo//slurm/v0.0.36/%64iag/ /clusters/%64emo/slurm/v0.0.36/diag /clusters/demo/../slurm/v0.0.36/diag
/clusters/demo/clusters/demo/slurm/v0.0.36/diag /slurm/../slurm/v0.0.36/diag /openapi/../slurm/v0.0.36/diag /slurmdb/v0.0.36/diag
http://127.0.0.1/slurm/v0.0.36/diag https://127.0.0.1/slurm/v0.0.36/%64iag HTTP://localhost//slurm/v0.0.36/diag/ http:///slurm/v0.0.36/diag
http://evil.example/slurm/v0.0.36/diag //127.0.0.1/slurm/v0.0.36/diag * slurm/v0.0.36/diag 127.0.0.1:443 ?/slurm/v0.0.36/diag
""".split()  # noqa: SIM905 - quotes and commas would hide what is one spelling and what the next
# Of these the gateway makes another call, which slurmrestd answers as it likes.
OTHER_CALLS = ["DIAG", "diag.", "diag.json", "diag%20", "diag*", "d%EF%BD%89ag"]


def test_no_spelling_of_a_path_gets_around_the_rule_about_it(way: Chain) -> None:
    way.witness.taken()
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {way.site.token('alice')}\r\nConnection: close\r\n\r\n"
    replies = {spelling: way.site.raw(f"GET {spelling} HTTP/1.1\r\n{head}".encode("latin-1")) for spelling in SPELLINGS}
    assert [spelling for spelling, reply in replies.items() if b"statistics" in reply or reply[9:10] == b"5"] == []
    assert {request.request_line for request in way.witness.taken()} == {f"GET /slurm/v0.0.36/{call} HTTP/1.1" for call in OTHER_CALLS}
    # Those that are this call, however they are written, are refused as such; the rest is no path, or no call.
    assert sum(reply.startswith(b"HTTP/1.1 403") for reply in replies.values()) == 18


@pytest.mark.parametrize("path", ["/slurm/v0.0.42/reconfigure", "/slurm/v0.0.44/job/1/requeue", "//slurm/v0.0.42/%72econfigure/"])
def test_a_get_that_changes_something_is_sent_once_and_written_down(way: Chain, path: str) -> None:
    assert way.site.call("alice", "GET", PING).status == 200
    way.witness.taken()
    way.witness.answer = hangs_up
    try:
        answer = way.site.call("alice", "GET", path)
    finally:
        way.witness.answer = None
    assert (answer.status, answer.reason, "not known" in answer.json["detail"]) == (502, "upstream_broken", True)
    assert len(way.witness.taken()) == 1
    assert wait_for(lambda: way.site.audit_lines(request_id=answer.headers["X-Request-ID"]), 5, "the trail's line")


# ---- Tokens ------------------------------------------------------------------------------------------------------------------------------------


def false_tokens(site: Site) -> dict[str, str]:
    """Tokens that are not alice's session, however much they look like it, or however good they are elsewhere."""
    good, key = site.token("alice"), Path(site.told["jwt_key"]).read_bytes()
    pem = Path(site.told["jwks_key"]["private_key_file"])
    public = subprocess.run(["openssl", "pkey", "-in", str(pem), "-pubout"], capture_output=True, check=True).stdout
    alice: dict[str, object] = {"sun": "alice"}
    return {
        "Slurm's own for her": jwt({"alg": "HS256", "typ": "JWT"}, key, **alice),
        "Slurm's own for root": jwt({"alg": "HS256", "typ": "JWT"}, key, sun="root"),
        "without a signature": jwt({"alg": "none", "typ": "JWT"}, None, **alice),
        "with none in other letters": jwt({"alg": "nOnE"}, None, **alice),
        "signed by HMAC with the public key": jwt({"alg": "HS256", "kid": site.told["jwks_key"]["kid"]}, public, **alice),
        "RS256 by name, HMAC in fact": jwt({"alg": "RS256", "kid": site.told["jwks_key"]["kid"]}, key, **alice),
        "of a key that nobody has": jwt({"alg": "HS256", "kid": "nobody"}, b"x" * 32, **alice),
        "of a key that is a path": jwt({"alg": "HS256", "kid": "../../../../dev/null"}, b"", **alice),
        "with a key of its own": jwt({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(b"x" * 32)}}, b"x" * 32, **alice),
        "well formed, of nobody": make_token(b"\7" * 32),
        "one character short": good[:-1],
        "one character long": good + "A",
        "one letter mistyped": good[:20] + ("A" if good[20] != "A" else "B") + good[21:],
        "in small letters": good.lower(),
        "in capitals": good.upper(),
        "without its prefix": good[4:],
        "with another prefix": "ghp_" + good[4:],
        "its first half": good[: len(good) // 2],
        "twice": good + good,
        "in quotes": f'"{good}"',
        "with a parameter": f"{good};a=b",
        "its digest": hashlib.sha256(good.encode()).hexdigest(),
        "a pattern": "%",
        "a query": "' OR '1'='1",
        "null": "null",
        "no ASCII": "sgw_\xe4" + "x" * 48,
    }


@pytest.mark.parametrize("header", [BEARER, TOKEN])
def test_what_is_no_token_of_ours_is_nobody(way: Chain, header: str) -> None:
    way.witness.taken()
    prefix = "Bearer " if header == BEARER else ""
    cases, address = false_tokens(way.site), new_address()
    answers = {name: way.site.ask("GET", PING, headers=[(header, prefix + value), (NAME, "alice")], source=address) for name, value in cases.items()}
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(cases, 401)
    assert all(answer.headers["WWW-Authenticate"] for answer in answers.values())
    assert way.witness.taken() == []


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "Negotiate", "Token", "JWT", "sgw", "BearerX", "", "Bearer Bearer", "bearer:"])
def test_a_token_under_another_scheme_is_none(way: Chain, scheme: str) -> None:
    way.witness.taken()
    answer = way.site.ask("GET", PING, headers=[(BEARER, f"{scheme} {way.site.token('alice')}")], source=new_address())
    assert answer.status in {400, 401}
    assert way.witness.taken() == []


def test_a_token_in_the_address_is_refused_and_goes_no_further(way: Chain) -> None:
    way.witness.taken()
    token = way.site.token("alice")
    paths = [f"{PING}?access_token={token}", f"{PING}?X-SLURM-USER-TOKEN={token}", f"/slurm/v0.0.36/job/{token}"]
    assert [way.site.ask("GET", path, headers=[(BEARER, f"Bearer {token}")]).status for path in paths] == [400] * 3
    assert way.witness.taken() == []
    assert token not in (way.folder / "access.log").read_text() + (way.folder / "gateway.log").read_text()


# ---- Personal tokens -----------------------------------------------------------------------------------------------------------------------------


def made(site: Site, session: str, **asked: object) -> tuple[str, str]:
    answer = site.ask("POST", "/auth/tokens", headers=[(BEARER, f"Bearer {session}")], body=json.dumps({"name": "ci", **asked}).encode())
    assert answer.status == 201, answer.body
    return (BEARER, f"Bearer {answer.json['token']}")


@pytest.fixture(scope="module")
def session(site: Site) -> str:
    return str(site.login("adele", site.fresh_code("adele")).json["token"])


WIDER = [
    ("POST", "/slurm/v0.0.36/job/submit"), ("POST", "/slurm/v0.0.36/ping"), ("DELETE", "/slurm/v0.0.36/job/1"), ("GET", "/slurm/v0.0.42/reconfigure"),
    ("GET", "//slurm/v0.0.42/%72econfigure/"), ("GET", "/slurm/v0.0.44/job/1/requeue"), ("GET", "/clusters/demo/slurm/v0.0.42/reconfigure"),
    ("POST", "/slurmdb/v0.0.36/users"), ("DELETE", "/slurmdb/v0.0.36/user/bob"), ("POST", "/slurm/v0.0.36/../v0.0.36/job/submit"),
]  # fmt: skip


@pytest.mark.parametrize("scopes", [["read"], ["GET /slurm/**"], ["GET /slurm/*/ping"], ["GET /**"]], ids=str)
def test_a_token_for_reading_changes_nothing_in_any_spelling(way: Chain, session: str, scopes: list[str]) -> None:
    token = made(way.site, session, scopes=scopes)
    assert way.site.ask("GET", PING, headers=[token]).status == 200
    way.witness.taken()
    answers = {(method, path): way.site.ask(method, path, headers=[token], body=b"{}" if method == "POST" else None) for method, path in WIDER}
    assert {answer.status for answer in answers.values()} <= {400, 403}
    assert way.witness.taken() == []


@pytest.mark.parametrize(
    ("method", "path", "tree"),
    [
        ("POST", "/auth/tokens", {"name": "more", "scopes": ["admin"]}),
        ("GET", "/auth/tokens", None),
        ("GET", "/auth/sessions", None),
        ("POST", "/auth/stepup", {"otp": "123456"}),
        ("POST", "/auth/totp", {}),
        ("POST", "/auth/login", {}),
        ("POST", "//auth/%74okens/", {"name": "more"}),
    ],
)
def test_a_personal_token_makes_sees_and_signs_in_to_nothing_more(way: Chain, session: str, method: str, path: str, tree: object) -> None:
    token = made(way.site, session)
    answer = way.site.ask(method, path, headers=[token], body=json.dumps(tree).encode() if tree is not None else None, source=new_address())
    assert answer.status in {400, 403}
    assert b"sgw_" not in answer.body

"""CR, LF, NUL, escapes and other alphabets in whatever ends up in a header, a log, the trail or a job, through real nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.chain import SENT_ON, Chain, at_once, chain, new_address
from tests.system.support import Site

PING = "/slurm/v0.0.36/ping"
# Were a line of it to stand alone, it would look like the trail's own.
FORGED = '{"event":"sign_in","user":"forged"}'
ODD = ["x\n{}\n", "x\r\n{}\r\n", "x\r{}", "x\0{}", "x\u2028{}\u2029", "x\x85{}", "x\x1b[2J\x1b]0;t\x07{}", "\u202e{}", "x\ud800{}", "\ufeff\n{}"]


@pytest.fixture(scope="module")
def way(site: Site) -> Iterator[Chain]:
    """A chain of its own, so that its logs hold what this file sends and no more."""
    with chain(site, settings=SENT_ON) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_seen(way: Chain) -> None:
    way.witness.taken()


def lines(path: Path) -> list[dict[str, object]]:
    """Read a log strictly: ASCII, each line an object, the last one whole; nothing that a terminal would act upon."""
    text = path.read_bytes()
    assert text.isascii()
    assert text.endswith(b"\n")
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in text)
    return [dict(json.loads(line)) for line in text.split(b"\n")[:-1]]


def forged(way: Chain) -> list[dict[str, object]]:
    """Return the lines, of any log, that say what no line of ours says."""
    logs = [way.folder / "gateway" / "audit.jsonl", way.folder / "gateway.log", way.folder / "access.log"]
    return [line for log in logs for line in lines(log) if line.get("user") == "forged" or line.get("event") == "sign_in"]


def test_a_name_a_password_or_a_code_begins_no_line(way: Chain) -> None:
    places = [(number, odd, key) for number, odd in enumerate(ODD) for key in ("username", "password", "otp")]
    cases = {f"{key} {odd!a}": {"username": f"nobody-{number}", key: odd.format(FORGED)} for number, odd, key in places}

    def sign_in(odd: dict[str, str]) -> int:
        body = json.dumps({"password": "wrong", "otp": "123456", **odd}).encode()
        return way.site.ask("POST", "/auth/login", body=body, source=new_address()).status

    assert at_once(sign_in, cases) == dict.fromkeys(cases, 401)
    assert forged(way) == []


@pytest.mark.parametrize("raw", [b"\x80\xff", "ä€𐍈".encode(), b"\x1b[31m", b"\x7f", b"\xc2\x85", b'"}\\', b"%0d%0a{}", b"\x0b\x0c", b"\t"], ids=ascii)
def test_a_header_begins_no_line_and_no_other_header(way: Chain, raw: bytes) -> None:
    value = raw + FORGED.encode() + raw
    token = way.site.token("alice")
    names = ["User-Agent", "Accept", "Content-Type", "X-OTP", "X-SLURM-USER-NAME", "Authorization", "X-Request-ID", "X-Forwarded-For", "Referer"]
    for name in names:
        head = f"GET {PING} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-SLURM-USER-TOKEN: {token}\r\n{name}: ".encode()
        reply = way.site.raw(head + value + b"\r\n\r\n")
        assert reply[9:12] in {b"200", b"400", b"401", b"403", b"415"}  # the last is slurmrestd's own
        assert b"forged" not in reply
    for request in way.witness.taken():
        assert request.user == "alice"
        assert {key for key, _ in request.headers} <= {"Host", "X-SLURM-USER-NAME", "X-SLURM-USER-TOKEN", "Accept", "Content-Type"}
        assert request.head.isascii()
    assert forged(way) == []


@pytest.mark.parametrize(
    "target", ["/%0a{}", "/slurm/v0.0.36/%0d%0a{}", "/auth/x%00{}", "/\xe4{}", "/x?y=%0a{}", "/%1b[2J{}", "/auth/session%0aX:%20y", "/%c2%85{}"]
)
def test_a_path_begins_no_line_and_no_header(way: Chain, target: str) -> None:
    path = target.format(FORGED.replace('"', "%22"))
    reply = way.site.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert reply[9:12] in {b"400", b"401", b"404"}
    assert b"forged" not in reply.partition(b"\r\n\r\n")[0]
    assert way.witness.taken() == []
    assert forged(way) == []


@pytest.mark.parametrize(
    "name", ["x\nX-SLURM-USER-NAME: root", "x\r\n\r\n", "x\0y", "\x1b[2J", "ä€𐍈", "../../../../tmp/x", "$(id)", "%s%n%j", "-x"], ids=ascii
)
def test_what_a_job_is_called_is_slurms_own_business(way: Chain, name: str) -> None:
    tree = {"job": way.site.job("alice", hold=True, name=name), "script": "#!/bin/sh\ntrue\n"}
    answer = way.site.call("alice", "POST", "/slurm/v0.0.36/job/submit", tree)
    [request] = way.witness.taken()
    assert (json.loads(request.body), request.user) == (tree, "alice")
    [line] = way.site.audit_lines(request_id=answer.headers["X-Request-ID"])
    assert (line["status"], line.get("job_id")) == (answer.status, answer.json.get("job_id"))
    assert forged(way) == []


def test_what_slurmrestd_says_of_itself_becomes_no_header(way: Chain) -> None:
    """An answer whose headers somebody else had a hand in: what is not the type of the content does not reach the client."""
    way.witness.answer = lambda connection, _: connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\nLocation: http://evil.example/\r\nX-Accel-Redirect: /metrics\r\n"
        b"X-SLURM-USER-TOKEN: secret\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\n{}"
    )
    try:
        answer = way.site.call("alice", "GET", PING)
    finally:
        way.witness.answer = None
    ours = {"server", "date", "content-type", "content-length", "connection", "x-request-id", "cache-control", "strict-transport-security"}
    assert {name.lower() for name in answer.headers} <= {*ours, "x-content-type-options"}
    assert answer.body == b"{}"

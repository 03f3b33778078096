"""A second request hidden in the first, on its way through real nginx and the gateway: what slurmrestd is sent, byte for byte, tells."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.system.chain import SENT_ON, Chain, Seen, chain
from tests.system.support import Site

SUBMIT = "/slurm/v0.0.36/job/submit"
# It carries its own credentials, so that only its framing stands in its way.
HIDDEN = "GET /slurm/v0.0.36/diag HTTP/1.1\r\nHost: 127.0.0.1\r\nX-SLURM-USER-NAME: alice\r\nX-SLURM-USER-TOKEN: {token}\r\n\r\n"


@pytest.fixture(scope="module")
def way(site: Site) -> Iterator[Chain]:
    with chain(site, settings=SENT_ON) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_seen(way: Chain) -> None:
    way.witness.taken()


def send(way: Chain, line: str, fields: str, rest: str) -> tuple[int, list[Seen]]:
    """Send a head with alice's token and whatever follows it; return the status of the first answer and what slurmrestd was sent."""
    token = way.site.token("alice")
    head = f"{line}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    reply = way.site.raw((head + fields + "\r\n" + rest.format(token=token)).encode("latin-1"))
    # HTTP/0.9 is answered with a document alone.
    status = int(reply[9:12]) if reply.startswith(b"HTTP/") else json.loads(reply)["status"]
    return status, way.witness.taken()


REFUSED = {
    "a length and chunks": ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "chunks and a length": ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n" + HIDDEN),
    "chunks twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "chunks and what is not": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + HIDDEN),
    "chunks in a list": ("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "compressed chunks": ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "nearly chunked": ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + HIDDEN),
    "chunked behind a vertical tab": ("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + HIDDEN),
    "chunked in quotes": ('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n" + HIDDEN),
    "chunked with a parameter": ("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n" + HIDDEN),
    "a space before the colon": ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "a fold before chunked": ("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" + HIDDEN),
    "a fold before a length": ("X: y\r\n Content-Length: 4\r\n", HIDDEN),
    "two lengths": ("Content-Length: 0\r\nContent-Length: 5\r\n", HIDDEN),
    "the same length twice": ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello" + HIDDEN),
    "two lengths in one": ("Content-Length: 0, 5\r\n", HIDDEN),
    "a signed length": ("Content-Length: +5\r\n", "hello" + HIDDEN),
    "a negative length": ("Content-Length: -1\r\n", HIDDEN),
    "a hexadecimal length": ("Content-Length: 0x5\r\n", "hello" + HIDDEN),
    "a length with a fraction": ("Content-Length: 5.0\r\n", "hello" + HIDDEN),
    "a length with an underscore": ("Content-Length: 1_0\r\n", "hello" + HIDDEN),
    "an empty length": ("Content-Length:\r\n", HIDDEN),
    "a length in other digits": ("Content-Length: \xb2\r\n", HIDDEN),
    "a length beyond all bounds": ("Content-Length: 18446744073709551621\r\n", "hello" + HIDDEN),
    "a chunk of hexadecimal notation": ("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n" + HIDDEN),
    "a chunk with a sign": ("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n" + HIDDEN),
    "a chunk of negative size": ("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n0\r\n\r\n" + HIDDEN),
    "a chunk beyond all bounds": ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n" + HIDDEN),
    "a chunk longer than it says": ("Transfer-Encoding: chunked\r\n", "2\r\nhello\r\n0\r\n\r\n" + HIDDEN),
    "a chunk of no size": ("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n" + HIDDEN),
    "a header without a colon": ("Content-Length 5\r\n", "hello" + HIDDEN),
    "NUL in a header": ("X: a\0b\r\n", HIDDEN),
    "a lone CR in a header": ("X: a\rContent-Length: 5\r\n", HIDDEN),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_of_two_readings_is_refused_and_reaches_no_slurmrestd(way: Chain, case: str) -> None:
    status, seen = send(way, f"POST {SUBMIT} HTTP/1.1", *REFUSED[case])
    assert status in {400, 413, 501}
    assert seen == []


# A GET has no body, so that what follows it is another request, which "Connection: close" has forbidden.
@pytest.mark.parametrize(
    "fields",
    [
        "Content_Length: 5\r\n",
        "Content-Length\xa0: 5\r\n",
        "X-Content-Length: 5\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ],
)
def test_a_header_that_means_nothing_hides_nothing(way: Chain, fields: str) -> None:
    status, seen = send(way, "GET /slurm/v0.0.36/ping HTTP/1.1", fields, HIDDEN)
    assert status in {200, 400}
    assert [request.request_line for request in seen] == (["GET /slurm/v0.0.36/ping HTTP/1.1"] if status == 200 else [])


@pytest.mark.parametrize(
    ("rest", "body"),
    [
        ("5;name=value\r\nhello\r\n0\r\n\r\n", b"hello"),
        ('5;name="a;b"\r\nhello\r\n0\r\n\r\n', b"hello"),
        ("0005\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\nX-SLURM-USER-NAME: root\r\nContent-Length: 9\r\n\r\n", b"hello"),
        ("5\nhello\n0\n\n", b"hello"),
    ],
    ids=["an extension", "an extension in quotes", "noughts in front", "trailers", "bare LF"],
)
def test_chunks_reach_slurmrestd_as_one_body_of_one_length(way: Chain, rest: str, body: bytes) -> None:
    status, seen = send(way, f"POST {SUBMIT} HTTP/1.1", "Transfer-Encoding: chunked\r\n", rest)
    assert status == 400 or [request.body for request in seen] == [body]
    for request in seen:
        assert (request.user, request.all("Content-Length"), request.all("Transfer-Encoding")) == ("alice", ["5"], [])


def test_lines_that_end_in_bare_lf_are_made_anew(way: Chain) -> None:
    head = f"GET /slurm/v0.0.36/ping HTTP/1.1\nHost: 127.0.0.1\nAuthorization: Bearer {way.site.token('alice')}\nConnection: close\n\n"
    assert way.site.raw(head.encode()).startswith(b"HTTP/1.1 200")
    [request] = way.witness.taken()
    assert b"\n" not in request.head.replace(b"\r\n", b"")


LINES = [
    "GET /slurm/v0.0.36/ping",  # HTTP/0.9
    "GET /slurm/v0.0.36/ping HTTP/0.9",
    "GET /slurm/v0.0.36/ping HTTP/2.0",
    "GET /slurm/v0.0.36/ping HTTP/3.0",
    "GET /slurm/v0.0.36/ping HTTP/1.10",
    "GET /slurm/v0.0.36/ping HTTP/01.1",
    "GET /slurm/v0.0.36/ping http/1.1",
    "GET /slurm/v0.0.36/ping HTTP/1.1 HTTP/1.0",
    "GET /slurm/v0.0.36/ping /slurm/v0.0.36/diag HTTP/1.1",
    "GET /slurm/v0.0.36/ping HTTP/1.1\rX: y",
    "GET\t/slurm/v0.0.36/ping\tHTTP/1.1",
    " GET /slurm/v0.0.36/ping HTTP/1.1",
    "get /slurm/v0.0.36/ping HTTP/1.1",
    "GE\0T /slurm/v0.0.36/ping HTTP/1.1",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT 127.0.0.1:22 HTTP/1.1",
]


@pytest.mark.parametrize("line", LINES)
def test_an_odd_request_line_is_refused_or_made_an_ordinary_one(way: Chain, line: str) -> None:
    status, seen = send(way, line, "", HIDDEN)
    assert status == 200 or 400 <= status <= 505
    assert [request.request_line for request in seen] == (["GET /slurm/v0.0.36/ping HTTP/1.1"] if status == 200 else [])


def test_a_request_behind_another_has_no_identity_but_its_own(way: Chain) -> None:
    first = f"GET /slurm/v0.0.36/ping HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {way.site.token('alice')}\r\n\r\n"
    second = "GET /slurm/v0.0.36/diag HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    reply = way.site.raw((first + second).encode())
    assert (reply.count(b"HTTP/1.1 200"), reply.count(b"HTTP/1.1 401"), reply.count(b'"statistics"')) == (1, 1, 0)
    assert [request.request_line for request in way.witness.taken()] == ["GET /slurm/v0.0.36/ping HTTP/1.1"]


def test_what_looks_like_a_request_within_a_job_is_the_job(way: Chain) -> None:
    hidden = HIDDEN.format(token=way.site.token("alice"))
    way.witness.taken()
    job = {"job": way.site.job("alice", hold=True), "script": f"#!/bin/sh\n0\r\n\r\n{hidden}"}
    assert way.site.call("alice", "POST", SUBMIT, job).status == 200
    [request] = way.witness.taken()
    assert json.loads(request.body) == job

"""Clients and a slurmrestd that are slow, large, many or broken: real nginx and the gateway go on answering, within their memory."""

from __future__ import annotations

import contextlib
import http.client
import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.chain import SENT_ON, Chain, Seen, chain, family, forget_high_water, hangs_up, high_water, new_address
from tests.system.support import Site, wait_for

PING = "/slurm/v0.0.36/ping"
SUBMIT = "/slurm/v0.0.36/job/submit"
MIB = 1024 * 1024
LIMIT = 50 * MIB


@pytest.fixture(scope="module")
def way(site: Site) -> Iterator[Chain]:
    timeouts = {"client_header_timeout 10s": "client_header_timeout 1s", "client_body_timeout 30s": "client_body_timeout 1s"}
    with chain(site, settings=SENT_ON, nginx=timeouts) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_seen(way: Chain) -> Iterator[None]:
    way.witness.taken()
    yield
    way.witness.answer = None


def bearer(site: Site) -> tuple[str, str]:
    return ("Authorization", f"Bearer {site.token('alice')}")


def connected(site: Site, source: str = "127.0.0.1") -> socket.socket:
    url = urlsplit(site.told["url"])
    return socket.create_connection((url.hostname, url.port), timeout=20, source_address=(source, 0))


def with_tls(site: Site, source: str = "127.0.0.1") -> ssl.SSLSocket:
    return site.tls().wrap_socket(connected(site, source), server_hostname="127.0.0.1")


def slowest_answer(site: Site, count: int = 10, user: str = "alice") -> float:
    """Return the seconds of the slowest of so many requests, all of which are answered."""
    taken = []
    for _ in range(count):
        began = time.monotonic()
        assert site.call(user, "GET", PING).status == 200
        taken.append(time.monotonic() - began)
    return max(taken)


# ---- Many and slow clients ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Root, who alone runs these tests, may have more than the shell that started them.
    enough = max(hard, 11_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, enough))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
def test_ten_thousand_idle_connections_keep_nobody_from_being_answered(site: Site) -> None:
    site.token("alice")
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(site, f"127.71.0.{number % 250 + 1}")) for number in range(10_000)]
        assert slowest_answer(site) < 2
        poll = select.poll()
        for one in idle:
            poll.register(one, select.POLLIN | select.POLLRDHUP)
        assert poll.poll(0) == []  # none was turned away: they were there all the time
        assert sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in family(Site.at(site.state).told["pids"]["nginx"])) > 10_000


def test_hundreds_of_kept_tls_connections_keep_nobody_from_being_answered(site: Site) -> None:
    request = f"GET {PING} HTTP/1.1\r\nHost: 127.0.0.1\r\n{': '.join(bearer(site))}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(with_tls(site)) for _ in range(300)]
        for one in kept:
            one.sendall(request)
            assert one.recv(15) == b"HTTP/1.1 200 OK"
        assert slowest_answer(site) < 2


def dripping(first: bytes) -> Callable[[ssl.SSLSocket], bool]:
    """Return what sends ``first``, then a byte now and then, and tells whether the other side has had enough."""
    begun: set[int] = set()

    def drip(one: ssl.SSLSocket) -> bool:
        try:
            one.sendall(b"x" if id(one) in begun else first)
            begun.add(id(one))
            one.setblocking(False)
            return one.recv(1) == b""
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True
        finally:
            one.setblocking(True)

    return drip


def test_heads_that_come_a_byte_at_a_time_are_cut_off_and_hold_up_nobody(way: Chain) -> None:
    drip = dripping(f"GET {PING} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ".encode())
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(with_tls(way.site)) for _ in range(50)]
        assert sum(drip(one) for one in slow) == 0
        assert slowest_answer(way.site) < 2
        wait_for(lambda: sum(drip(one) for one in slow) == len(slow), 5, "the end of slow heads")
    assert {request.user for request in way.witness.taken()} == {"alice"}


def test_bodies_that_do_not_come_are_cut_off_and_reach_no_gateway(way: Chain) -> None:
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: 127.0.0.1\r\n{': '.join(bearer(way.site))}\r\nContent-Length: 100000\r\n\r\nx".encode()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(with_tls(way.site, new_address())) for _ in range(50)]
        for one in slow:
            one.sendall(head)
        assert slowest_answer(way.site) < 2
        for one in slow:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
    assert {request.request_line for request in way.witness.taken()} == {f"GET {PING} HTTP/1.1"}
    assert way.site.audit_lines(path=SUBMIT) == []


def pour(connection: socket.socket, request: Seen) -> None:
    """Answer with half a gigabyte, as fast as it is taken; a ping with two bytes."""
    if PING in request.request_line:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        return
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500000000\r\n\r\n")
    for _ in range(500_000_000 // 50_000):
        connection.sendall(b" " * 50_000)


def test_half_a_gigabyte_for_readers_of_a_kilobyte_a_second_costs_no_memory(way: Chain) -> None:
    way.witness.answer = pour
    assert [way.site.call(user, "GET", PING).status for user in ("alice", "bob")] == [200, 200]
    gateway, nginx = family(way.gateway_pid), family(way.nginx_pid)
    forget_high_water(gateway + nginx)
    before = high_water(gateway), high_water(nginx)
    request = f"GET /slurm/v0.0.36/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n{': '.join(bearer(way.site))}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(with_tls(way.site, new_address())) for _ in range(8)]
        for one in readers:
            one.sendall(request)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for one in readers:
                assert len(one.recv(128)) > 0
            time.sleep(0.125)  # eight times 128 bytes a second
        # Alice has as many calls under way as one person may.
        assert slowest_answer(way.site, user="bob") < 2
        grown = high_water(gateway) - before[0], high_water(nginx) - before[1]
    # 256 KiB wait at the gateway and as much at nginx for each, and some in between.
    assert grown[0] < 16 * MIB
    assert grown[1] < 16 * MIB
    wait_for(lambda: way.witness.answering == 0, 10, "the end of what nobody reads")


# ---- Large and deep bodies -----------------------------------------------------------------------------------------------------------------------


def test_a_body_of_fifty_mebibytes_and_one_is_refused_before_it_is_sent(way: Chain) -> None:
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{': '.join(bearer(way.site))}\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
    with with_tls(way.site) as one:
        one.sendall(head.encode())
        assert one.recv(12) == b"HTTP/1.1 413"  # though nothing of it has come
    assert way.witness.taken() == []


def test_chunks_of_fifty_mebibytes_and_one_are_refused(way: Chain) -> None:
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: 127.0.0.1\r\n{': '.join(bearer(way.site))}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
    with with_tls(way.site) as one:
        one.sendall(head.encode())
        with contextlib.suppress(OSError):
            for _ in range(50):
                one.sendall(chunk)
            one.sendall(b"1\r\nx\r\n0\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 413"
    assert way.witness.taken() == []


def test_a_body_of_fifty_mebibytes_is_carried_and_costs_little_memory(way: Chain) -> None:
    way.witness.answer = lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    gateway = family(way.gateway_pid)
    forget_high_water(gateway)
    before = high_water(gateway)
    assert way.site.ask("POST", SUBMIT, headers=[bearer(way.site)], body=b"x" * LIMIT).status == 200
    assert [len(request.body) for request in way.witness.taken()] == [LIMIT]
    assert high_water(gateway) - before < 16 * MIB


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"username":[', '[{"a":'])
@pytest.mark.parametrize("depth", [1000, 10_000])
def test_a_sign_in_of_ten_thousand_levels_is_malformed(way: Chain, opening: str, depth: int) -> None:
    answer = way.site.ask("POST", "/auth/login", body=(opening * depth).encode()[:8000], source=new_address())
    assert (answer.status, answer.reason) == (400, "bad_request")
    whole = way.site.ask("POST", "/auth/login", body=(opening * depth).encode(), source=new_address())
    assert whole.status in {400, 413}


def test_a_job_of_ten_thousand_levels_is_slurmrestds_to_refuse_and_breaks_nothing(way: Chain) -> None:
    body = b'{"job":' + b'{"a":[' * 10_000 + b"]}" * 10_000 + b"}"
    answer = way.site.ask("POST", SUBMIT, headers=[bearer(way.site), ("Content-Type", "application/json")], body=body)
    assert 400 <= answer.status < 600
    assert way.site.call("alice", "GET", PING).status == 200


# ---- A slurmrestd that is gone, hangs, or answers garbage -----------------------------------------------------------------------------------------

DEEP = b"[" * 30_000
GARBAGE = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "no HTTP": b"Segmentation fault\n",
    "a head that ends too early": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a body that ends too early": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
    "another protocol": b"\x15\x03\x03\x00\x02\x02\x0a",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_from_slurmrestd_is_told_as_such_and_the_next_request_is_answered(way: Chain, case: str) -> None:
    def answer(connection: socket.socket, request: Seen) -> None:
        connection.sendall(GARBAGE[case])
        hangs_up(connection, request)

    way.witness.answer = answer
    told = way.site.call("alice", "GET", PING)
    assert (told.status, told.reason) == (502, "upstream_broken")
    assert "errors" in told.json
    way.witness.answer = None
    assert way.site.call("alice", "GET", PING).status == 200


def test_an_answer_that_turns_out_malformed_is_cut_off_and_never_looks_whole(way: Chain) -> None:
    way.witness.answer = lambda connection, _: connection.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n\r\n0\r\n\r\n"
    )
    with pytest.raises(http.client.IncompleteRead):
        way.site.call("alice", "GET", "/slurm/v0.0.36/jobs")
    way.witness.answer = None
    assert way.site.call("alice", "GET", PING).status == 200


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_of_thirty_thousand_levels_is_no_riddle(way: Chain, status: int) -> None:
    way.witness.answer = lambda connection, _: connection.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(DEEP), DEEP))
    answer = way.site.call("alice", "POST", SUBMIT, {"job": {}})
    assert (answer.status, answer.json["status"], bool(answer.json["hint"])) == (status, status, True)


@pytest.mark.parametrize("status", [200])
def test_an_answer_of_thirty_thousand_levels_is_passed_on(way: Chain, status: int) -> None:
    way.witness.answer = lambda connection, _: connection.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(DEEP), DEEP))
    answer = way.site.call("alice", "POST", SUBMIT, {"job": {}})
    assert (answer.status, answer.body) == (status, DEEP)


def test_a_submission_is_not_sent_again_when_its_connection_closes_just_as_it_is_used(way: Chain) -> None:
    def answer_once(connection: socket.socket, request: Seen) -> None:
        if PING in request.request_line:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        else:
            hangs_up(connection, request)

    way.witness.answer = answer_once
    assert way.site.call("alice", "GET", PING).status == 200  # the connection is kept
    answer = way.site.call("alice", "POST", SUBMIT, {"job": {}})
    assert (answer.status, answer.reason, "not known" in answer.json["detail"]) == (502, "upstream_broken", True)
    assert [request.request_line.split(" ")[0] for request in way.witness.taken()] == ["GET", "POST"]

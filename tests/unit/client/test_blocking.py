"""Connections, blocking and awaiting alike, against a server that does not behave."""

from __future__ import annotations

import gc
import gzip
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.client import awaiting, blocking
from gateway.client.address import Address, Proxy
from gateway.client.asking import Answer, Ask, Conversation, Pause
from gateway.client.errors import GatewayError, NotUnderstoodError, UnreachableError
from gateway.client.listening import listen
from gateway.client.patience import Patience, ask
from gateway.secret import Secret
from tests.unit.client.driving import where
from tests.unit.client.misbehaving import Caller, always, answering, http, serving
from tests.unit.client.speaking import CHANGE, READ, Awaiting, Blocking, Speaker, one

BOTH = pytest.mark.parametrize("side", [Blocking, Awaiting])
Side = Callable[[str], Speaker]
TOKEN = Secret(b"sgw_" + b"a" * 49)


@BOTH
def test_a_question_goes_out_with_the_token_and_its_answer_comes_back(side: Side) -> None:
    with serving(always(http(200, b'{"jobs": []}', "X-Request-ID: r1"))) as server:
        [answer] = side(server.url)(one(READ), token=TOKEN)
    assert (answer.status, answer.json(), answer.request_id) == (200, {"jobs": []}, "r1")
    came = server.asked[0].decode().lower()
    assert came.startswith("get /slurm/latest/jobs http/1.1\r\n")
    assert came.count("authorization: bearer sgw_") == 1
    assert "accept-encoding: gzip\r\n" in came
    assert "accept: application/json\r\n" in came
    assert f"host: 127.0.0.1:{server.port}\r\n" in came
    assert "cookie" not in came


@BOTH
def test_signing_in_goes_without_the_token_that_has_ended(side: Side) -> None:
    with serving(always(http())) as server:
        side(server.url)(one(Ask(method="POST", path="/auth/login", body=b"{}", anonymous=True)), token=TOKEN)
    assert b"authorization" not in server.asked[0].lower()


@BOTH
def test_a_connection_is_used_again_for_what_may_be_sent_twice(side: Side) -> None:
    with serving(always(http())) as server:
        side(server.url)(one(READ), one(READ), one(READ))
    assert (len(server.asked), server.connections) == (3, 1)


@BOTH
def test_what_may_not_be_sent_twice_goes_on_a_connection_of_its_own(side: Side) -> None:
    with serving(always(http())) as server:
        side(server.url)(one(READ), one(CHANGE))
    assert server.connections == 2


@BOTH
def test_a_kept_connection_that_was_closed_meanwhile_is_not_missed(side: Side) -> None:
    with serving(answering(http()), always(http())) as server:
        found = side(server.url)(one(READ), ask(READ, Patience()))
    assert [answer.status for answer in found] == [200, 200]


@BOTH
def test_a_change_is_sent_once_when_the_connection_breaks_off(side: Side) -> None:
    def breaks_off(caller: Caller) -> None:
        caller.request()
        caller.reset()

    with serving(answering(http()), breaks_off) as server:
        _, error = side(server.url)(one(READ), ask(CHANGE, Patience()))
    assert isinstance(error, UnreachableError)
    assert (error.sent, error.lasting) == (True, False)
    assert len([line for line in server.lines() if line.startswith("POST")]) == 1


@BOTH
def test_a_read_is_sent_again_when_the_connection_breaks_off(side: Side) -> None:
    def breaks_off(caller: Caller) -> None:
        caller.request()
        caller.say(http()[:-1])

    with serving(breaks_off, breaks_off, always(http())) as server:
        [answer] = side(server.url)(ask(READ, Patience()))
    assert (answer.status, len(server.asked)) == (200, 3)


@BOTH
def test_nobody_there_means_that_nothing_was_sent(side: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    [error] = side(f"http://127.0.0.1:{port}")(one(CHANGE))
    assert isinstance(error, UnreachableError)
    assert (error.sent, error.lasting) == (False, False)
    assert error.hint == "Check the address and your network."


@BOTH
@pytest.mark.parametrize(("number", "lasting"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)])
def test_a_name_that_does_not_exist_will_not_exist_soon(side: Side, number: int, lasting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(number, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    [error] = side("http://localhost:1")(one(CHANGE))
    assert isinstance(error, UnreachableError)
    assert (error.sent, error.lasting) == (False, lasting)


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 abc X\r\n\r\n", b"\r\n\r\n\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000 + b"\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 " + b"y" * 1_000_000, b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"", b"\x00" * 100_000, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("garbage", GARBAGE, ids=[str(garbage[:24]) for garbage in GARBAGE])
def test_garbage_is_one_line_and_a_hint(side: Side, garbage: bytes) -> None:
    def script(caller: Caller) -> None:
        caller.request()
        caller.say(garbage)

    with serving(script) as server:
        [error] = side(server.url)(one(READ))
    if isinstance(error, Answer):  # a parser may be lenient with a length that is none, and then there is no body
        assert error.body == b""
        return
    assert isinstance(error, (UnreachableError, NotUnderstoodError))
    assert str(error).isprintable()
    assert error.hint


@BOTH
@pytest.mark.parametrize("told", [True, False])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(side: Side, told: bool) -> None:
    def script(caller: Caller) -> None:
        caller.request()
        caller.say(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 100000000000\r\n\r\n" if told else b"\r\n"))
        while True:
            caller.say(b"x" * 65536)

    with serving(script) as server:
        [error] = side(server.url)(one(READ), largest=1_000_000)
    assert isinstance(error, NotUnderstoodError)
    assert error.reason == "answer_too_large"
    assert "1,000,000 bytes" in str(error)
    assert "largest=" in error.hint


@BOTH
def test_a_packed_answer_is_unpacked(side: Side) -> None:
    with serving(always(http(200, gzip.compress(b'{"jobs": []}' + b" " * 10_000), "Content-Encoding: gzip"))) as server:
        [answer] = side(server.url)(one(READ))
    assert answer.json() == {"jobs": []}
    assert "content-encoding" not in answer.headers


@BOTH
def test_a_packed_answer_is_as_large_as_what_is_in_it(side: Side) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with serving(always(http(200, bomb, "Content-Encoding: gzip"))) as server:
        [error] = side(server.url)(one(READ), largest=1_000_000)
    assert isinstance(error, NotUnderstoodError)
    assert error.reason == "answer_too_large"


@BOTH
def test_whoever_asks_for_a_coding_of_their_own_gets_the_answer_as_it_came(side: Side) -> None:
    packed = gzip.compress(b"{}")
    question = Ask(method="GET", path="/", headers=(("Accept-Encoding", "gzip, br"),), repeatable=True)
    with serving(always(http(200, packed, "Content-Encoding: gzip"))) as server:
        [answer] = side(server.url)(one(question))
    assert answer.body == packed
    assert answer.headers["content-encoding"] == "gzip"


@BOTH
def test_silence_ends(side: Side) -> None:
    def script(caller: Caller) -> None:
        caller.request()
        caller.wait()

    with serving(script) as server:
        began = time.monotonic()
        [error] = side(server.url)(one(Ask(method="GET", path="/", timeout=0.3, repeatable=True)))
    assert isinstance(error, UnreachableError)
    assert error.sent
    assert "in time" in str(error)
    assert time.monotonic() - began < 5


@BOTH
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_an_answer_that_trickles_ends_too(side: Side, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "LONGEST", 0.3)
    monkeypatch.setattr(awaiting, "LONGEST", 0.3)

    def script(caller: Caller) -> None:
        caller.request()
        caller.say(head)
        while not caller.server.over.wait(0.02):
            caller.say(b"x" if head else b"H")

    with serving(script) as server:
        began = time.monotonic()
        [error] = side(server.url)(one(Ask(method="GET", path="/", timeout=0.3, repeatable=True)))
    assert isinstance(error, UnreachableError)
    assert time.monotonic() - began < 5


@BOTH
def test_a_redirect_is_not_followed(side: Side) -> None:
    with serving(always(http())) as elsewhere, serving(always(http(307, b"", f"Location: {elsewhere.url}/"))) as server:
        [error] = side(server.url)(ask(READ, Patience()), token=TOKEN)
    assert error.reason == "redirected"
    assert elsewhere.asked == []


@BOTH
def test_cookies_are_not_kept(side: Side) -> None:
    with serving(always(http(200, b"{}", "Set-Cookie: a=b"))) as server:
        side(server.url)(one(READ), one(READ))
    assert b"cookie" not in server.asked[1].lower()


@BOTH
def test_a_refusal_before_all_was_sent_is_heard(side: Side) -> None:
    def script(caller: Caller) -> None:
        caller.socket.recv(1000)
        caller.say(http(413, b'{"reason": "too_large", "detail": "Too large.", "hint": "Less."}', media_type="application/problem+json"))
        caller.socket.shutdown(socket.SHUT_WR)
        for _ in range(200):  # as nginx does for a while
            if not caller.socket.recv(65536):
                return

    with serving(script) as server:
        [error] = side(server.url)(ask(Ask(method="POST", path="/", body=b"x" * 30_000_000, timeout=5), Patience(seconds=0)))
    assert isinstance(error, GatewayError)
    assert error.reason in {"too_large", "unreachable"}  # a reset may overtake the answer


@BOTH
def test_signing_in_again_goes_on_with_the_new_token_and_the_same_key(side: Side) -> None:
    refusal = http(401, b'{"reason": "token_refused", "detail": "d", "hint": "h"}', media_type="application/problem+json")
    with serving(answering(refusal, http()), always(http())) as server:
        question = Ask(method="POST", path="/slurm/latest/job/submit", headers=(("Idempotency-Key", "k1"),), body=b"{}", repeatable=True)
        [answer] = side(server.url)(ask(question, Patience()), token=TOKEN, prove=lambda _error: Secret(b"sgw_new"))
    assert answer.status == 200
    assert [b"Bearer sgw_new" in came for came in server.asked] == [False, True]
    assert all(b"idempotency-key: k1\r\n" in came.lower() for came in server.asked)


@BOTH
def test_where_nobody_can_sign_in_again_the_refusal_is_what_comes_of_it(side: Side) -> None:
    refusal = http(401, b'{"reason": "token_refused", "detail": "d", "hint": "h"}', media_type="application/problem+json")
    with serving(always(refusal)) as server:
        [error] = side(server.url)(ask(READ, Patience()), token=TOKEN)
    assert (error.reason, len(server.asked)) == ("token_refused", 1)


@BOTH
def test_a_pause_is_told_of(side: Side) -> None:
    told: list[Any] = []
    with serving(answering(http(503, b"<html>", media_type="text/html")), always(http())) as server:
        side(server.url)(ask(READ, Patience()), on_pause=told.append)
    assert [pause.because.status for pause in told] == [503]


@BOTH
@pytest.mark.parametrize("token", [b"a\r\nX: y", b"", b"a b", "ü".encode(), b"a\n", b"\x00"])
def test_a_token_that_cannot_be_one_is_not_sent_and_not_shown(side: Side, token: bytes) -> None:
    with serving(always(http())) as server:
        [error] = side(server.url)(one(READ), token=Secret(token))
    assert error.reason == "bad_token"
    assert server.asked == []
    assert "X: y" not in f"{error}{error.hint}"


@BOTH
@pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X y", "a"), ("X\r\n", "a"), ("", "a"), ("X", "a\0"), ("X", "\u2028")])
def test_a_header_that_would_be_two_is_refused(side: Side, header: tuple[str, str]) -> None:
    with serving(always(http())) as server:
        [error] = side(server.url)(one(Ask(method="GET", path="/", headers=(header,))))
    assert (error.reason, server.asked) == ("bad_request", [])


@BOTH
@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nX:", "", "G T", "GÉT"])
def test_a_method_that_is_none_is_refused(side: Side, method: str) -> None:
    with serving(always(http())) as server:
        [error] = side(server.url)(one(Ask(method=method, path="/")))
    assert (error.reason, server.asked) == ("bad_request", [])


@BOTH
@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a b?c=d e", "/a%20b?c=d%20e"), ("/ü", "/%C3%BC"), ("/a\r\nX: y", "/a%0D%0AX:%20y"), ("/%2e%2e/x", "/%2e%2e/x"), ("slurm", "/slurm"),
        ("/a#b", "/a%23b"), (os.fsdecode(b"/\xff"), "/%FF"), ("/..", "/.."), ("//x//y", "//x//y"), ("/a?b?c", "/a?b?c"),
    ],
)  # fmt: skip
def test_odd_bytes_of_a_path_go_out_as_they_may(side: Side, path: str, sent: str) -> None:
    with serving(always(http())) as server:
        side(server.url)(one(Ask(method="GET", path=path, repeatable=True)))
    assert server.lines() == [f"GET {sent} HTTP/1.1"]


# Proxies.


@BOTH
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # http.client of 3.11 leaves it to gc
def test_a_proxy_is_asked_for_the_gateway_and_sees_no_token(side: Side) -> None:
    import ssl  # noqa: PLC0415 - for the one test that has a gateway with TLS

    def script(caller: Caller) -> None:
        caller.request()
        caller.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as server:
        proxy = Proxy(host="127.0.0.1", port=server.port, credentials=Secret(b"dTpw"))
        [error] = side("https://gateway.example.org")(one(CHANGE), trust=ssl.create_default_context(), proxy=proxy, token=TOKEN)
    assert isinstance(error, UnreachableError)
    assert not error.sent
    assert "HTTPS_PROXY" in error.hint
    assert f"http://127.0.0.1:{server.port}" in str(error)
    assert [line.rpartition("/")[0] for line in server.lines()] == ["CONNECT gateway.example.org:443 HTTP"]
    assert b"proxy-authorization: basic dtpw\r\n" in server.asked[0].lower()
    assert b"sgw_" not in server.asked[0]
    del error
    gc.collect()


# Streams.

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def told(number: int, kind: str = "job") -> bytes:
    return f'id: e-{number}\nevent: {kind}\ndata: {{"job_id": {number}}}\n\n'.encode()


@BOTH
def test_a_stream_that_breaks_off_is_resumed_where_it_was(side: Side) -> None:
    def first(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM + told(0, "ready"), told(1) + told(2)[:9])
        caller.reset()

    def second(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM + told(1, "ready") + told(2))
        caller.wait()

    with serving(first, second) as server:
        events = side(server.url).hear(listen(where(), user="alice"), 4, token=TOKEN)
    # The reset may overtake what was said before it: then it is asked for again, and nothing is missed.
    assert [event.job_id for event in events][-1] == 2
    came = [request.decode().lower() for request in server.asked]
    assert came[0].startswith("get /events?user=alice http/1.1")
    assert "accept-encoding: identity" in came[0]
    assert "last-event-id" not in came[0]
    assert "last-event-id: e-1\r\n" in came[1]


@BOTH
def test_a_stream_that_nobody_listens_to_any_more_is_closed(side: Side) -> None:
    gone = threading.Event()

    def script(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM + told(0, "ready"))
        caller.wait()
        gone.set()

    with serving(script) as server:
        [event] = side(server.url).hear(listen(where()), 1)
        assert event.kind == "ready"
        assert gone.wait(5)
        assert not server.over.is_set()


@BOTH
def test_a_stream_that_falls_silent_is_taken_for_dead(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.listening.SILENCE", 0.3)

    def first(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM + told(0, "ready"))
        caller.wait()

    def second(caller: Caller) -> None:
        caller.request()
        caller.say(STREAM + told(1))
        caller.wait()

    with serving(first, second) as server:
        events = side(server.url).hear(listen(where()), 2)
    assert [event.kind for event in events] == ["ready", "job"]
    assert server.connections == 2


@BOTH
def test_a_refused_stream_is_an_error_with_its_words(side: Side) -> None:
    refusal = http(403, b'{"reason": "not_permitted", "detail": "No.", "hint": "Ask."}', media_type="application/problem+json")
    with serving(always(refusal)) as server, pytest.raises(GatewayError) as caught:
        side(server.url).hear(listen(where()), 1)
    assert (caught.value.reason, str(caught.value)) == ("not_permitted", "No.")


@BOTH
def test_a_chunk_of_less_than_nothing_is_not_all_that_will_ever_come(side: Side) -> None:
    sent = 0

    def script(caller: Caller) -> None:
        nonlocal sent
        caller.request()
        caller.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        while sent < 200_000_000:
            caller.say(b"x" * 65536)
            sent += 65536

    with serving(script) as server:
        [error] = side(server.url)(one(READ), largest=1_000_000)
    assert isinstance(error, UnreachableError)
    assert sent < 100_000_000


def test_whoever_hangs_up_waits_for_nothing_more() -> None:
    def waiting() -> Conversation[None]:
        yield Pause(seconds=3600)

    connection = blocking.Connection(Address.of("https://slurm.example.org"), trust=None)
    connection.hang_up()
    with pytest.raises(UnreachableError, match="somebody hung up") as caught:
        connection.carry(waiting())
    assert (caught.value.hint, caught.value.sent) == ("Ask again.", False)

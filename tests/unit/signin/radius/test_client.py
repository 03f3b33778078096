from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import Endpoint, Secret
from gateway.errors import FactorUnavailable
from gateway.signin.radius import RadiusClient, Verdict
from tests.unit.signin.freeradius import SECRET, FreeRadius, freeradius
from tests.unit.signin.radius.servers import Reply, fake_server
from tests.unit.signin.radius.test_packet import answer

WAIT = 0.15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    with freeradius(tmp_path_factory.mktemp("radius")) as running:
        yield running


def client(*servers: Endpoint, timeout: float = WAIT, attempts: int = 2, secret: bytes = SECRET) -> RadiusClient:
    return RadiusClient(servers, Secret(secret), nas_identifier="gateway", timeout=timeout, attempts=attempts)


async def ask(*servers: Endpoint, code: str = "123456") -> Verdict:
    return await client(*servers).ask("alice", code, "192.0.2.1")


def nobody() -> Endpoint:
    """Return a port where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return Endpoint(host="127.0.0.1", port=probe.getsockname()[1])


# Debian's freeradius.


@pytest.mark.parametrize(
    ("username", "code", "verdict"),
    [
        ("alice", "1234-567890", Verdict.ACCEPT),
        ("alice", "1234-567891", Verdict.REJECT),
        ("alice", "654321", Verdict.REJECT),
        ("bob", "654321", Verdict.ACCEPT),
        ("carol", "anything", Verdict.CHALLENGE),
        ("zoe", "123456", Verdict.REJECT),
        ("alice", "x" * 64, Verdict.REJECT),
    ],
)
async def test_a_real_server_says_whether_a_code_is_right(server: FreeRadius, username: str, code: str, verdict: Verdict) -> None:
    asked = client(Endpoint(host="127.0.0.1", port=server.port), timeout=5.0)
    assert await asked.ask(username, code, "192.0.2.1") is verdict


async def test_many_ask_a_real_server_at_once(server: FreeRadius) -> None:
    asked = client(Endpoint(host="127.0.0.1", port=server.port), timeout=5.0)
    assert await asyncio.gather(*(asked.ask("bob", "654321", "192.0.2.1") for _ in range(50))) == [Verdict.ACCEPT] * 50


async def test_a_real_server_with_another_secret_does_not_answer(server: FreeRadius) -> None:
    with pytest.raises(FactorUnavailable):
        await client(Endpoint(host="127.0.0.1", port=server.port), secret=b"not the secret of that server").ask("bob", "654321", "")


# One that misbehaves.


def misbehaving() -> dict[str, Reply]:
    return {
        "silent": lambda _: [],
        "without a Message-Authenticator": lambda data: [answer(data, signed=False)],
        "with another secret": lambda data: [answer(data, secret=b"some other secret")],
        "with a wrong authenticator": lambda data: [answer(data)[:4] + bytes(16) + answer(data)[20:]],
        "garbage": lambda _: [b"", b"\0", b"garbage" * 100, bytes(4096)],
        "cut short": lambda data: [answer(data)[:-1]],
        "the request itself": lambda data: [data],
        "for another identifier": lambda data: [answer(data[:1] + bytes([data[1] ^ 1]) + data[2:])],
    }


@pytest.mark.parametrize("what", misbehaving())
async def test_an_answer_that_is_none_is_silence(what: str) -> None:
    async with fake_server(misbehaving()[what]) as server:
        with pytest.raises(FactorUnavailable):
            await ask(server.endpoint)


async def test_an_answer_from_elsewhere_is_not_heard() -> None:
    async with fake_server(lambda data: [answer(data)], from_elsewhere=True) as server:
        with pytest.raises(FactorUnavailable):
            await ask(server.endpoint)


async def test_a_true_answer_among_false_ones_is_heard() -> None:
    async with fake_server(lambda data: [b"garbage", answer(data, signed=False), answer(data, 3)]) as server:
        assert await ask(server.endpoint) is Verdict.REJECT


async def test_the_first_true_answer_counts() -> None:
    async with fake_server(lambda data: [answer(data, 3), answer(data, 2)]) as server:
        assert await ask(server.endpoint) is Verdict.REJECT


async def test_a_server_that_is_silent_is_asked_again_with_the_very_same_packet() -> None:
    answers = iter([[], [b"once more"]])
    async with fake_server(lambda data: [answer(data)] if next(answers) else []) as server:
        assert await ask(server.endpoint) is Verdict.ACCEPT
        assert len(server.seen) == 2
        assert len(set(server.seen)) == 1


async def test_the_next_server_is_asked_when_one_is_silent_with_another_request() -> None:
    async with fake_server(lambda _: []) as silent, fake_server(lambda data: [answer(data)]) as server:
        assert await ask(silent.endpoint, server.endpoint) is Verdict.ACCEPT
        assert silent.seen[0][4:20] != server.seen[0][4:20]


async def test_a_server_that_is_not_there_is_not_waited_for() -> None:
    async with fake_server(lambda data: [answer(data)]) as server:
        began = time.monotonic()
        assert await client(nobody(), server.endpoint, timeout=5.0).ask("alice", "123456", "") is Verdict.ACCEPT
        assert time.monotonic() - began < 2.5


async def test_a_servers_no_is_not_taken_to_the_next_one() -> None:
    async with fake_server(lambda data: [answer(data, 3)]) as first, fake_server(lambda data: [answer(data)]) as second:
        assert await ask(first.endpoint, second.endpoint) is Verdict.REJECT
        assert second.seen == []


async def test_no_two_requests_are_alike() -> None:
    async with fake_server(lambda data: [answer(data)]) as server:
        for _ in range(20):
            await ask(server.endpoint)
        assert len({data[4:20] for data in server.seen}) == 20
        assert len({data[1] for data in server.seen}) > 5


async def test_the_wait_is_bounded() -> None:
    async with fake_server(lambda _: []) as one, fake_server(lambda _: []) as other:
        began = time.monotonic()
        with pytest.raises(FactorUnavailable, match="radius_silent"):
            await ask(one.endpoint, other.endpoint)
        assert 4 * WAIT * 0.9 <= time.monotonic() - began < 4 * WAIT + 1


async def test_a_name_that_does_not_resolve_is_a_server_that_is_not_there() -> None:
    with pytest.raises(FactorUnavailable):
        await client(Endpoint(host="nowhere.invalid", port=1812), timeout=3.0).ask("alice", "123456", "")


async def test_a_servers_silence_is_told_without_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FactorUnavailable) as caught:
        await ask(nobody(), code="s3cret-pin")
    assert "s3cret-pin" not in f"{caught.value!r}{capsys.readouterr()}{tmp_path}"

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.errors import FactorUnavailable, StoreUnavailable
from gateway.signin.factor import NotProved, Outcome, Proved, RadiusFactor
from gateway.signin.radius import Verdict
from gateway.store.engine import Database
from gateway.store.spent import SpentStore

NOW = 1_700_000_010.0


@dataclass
class Server:
    """A server with one answer for everybody."""

    answer: Verdict | Exception = Verdict.ACCEPT
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def ask(self, username: str, code: str, address: str) -> Verdict:
        self.asked.append((username, code, address))
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def factor(server: Server, database: Database) -> RadiusFactor:
    return RadiusFactor(server, SpentStore(database), 600.0)


async def verify(factor: RadiusFactor, code: str = "1234567890", username: str = "alice", now: float = NOW) -> Outcome:
    return await factor.verify(username, code, "192.0.2.1", now)


async def test_what_the_server_accepts_proves(factor: RadiusFactor, server: Server) -> None:
    assert await verify(factor) == Proved("radius")
    assert server.asked == [("alice", "1234567890", "192.0.2.1")]


@pytest.mark.parametrize(("answer", "cause"), [(Verdict.REJECT, "radius_rejected"), (Verdict.CHALLENGE, "radius_challenge")])
async def test_anything_else_proves_nothing(factor: RadiusFactor, server: Server, answer: Verdict, cause: str) -> None:
    server.answer = answer
    assert await verify(factor) == NotProved(cause)


async def test_silence_is_no_answer(factor: RadiusFactor, server: Server) -> None:
    server.answer = FactorUnavailable("radius_silent")
    with pytest.raises(FactorUnavailable):
        await verify(factor)


async def test_a_code_that_was_accepted_is_refused_though_the_server_accepts_it_again(factor: RadiusFactor) -> None:
    await verify(factor)
    assert await verify(factor, now=NOW + 599) == NotProved("code_used")


async def test_a_code_is_remembered_no_longer_than_it_was_said(factor: RadiusFactor) -> None:
    await verify(factor)
    assert await verify(factor, now=NOW + 601) == Proved("radius")


async def test_somebody_else_may_have_the_same_code(factor: RadiusFactor) -> None:
    await verify(factor)
    assert await verify(factor, username="bob") == Proved("radius")


async def test_a_code_that_was_rejected_is_not_used_up(factor: RadiusFactor, server: Server) -> None:
    server.answer = Verdict.REJECT
    await verify(factor)
    server.answer = Verdict.ACCEPT
    assert await verify(factor) == Proved("radius")


async def test_of_one_code_sent_two_hundred_times_at_once_one_proves(factor: RadiusFactor) -> None:
    outcomes = await asyncio.gather(*(verify(factor) for _ in range(200)))
    assert outcomes.count(Proved("radius")) == 1
    assert outcomes.count(NotProved("code_used")) == 199


@pytest.mark.usefixtures("store_path")  # PostgreSQL's is shared by the tests
async def test_without_a_store_to_remember_it_in_nothing_is_proved(factor: RadiusFactor, database: Database) -> None:
    await database.write(lambda connection: connection.exec_driver_sql("DROP TABLE spent"))
    with pytest.raises(StoreUnavailable):
        await verify(factor)


@pytest.mark.parametrize("code", ["1", "123456", "PIN!123456", "1234-567890", "~" * 64])
def test_a_pin_may_stand_before_the_digits(factor: RadiusFactor, code: str) -> None:
    assert factor.could_be(code)


@pytest.mark.parametrize("code", ["", " ", "12 34", "x" * 65, "1\n", "1\0", "\uff11\uff12\uff13", "\u00b9\u00b2\u00b3", "p\u00efn"])
def test_what_no_keypad_has_could_be_no_code(factor: RadiusFactor, code: str) -> None:
    assert not factor.could_be(code)
